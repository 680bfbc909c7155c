"""What a state says of the run itself: whose it is, when it was, how it ended."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_mlgov.errors import InvalidNameError
from airflow_provider_mlgov.model import identity
from airflow_provider_mlgov.model.entity import NO_MARKS, Marks, as_whole
from airflow_provider_mlgov.model.identity import token
from airflow_provider_mlgov.translate.events import AIRFLOW_FACET, facet, is_streaming, newest_picture
from airflow_provider_mlgov.translate.marks import marks_of, tags_of
from airflow_provider_mlgov.translate.options import TranslateOptions
from airflow_provider_mlgov.translate.texts import MAX_ERROR, json_text, long, nameable, plain
from airflow_provider_mlgov.translate.times import milliseconds

Json = Mapping[str, Any]

_TYPED = {"COMPLETE": "success", "FAIL": "failed", "ABORT": "aborted"}
_NO_SUCCESS = ("FAIL", "ABORT")
"""Types that count wherever they stand beside a COMPLETE, the first before the second."""
_CREATES = re.compile(r"(?:\s|--[^\n]*\n|/\*(?:[^*]|\*(?!/))*\*/)*create\s", re.IGNORECASE)
"""A query that makes a table or a view, after comments such as dbt's."""


@dataclass(frozen=True)
class Run:
    """A run, or a job without one, or neither (a dataset event)."""

    name: identity.TaskRun | identity.DagRun | identity.JobRun | identity.Job | None
    words: Json
    """What Airflow knows, in the keys of the facet ``mlgov_airflow``; empty for other systems."""
    job: Json
    """Facets of the job."""
    facets: Json
    """Facets of the run."""
    key: str
    start: int | None
    """When it started, in epoch milliseconds, as all times here."""
    first: int
    """When it was first heard of."""
    end: int | None = None
    """When it ended."""
    told: int | None = None
    """When its end was told of, or the newest picture of a job: what orders facts."""
    state: str | None = None
    """How it ended; None while it runs."""
    source: str | None = None
    """Who said so."""
    succeeded: bool = False
    """Whether it did what it says it read and wrote: only then are there edges."""
    marks: Marks = NO_MARKS
    """What the tags of the run come to."""
    job_marks: Marks = NO_MARKS
    """What the tags of its job come to."""

    @property
    def code(self) -> dict[str, Any]:
        """Where its code is kept."""
        location = facet(self.job, "sourceCodeLocation")
        repository = plain(location.get("repoUrl")) or plain(location.get("url"))
        return as_whole(
            codeRepository=repository, codeVersion=plain(location.get("version")) or plain(location.get("tag"))
        )

    @property
    def query(self) -> dict[str, Any]:
        """Its SQL text."""
        sql = facet(self.job, "sql")
        return as_whole(queryText=long(sql.get("query")), queryDialect=plain(sql.get("dialect"), 100))

    @property
    def tells_whole_schemas(self) -> bool:
        """Whether the schema of what it wrote has all columns: Trino's has those that the query names, in its order."""
        if facet(self.job, "jobType").get("integration") != "TRINO":
            return True
        query = facet(self.job, "sql").get("query")
        return isinstance(query, str) and _CREATES.match(query) is not None

    @property
    def error(self) -> str | None:
        """Its error message, shortened."""
        return long(facet(self.facets, "errorMessage").get("message"), MAX_ERROR)

    @property
    def worker(self) -> identity.Job | None:
        """The job that its processes are of: its own, or the one that it is a step of (``app.insert`` of ``app``).

        Spark tells one write in several nested executions, each a job of its own: so it is one process all the same. Nothing
        else does: a query below a task of Airflow (``dag.task.query.1``) is work of its own.
        """
        if not isinstance(self.name, (identity.JobRun, identity.Job)):
            return None
        is_spark = facet(self.job, "jobType").get("integration") == "SPARK"
        parent = mapping(facet(self.facets, "parent").get("job"))
        above = parent.get("name")
        is_step = (
            is_spark
            and parent.get("namespace") == self.name.job_namespace
            and isinstance(above, str)
            and self.name.job.startswith(f"{above}.")
        )
        return identity.Job(self.name.namespace, self.name.job_namespace, str(above) if is_step else self.name.job)

    @property
    def family(self) -> dict[str, Any]:
        """Its own run id, that of its parent and that of the run that everything began with, each with its token."""
        facts = facet(self.facets, "parent")
        parent = plain(mapping(facts.get("run")).get("runId"), 500)
        root = plain(mapping(mapping(facts.get("root")).get("run")).get("runId"), 500) or parent
        return known(
            openLineageRunId=plain(self.key, 500),
            runToken=token(self.key),
            parentRunId=parent,
            parentKey=token(parent) if parent else None,
            rootRunId=root,
            rootKey=token(root) if root else None,
        )

    @property
    def engine(self) -> dict[str, Any]:
        """What did the work, and how that calls it."""
        engine, query = facet(self.facets, "processing_engine"), facet(self.facets, "externalQuery")
        return known(
            engine=plain(engine.get("name"), 500),
            engineVersion=plain(engine.get("version"), 500),
            externalQueryId=plain(query.get("externalQueryId"), 2_000),
            externalQuerySource=plain(query.get("source"), 2_000),
        )

    @property
    def findings(self) -> dict[str, Any]:
        """What it could not read of its lineage, and what its tests say."""
        errors, tests = facet(self.facets, "extractionError"), facet(self.facets, "test")
        found: dict[str, Any] = {}
        if errors:
            told = [
                known(task=plain(item.get("task"), 500), errorMessage=plain(item.get("errorMessage"), 2_000))
                for item in _objects(errors.get("errors"))
            ]
            found |= {"lineageComplete": False, "lineageErrors": long(json_text(told))}
        if tests:
            rows = [
                {name: text for name in _TEST if (text := plain(item.get(name), 1_000))}
                for item in _objects(tests.get("tests"))
            ]
            failed = sum(row.get("status", "").lower() in ("fail", "failed", "error") for row in rows)
            found |= {"tests": long(json_text(rows)), "testsFailed": failed}
        return found

    @property
    def nominal(self) -> dict[str, Any]:
        """The interval it stands for."""
        times = facet(self.facets, "nominalTime")
        return known(
            nominalStartTime=milliseconds(times.get("nominalStartTime")),
            nominalEndTime=milliseconds(times.get("nominalEndTime")),
        )


_TEST = ("name", "status", "severity", "type", "description", "expected", "actual")


def _objects(value: object) -> list[Json]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def known(**values: Any) -> dict[str, Any]:
    """The values that are known, that is not None."""
    return {name: value for name, value in values.items() if value is not None}


def mapping(value: object) -> Json:
    """``value`` if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def whole(value: object) -> int | None:
    """``value`` if it is a whole number that Atlas's ``int`` can hold."""
    return value if isinstance(value, int) and not isinstance(value, bool) and -(2**31) <= value < 2**31 else None


def read_run(state: Json, options: TranslateOptions, warnings: list[str]) -> Run:
    """What ``state`` says of its run.

    A run of Airflow's that lacks a part of its identity is a job's run like any other.
    """
    words = _airflow_words(state)
    start = milliseconds(words.get("startTime"))
    if start is None and state["started"] is not None:
        start = state["started"] // 1000
    name = _name(state, words, options, warnings)
    return Run(
        name=name,
        words=words if isinstance(name, (identity.TaskRun, identity.DagRun)) else {},
        job=state["jobFacets"],
        facets=state["run"],
        key=state["key"],
        start=start,
        first=state["first"] // 1000,
        marks=marks_of(tags_of(state["run"]), state["run"], options.rules, warnings),
        job_marks=marks_of(tags_of(state["jobFacets"]), state["jobFacets"], options.rules, warnings),
        **_ending(state),
    )


def _name(
    state: Json, words: Json, options: TranslateOptions, warnings: list[str]
) -> identity.TaskRun | identity.DagRun | identity.JobRun | identity.Job | None:
    if state["kind"] == "dataset":
        return None
    try:
        if words.get("dagId") and words.get("runId"):
            at = plain(words.get("namespace"), 500) or options.airflow_namespace
            place = (at, _name_of(words["dagId"]), _name_of(words["runId"]))
            if not words.get("taskId"):
                return identity.DagRun(*place)
            number, index = whole(words.get("tryNumber")), whole(words.get("mapIndex"))
            if number is not None:
                return identity.TaskRun(*place, _name_of(words["taskId"]), -1 if index is None else index, number)
            warnings.append(
                f"run {state['key']} of task {words['taskId']} has no try number; recorded as a run of a plain job"
            )
        elif mapping(facet(state["jobFacets"], "jobType")).get("integration") == "AIRFLOW":
            # Of a task that is set by hand the OpenLineage provider says neither run nor try; our own listener does.
            warnings.append(f"run {state['key']} of Airflow says not which run it is; left out")
            return None
        job = state["job"][2]
        names = (options.catalog_namespace, nameable(job["namespace"]), nameable(job["name"]))
        return identity.Job(*names) if state["kind"] == "job" else identity.JobRun(*names, nameable(state["key"]))
    except InvalidNameError as error:
        warnings.append(f"the run is left out: {error}")
        return None


def _name_of(value: Any) -> Any:
    return nameable(value) if isinstance(value, str) else value


def told_at(state: Json) -> int:
    """`Run.told`; 0 while that is not known."""
    return int(_ending(state).get("told", 0))


def last_told(state: Json) -> int:
    """`told_at` or, while no end is known, when its last event was, in epoch milliseconds."""
    return told_at(state) or int(state["last"]) // 1000


def _ending(state: Json) -> dict[str, Any]:
    """How and when the run ended.

    A stated word beats a type, and a type beats that nobody knows; then the latest counts. What a stream did before its end it
    did, however it ends; if all that is known of it is a failure, it did nothing.
    """
    ends, outcomes = state["ends"], state["outcomes"]
    if state["kind"] != "run":
        return {"told": (newest_picture(state) or state["last"]) // 1000, "succeeded": True}
    flows = is_streaming(state) and state["first"] < min((end[0] for end in ends.values()), default=math.inf)
    for how in ("stated", "typed", "unknown"):
        if how in ends:
            time, _, end = ends[how]
            word = end["state"] or _TYPED[end["eventType"]]
            told = time // 1000
            if how == "typed":
                word = next((_TYPED[kind] for kind in _NO_SUCCESS if f"{kind} - -" in outcomes), word)
            return {
                "state": plain(word, 100),
                "source": plain(end["source"], 100),
                "told": told,
                "end": milliseconds(end["endTime"]) or told,
                "succeeded": flows or _succeeded(outcomes),
            }
    return {"told": state["last"] // 1000, "succeeded": True} if flows else {}


def _succeeded(outcomes: Json) -> bool:
    """Whether a success was reported.

    OpenLineage's word alone counts if Airflow does not say otherwise (3.x sends COMPLETE for a skip). Spark completes a query
    whose write has failed: a failure or an abort counts, wherever a COMPLETE is.
    """
    if "COMPLETE success reported" in outcomes:
        return True
    stated = [outcome.split(" ") for outcome in outcomes]
    contradicted = any(
        word not in ("-", "success", "unknown") and source != "manual" for _, word, source in map(_triple, stated)
    )
    ended_otherwise = any(f"{kind} - -" in outcomes for kind in _NO_SUCCESS)
    return "COMPLETE - -" in outcomes and not ended_otherwise and not contradicted


def _triple(words: list[str]) -> tuple[str, str, str]:
    """A state may have spaces in it; the type and the source have none."""
    return words[0], " ".join(words[1:-1]), words[-1]


def _airflow_words(state: Json) -> Json:
    """What Airflow knows: from the OpenLineage provider's own facets, and from ours, which win."""
    if state["kind"] != "run":
        return {}
    words = _provider_words(state["run"])
    words.update((key, value) for key, value in facet(state["run"], AIRFLOW_FACET).items() if value is not None)
    return words


def _provider_words(run: Json) -> dict[str, Any]:
    """The facets ``airflow`` (a task) or ``airflowDagRun`` (a DAG run). Lists in them come as texts of Python's."""
    facts = facet(run, "airflow") or facet(run, "airflowDagRun")
    if not facts:
        return {}
    dag, dag_run, task, instance = (mapping(facts.get(part)) for part in ("dag", "dagRun", "task", "taskInstance"))
    words = {
        "dagId": plain(dag.get("dag_id")) or plain(dag_run.get("dag_id")),
        "runId": plain(dag_run.get("run_id")),
        "taskId": plain(task.get("task_id")),
        "tryNumber": instance.get("try_number"),
        "mapIndex": instance.get("map_index"),
        "operator": plain(task.get("operator_class")),
        "taskGroup": plain(mapping(task.get("task_group")).get("group_id")),
        "logUrl": instance.get("log_url"),
        "owner": task.get("owner") if task else dag.get("owner"),
        "runType": dag_run.get("run_type"),
        "logicalDate": dag_run.get("logical_date"),
        "runAfter": dag_run.get("run_after"),
        "dataIntervalStart": dag_run.get("data_interval_start"),
        "dataIntervalEnd": dag_run.get("data_interval_end"),
        "dagVersion": dag_run.get("dag_bundle_version"),
        "dagDescription": dag.get("description"),
        "dagTags": _texts(dag.get("tags")),
        "schedule": dag.get("timetable_summary"),
        "fileLocation": dag.get("relative_fileloc") or dag.get("fileloc"),
    }
    if not task:
        words |= {"startTime": dag_run.get("start_date"), "endTime": dag_run.get("end_date")}
    return {key: value for key, value in words.items() if value not in (None, "None", "", [])}


def _texts(value: object) -> list[str]:
    """A list of texts, or what Python prints of one; sorted, because it was a set before it was printed."""
    items = re.findall(r"'([^']+)'", value) if isinstance(value, str) else value
    return sorted(item for item in items if isinstance(item, str)) if isinstance(items, list) else []
