"""Every facet that is known, and where it goes. The allow list, the facts of runs and ``docs/mapping.md`` come of it.

Names and versions are those of the OpenLineage specification, and of the producers that add their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from airflow_provider_mlgov.translate.events import facet
from airflow_provider_mlgov.translate.texts import named_values, plain

Holder = Literal["run", "job", "dataset", "input", "output"]
Switch = Literal["", "send_code", "send_environment", "send_conf"]


@dataclass(frozen=True)
class FacetEntry:
    """One facet of one kind of holder."""

    holder: Holder
    name: str
    goes_to: str
    """Where it is in Atlas, in words."""
    version: str = ""
    """Version of the specification that was read; empty for a producer's own."""
    switch: Switch = ""
    """The option of ``[mlgov]`` without which it is dropped."""
    is_fact: bool = False
    """Its plain values are kept in ``facts`` of the run or job."""


_FACTS = "`facts` of the run"
_JOB_FACTS = "`facts` of the job or task"
_IO = "`io` of the run, at the dataset (of a dataset event: a custom attribute)"
_QUALITY = "`mlgov_quality_result` of the dataset: the newest, as a whole; `lastRun` told tests or measurements last"

FACETS: tuple[FacetEntry, ...] = (
    # of a run
    FacetEntry("run", "airflow", "DAG, task, DAG run and task run (names, dates, operator, owner, log)"),
    FacetEntry("run", "airflowDagRun", "DAG and DAG run"),
    FacetEntry("run", "airflowState", "nothing: each task run says its own state"),
    FacetEntry("run", "bigQueryJob", _FACTS, is_fact=True),
    FacetEntry("run", "airflow_mappedTask", "nothing: the map index is in the facet `airflow`"),
    FacetEntry("run", "dbt_version", _FACTS, is_fact=True),
    FacetEntry("run", "dbt_run", _FACTS, is_fact=True),
    FacetEntry("run", "environmentVariables", _FACTS, "1-0-0", "send_environment", is_fact=True),
    FacetEntry("run", "environment-properties", _FACTS, "", "send_environment", is_fact=True),
    FacetEntry("run", "errorMessage", "`errorMessage` of the run, shortened", "1-0-1"),
    FacetEntry("run", "executionParameters", _FACTS, "1-0-0", "send_conf", is_fact=True),
    FacetEntry("run", "externalQuery", "`externalQueryId` and `externalQuerySource` of the run", "1-0-2"),
    FacetEntry("run", "extractionError", "`lineageComplete` = false and `lineageErrors` of the run", "1-1-2"),
    FacetEntry("run", "flink_job", _FACTS, is_fact=True),
    FacetEntry("run", "gcp_composer_run", _FACTS, is_fact=True),
    FacetEntry("run", "gcp_dataproc", _FACTS, is_fact=True),
    FacetEntry("run", "gcp_dataproc_spark", _FACTS, is_fact=True),
    FacetEntry("run", "great_expectations_meta", _FACTS, is_fact=True),
    FacetEntry("run", "hive_properties", _FACTS, is_fact=True),
    FacetEntry("run", "hive_session", _FACTS, is_fact=True),
    FacetEntry("run", "jobDependencies", _FACTS + ": control flow is no data lineage", "1-0-1", is_fact=True),
    FacetEntry("run", "nominalTime", "`nominalStartTime` and `nominalEndTime` of the run", "1-0-1"),
    FacetEntry("run", "parent", "`parentRunId`, `rootRunId`, `parentKey`, `rootKey` of the run", "1-2-0"),
    FacetEntry("run", "processing_engine", "`engine` and `engineVersion` of the run; the rest in `facts`", "1-1-1", is_fact=True),
    FacetEntry("run", "spark_applicationDetails", _FACTS, is_fact=True),
    FacetEntry("run", "spark_jobDetails", _FACTS, is_fact=True),
    FacetEntry("run", "tags", "classifications, labels or custom attributes of the run, by rule", "1-0-0"),
    FacetEntry("run", "test", "`tests` and `testsFailed` of the run", "1-0-1"),
    FacetEntry("run", "trino_metadata", _FACTS, is_fact=True),
    FacetEntry("run", "trino_query_context", _FACTS, is_fact=True),
    FacetEntry("run", "trino_query_statistics", _FACTS, is_fact=True),
    # of a job
    FacetEntry("job", "airflow", "nothing: each DAG and task is an entity of its own"),
    FacetEntry("job", "dbt_node", _JOB_FACTS, is_fact=True),
    FacetEntry("job", "documentation", "`description`, when the job is first seen", "1-1-0"),
    FacetEntry("job", "gcp_composer_job", _JOB_FACTS, is_fact=True),
    FacetEntry("job", "gcp_lineage", _JOB_FACTS, is_fact=True),
    FacetEntry("job", "jobType", "`integration`, `processingType`, `jobType`; how events are united", "2-0-4"),
    FacetEntry("job", "lineage", "one process per output or group of outputs; processes of columns", "1-0-0"),
    FacetEntry("job", "ownership", "`owner`, when the job is first seen; all of them in `owners`", "1-0-1"),
    FacetEntry("job", "sourceCode", "`sourceCode` of the job or task", "1-0-1", "send_code"),
    FacetEntry(
        "job", "sourceCodeLocation", "`codeRepository` and `codeVersion` of processes and runs; all of it in `facts` of the job",
        "1-1-0", is_fact=True,
    ),
    FacetEntry("job", "sql", "`queryText` and `queryDialect` of the run and its processes", "1-1-0"),
    FacetEntry("job", "tags", "classifications, labels or custom attributes of the job or task, by rule", "1-0-0"),
    # of a dataset
    FacetEntry("dataset", "catalog", f"the name, where it says which metastore; `catalogName` of our types; {_IO}", "1-1-0"),
    FacetEntry("dataset", "columnLineage", "one `mlgov_column_lineage` per column that is made of others", "1-2-0"),
    FacetEntry("dataset", "dataQualityAssertions", _QUALITY, "1-1-0"),
    FacetEntry("dataset", "dataQualityMetrics", _QUALITY, "1-0-0"),
    FacetEntry("dataset", "dataSource", "`sourceUri` of our types; the database, where the name has none", "1-0-1"),
    FacetEntry("dataset", "datasetType", "`tableType`, `type` or `datasetType`; `subType` as a custom attribute", "1-0-1"),
    FacetEntry("dataset", "documentation", "`description`, when the dataset is first seen", "1-1-0"),
    FacetEntry("dataset", "hierarchy", "the parts of the name, and so the parents", "1-0-0"),
    FacetEntry(
        "dataset", "lifecycleStateChange",
        "DROP deletes the entity, RENAME renames it (columns too), if nothing newer is known; the others: `io` of the run", "1-0-1",
    ),
    FacetEntry(
        "dataset", "lineage",
        "as `columnLineage`, which it supersedes; empty `inputs`: made of nothing, unless `columnLineage` names something", "1-0-0",
    ),
    FacetEntry("dataset", "ownership", "`owner`, when the dataset is first seen; all of them in `owners`", "1-0-1"),
    FacetEntry("dataset", "schema", "columns, nested ones by their path (`address.city`); added, never deleted", "1-2-0"),
    FacetEntry("dataset", "storage", f"`storageLayer` and `fileFormat` of our types; {_IO}", "1-0-1"),
    FacetEntry("dataset", "symlinks", "the name: a table of a catalogue counts before a path", "1-0-1"),
    FacetEntry("dataset", "tags", "classifications, labels or custom attributes of the dataset or column, by rule", "1-0-0"),
    FacetEntry("dataset", "version", f"`version` in {_IO}", "1-0-1"),
    # of a dataset as an input or output
    FacetEntry("input", "dataQualityAssertions", _QUALITY, "1-1-0"),
    FacetEntry("input", "dataQualityMetrics", _QUALITY, "1-0-3"),
    FacetEntry("input", "greatExpectations_assertions", "as `dataQualityAssertions`, where that is not told"),
    FacetEntry("input", "icebergScanReport", f"`version` (snapshot) and the report in {_IO}"),
    FacetEntry("input", "inputStatistics", f"`rowCount`, `size`, `fileCount` in {_IO}", "1-0-0"),
    FacetEntry("input", "subset", _IO, "1-0-0"),
    FacetEntry("output", "icebergCommitReport", f"`version` (snapshot) and the report in {_IO}"),
    FacetEntry("output", "outputStatistics", f"`rowCount`, `size`, `fileCount` in {_IO}", "1-0-2"),
    FacetEntry("output", "subset", _IO, "1-0-0"),
)  # fmt: skip


def names_of(holder: Holder, *switches: Switch) -> frozenset[str]:
    """The facets of a kind of holder that are kept with these switches on."""
    return frozenset(
        entry.name for entry in FACETS if entry.holder == holder and (not entry.switch or entry.switch in switches)
    )


def behind_switches(*on: Switch) -> frozenset[str]:
    """The facets that a switch which is not ``on`` keeps out."""
    return frozenset(entry.name for entry in FACETS if entry.switch and entry.switch not in on)


_MOST, _LONGEST, _DEPTH = 1_000, 1_000, 3


def facts_of(holder: Holder, facets: Mapping[str, Any]) -> str | None:
    """The plain values of the facets that are facts, as JSON list of ``{"name", "value"}``, or None.

    Of one facet the first 1,000 are kept, and how many are left out.
    """
    found: dict[str, Any] = {}
    for entry in FACETS:
        if entry.holder == holder and entry.is_fact and entry.name in facets:
            values = list(_plain_values(facet(facets, entry.name), entry.name, 0))
            found |= dict(values[:_MOST])
            if len(values) > _MOST:
                found[entry.name] = f"{len(values) - _MOST} more values are left out"
    return named_values(found)


def _plain_values(value: Any, name: str, depth: int) -> Iterator[tuple[str, Any]]:
    """``facet.key`` and value of what is no object; a list of named values by the names in it."""
    if isinstance(value, (bool, int, float)):
        yield name, value
    elif text := plain(value, _LONGEST):
        yield name, text
    elif depth <= _DEPTH:
        for key, item in _members(value):
            yield from _plain_values(item, f"{name}.{key}", depth + 1)


def _members(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        yield from ((key, value[key]) for key in sorted(value) if not key.startswith("_"))
    for index, item in enumerate(value if isinstance(value, list) else ()):
        named = item if isinstance(item, Mapping) else {}
        label = plain(named.get("key"), 200) or plain(named.get("name"), 200)
        yield (label, named["value"]) if label and "value" in named else (str(index), item)
