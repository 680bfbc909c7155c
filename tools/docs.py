"""Writes the pages of docs/ that are made from the code: configuration, mapping, types, commands.

    python tools/docs.py            writes them
    python tools/docs.py --check    writes nothing; exit code 1 names what is out of date

Needs the package without Airflow.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent.parent / "docs"
MADE = "<!-- Made by `make docs` from {source}; change that. -->"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only say what is out of date")
    check = parser.parse_args(arguments).check
    old = []
    pages = {"configuration.md": configuration, "mapping.md": mapping, "types.md": types, "cli.md": commands}
    for name, write in pages.items():
        lines = write()
        page, text = DOCS / name, "\n".join(lines) + "\n"
        if page.exists() and page.read_text(encoding="utf-8") == text:
            continue
        old.append(name)
        if not check:
            page.write_text(text, encoding="utf-8")
            print(f"written: docs/{name}")
    if check and old:
        print(f"out of date: {', '.join(f'docs/{name}' for name in old)}. Run `make docs`", file=sys.stderr)
        return 1
    return 0


def configuration() -> Iterator[str]:
    """Write the reference of the options."""
    from airflow_provider_mlgov.options import OPTIONS, SECTION

    yield "# Configuration"
    yield ""
    yield MADE.format(source="`airflow_provider_mlgov/settings.py`")
    yield ""
    yield f"Section `[{SECTION}]` of `airflow.cfg`. Each option is also an environment variable:"
    yield "`AIRFLOW__MLGOV__<OPTION>`. Recording is off until `enabled` is true or `[lineage] backend` names"
    yield "`airflow_provider_mlgov.lineage.AtlasLineageBackend`; the two are one switch, on Airflow 2.11 and 3.x."
    yield ""
    yield from table(
        ("option", "type", "default", "since"),
        [(f"[`{o.name}`](#{o.name})", o.kind, code(o.default), o.version_added) for o in OPTIONS],
    )
    for option in OPTIONS:
        yield ""
        yield f"## {option.name}"
        yield ""
        yield option.description
        yield ""
        yield "```ini"
        yield f"[{SECTION}]"
        yield f"{option.name} = {option.example if option.example is not None else option.default}".rstrip()
        yield "```"


RULES = """
[[namespaces]]                          # two names of one server
match = "postgres://db-?.example.org:*"
alias = "postgres://db.example.org:5432"

[[namespaces]]                          # tables that a scanner has put into Atlas under names of its own
match = "postgres://db.example.org:5432"
rdbms_names = "plain"
atlas_namespace = "erp"

[[namespaces]]                          # the same tables as those of a hooked Hive
match = "arn:aws:glue:eu-west-1:*"
atlas_namespace = "cm"

[[namespaces]]                          # Flink's SQL names no namespace, unless the table is in Kafka or a database
regex = "^$"
name = "lake.*"
alias = "flink-lake"
ignore = false                          # whatever a rule below says of empty namespaces

[[namespaces]]
match = "s3://scratch-*"
ignore = true

[[tags]]
key = "pii"
classification = "PII"                  # a type that is in Atlas
propagate = true

[[facets]]
facet = "acme_cost"
path = "centre"
attribute = "costCentre"
"""


def mapping() -> Iterator[str]:
    """Write where names, facets and events go."""
    yield "# From OpenLineage to Atlas"
    yield ""
    yield MADE.format(source="`airflow_provider_mlgov/translate`, its examples and the schema of the rules")
    yield ""
    yield "What becomes of events: [names](#names), [rules](#rules), [facets](#facets), [events](#events). `mlgov"
    yield "translate` shows it for events of yours, and `mlgov rules explain NAMESPACE NAME` says why a dataset is"
    yield "called as it is."
    yield from names()
    yield from rules()
    yield from facets()
    yield from events()


def names() -> Iterator[str]:
    """Write the families, each with what its examples become."""
    from airflow_provider_mlgov.translate.naming import FAMILIES, family_of
    from airflow_provider_mlgov.translate.options import TranslateOptions

    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "support"))
    from naming_examples import EXAMPLES

    options = TranslateOptions(airflow_namespace="air", catalog_namespace="cat", platform_namespace="ns")
    yield ""
    yield "## Names"
    yield ""
    yield "`@ns` is `[mlgov] platform_namespace` or what a rule says of a cluster, `@air` is `[mlgov] namespace`"
    yield "(data that only its own hosts see), `@cat` is `[mlgov] catalogue_namespace`. Parents are written with"
    yield "their children. Types without `mlgov_` are Atlas's own, and their names those of its hooks, so that both"
    yield "speak of one entity. Of several names of one dataset a table in a catalogue (a TABLE symlink into Hive,"
    yield "Glue, Trino, Athena, Unity) counts before a path, whichever event of the run says it."
    yield ""
    rows = []
    for name, family in FAMILIES.items():
        found = [each for each in EXAMPLES if family_of(each[0].strip()) == name][:2] if family.schemes else []
        shown = [(namespace, text, chain(namespace, text, options)) for namespace, text, _ in found] or [("", "", "")]
        for index, (namespace, text, entities) in enumerate(shown):
            case = "" if family.case == "keep" else family.case
            about = (code(name), ", ".join(map(code, family.schemes)), case) if index == 0 else ("", "", "")
            rows.append((*about, f"{code(namespace)} ⟂ {code(text[:60])}" if namespace else "", entities))
    yield from table(("family", "schemes", "case", "OpenLineage", "Atlas"), rows)
    yield ""
    yield "`other` takes every scheme that no family has, and names of a form that its family does not know: nothing"
    yield "is dropped. `s3_v1` is chosen by rule only. A driver in a scheme, as SQLAlchemy has it (`postgresql+psycopg2`),"
    yield "says nothing. Data in memory and temporary tables (`#t`, `tempdb`,"
    yield "`pg_temp`, Hive's `values__tmp__table__…`, anonymous tables of BigQuery, and patterns of yours) are left"
    yield "out: what went into them and what came of them are ends of the run all the same. `orders__dbt_tmp` is"
    yield "`orders`. Partitions (`…/dt=2026-01-31/…`, `table$20260131`) are folded into their table, and named on"
    yield "the run; to drop or rename one does nothing to the table. Directories of experiments (`runs/lr=0.1,bs=32`) look"
    yield "like partitions, so they are one dataset `runs`: a rule with `partitions = false` and their `name` (`runs/*`) keeps"
    yield "them apart. A table whose name has no schema (`db.table`, as Spark names what it reads by JDBC; `table`, as Great"
    yield "Expectations does, where a `dataSource` facet says the database) is in the platform's"
    yield "default, `public` of PostgreSQL and Redshift, `dbo` of SQL Server (not of Synapse, whose names begin at the"
    yield "schema), where no `dataSource` facet says another database, and the first part is not that schema itself, or"
    yield "one of the system; of Oracle, DB2, Snowflake and CrateDB a rule (`schema`) can say which. Where your"
    yield "producers say `schema.table` of a server instead, as Airflow's SQL operators do where a connection names no"
    yield "database, a rule with an empty `schema` keeps them from being taken for tables of a database of that name. A"
    yield "rule's `type` of directories counts for those above, too, by what it says of their own names (a leading `/`"
    yield "counts), and never for a bucket."
    yield "Of what Hive's hook writes too, type, position and comment of a column and the kind and place of a"
    yield "table are only written when they are made. Columns that Atlas has no type for (of files,"
    yield "objects, topics) are `mlgov_field`, named `<dataset>#<column>@ns`."


def chain(namespace: str, name: str, options: Any) -> str:
    """Write the entities of a name."""
    from airflow_provider_mlgov.translate.naming import name_entities

    found = name_entities(namespace, name, options).entities
    return "<br>".join(f"{code(entity.type_name)} {code(entity.qualified_name[:90])}" for entity in found)


def rules() -> Iterator[str]:
    """Write what a file of rules may say."""
    from airflow_provider_mlgov.mapping_rules import schema

    yield ""
    yield "## Rules"
    yield ""
    yield "`[mlgov] mapping_rules` names a TOML or YAML file, which comes before all that is built in. For each"
    yield "decision the first rule that matches counts. `mlgov rules check` names every wrong line; `mlgov rules"
    yield "schema` prints the JSON schema. While a file is wrong nothing is sent: events wait, and the log says"
    yield "which line it is."
    yield ""
    yield "```toml"
    yield RULES.strip()
    yield "```"
    sections = schema()["properties"]
    for section in ("namespaces", "tags", "facets"):
        yield ""
        yield f"`[[{section}]]`: {sections[section]['description'][0].lower()}{sections[section]['description'][1:]}."
        yield ""
        properties = sections[section]["items"]["properties"]
        yield from table(
            ("key", "values", "meaning"),
            [
                (
                    code(key),
                    ", ".join(map(code, told.get("enum", ()))) or told.get("type", "text"),
                    told.get("description", ""),
                )
                for key, told in properties.items()
            ],
        )
    yield ""
    yield f"`temporary`: {sections['temporary']['description'][0].lower()}{sections['temporary']['description'][1:]}."


def facets() -> Iterator[str]:
    """Write where each facet goes."""
    from airflow_provider_mlgov.translate.facets import FACETS

    yield ""
    yield "## Facets"
    yield ""
    yield "What is not in this table never reaches the spool, unless a rule keeps it as a custom attribute. Versions"
    yield "are those of the specification that were read; later ones of a facet are read as far as they say the"
    yield "same. *Only if* names the option that keeps it."
    yield ""
    yield from table(
        ("of a", "facet", "version", "goes to", "only if"),
        [(f.holder, code(f.name), f.version, f.goes_to, code(f.switch) if f.switch else "") for f in FACETS],
    )
    yield ""
    yield "A tag becomes what a rule says, else a label where its text is one that Atlas takes, else a custom"
    yield "attribute. Tags, labels and custom attributes are only ever added. Owner and description are written when"
    yield "an entity is made and never again: what people change there stays."


def events() -> Iterator[str]:
    """Write what becomes of the kinds of events."""
    from airflow_provider_mlgov.delivery.clean import CleanOptions
    from airflow_provider_mlgov.translate.naming.names import MAX_LEVELS
    from airflow_provider_mlgov.translate.reading import MOST_DATASETS
    from airflow_provider_mlgov.translate.texts import MAX_NAME

    yield ""
    yield "## Events"
    yield ""
    yield from table(
        ("event", "what becomes of it"),
        [
            (
                "START, RUNNING, OTHER, none",
                "the run, without an end; a stream or service (`processingType` STREAMING, SERVICE) has its edges from here on",
            ),
            ("COMPLETE", "data, columns, processes, and how the run ended"),
            (
                "FAIL, ABORT",
                "how the run ended, and what its tests found; no edges. They count wherever a COMPLETE is: Spark sends both",
            ),
            ("job event", "the job and its process; a later one that names data replaces it (within 14 days)"),
            (
                "dataset event",
                "the dataset and its columns; its lineage has no job to hang it on and is left out, with a warning",
            ),
            ("`_deleted` facet", "the facet says nothing any more; what is stored stays"),
        ],
    )
    yield ""
    yield "Events of one run are united, in any order and any number of times. Of a producer whose events are"
    yield "complete pictures (`COMPLETE_SNAPSHOT`) the newest counts. A process is named after its ends: another set"
    yield "of ends is another process. Where an event says which input feeds which output (facet `lineage`; the list"
    yield "`dataset` of `columnLineage`; its columns, where there are several outputs), there is one process per group"
    yield "of outputs. What `columnLineage` alone names as a source of a single output has edges of columns only: parsers of SQL"
    yield "name aliases and common table expressions there. What passed through data in memory is followed to where it came from."
    yield "An execution of Spark's"
    yield "(`app.insert` of `app`) shares the processes of its application, so that an edge told by nested executions"
    yield "is one; its run has `parentKey` and `rootKey`, by which it is found from the task run that submitted it."
    yield "What one step calls by its path and another by its table is that table for all steps of the application that name"
    yield "none; where tables follow each other at one path, it is the one that was told nearest in time."
    yield ""
    yield "What describes data (types of columns, kind, owners of our types), a job or a task, and what a process does (query,"
    yield "code, operator) is what the newest event that tells it says, in whatever order they come, one facet as a whole: a"
    yield "process shows the query that was told last, though its `lastRun`, the last that did it, told none. The same goes for"
    yield "tests and measurements of a dataset, each by itself; a result goes with its dataset when that is dropped or gets"
    yield "another name (of a file that no run read or wrote yet it stays when its directory goes). The sender remembers for a"
    yield "day when each was told. What a run wrote and then gives up, since it failed,"
    yield "its data got another name, or a newer picture replaced an older, is deleted, unless another run has it, somebody else"
    yield "made it, or people put something on it; columns and results of tests that were sent stay while their dataset does,"
    yield "and columns keep the type that a run told in a send before the one that says that it failed."
    yield "A facet that does not have the form of the specification says nothing."
    yield ""
    yield "What was dropped stays gone, whatever is told later of an earlier time; what is newer stays, with the directory"
    yield "that it is in, and so does what somebody else has made again since. In Atlas an `hdfs_path` and an `fs_path` know no"
    yield "parent: what is in such a directory keeps its name, and stays, when that is renamed or dropped. What is told of a"
    yield "name that was given up since is told of the new name; where both names have an entity, the new one takes over the"
    yield "processes, columns,"
    yield "labels and classifications of the old. Processes are named after their ends as these are called now, so they are"
    yield "renamed too, and two that have the same ends then are one; the `processKey` of their runs follows (of a worker with"
    yield "more than 5,000 runs, not for certain where a run did several processes), while `io` stays as the run"
    yield "called its data. For this the sender remembers drops and renames for a day. Some things"
    yield "depend on the order still: which processes a table has that was made again after its drop, where all is told"
    yield "late; a name that is used again after a rename, where that is told late; how a process is called that has an end"
    yield "which was renamed and dropped, told late; description and owner, which people may edit and which are those of"
    yield "the event that came first; custom attributes, those of the one that came last; a run of Airflow's that was deleted"
    yield "and done again, where its second START is sent before its first end; and a run whose events go by the spools"
    yield "of two hosts, which unite their edges only: let one host write. An `eventTime` more than a day ahead of the clock"
    yield "makes the event a dead letter."
    yield ""
    yield f"An event may name {MOST_DATASETS:,} inputs and as many outputs; one that names more is refused. Beyond"
    yield f"{CleanOptions().event_limit:,} characters it loses its longest texts first, then whole facets, with a warning"
    yield "that names them; where lineage was lost so, no edge is guessed in its place. A text keeps"
    yield f"{CleanOptions().value_limit:,} characters. A path of more than {MAX_LEVELS} levels, or a name that needs more than"
    yield f"{MAX_NAME:,} characters in a URL, becomes one `mlgov_dataset`, whose name ends in a digest where it is too long."


def types() -> Iterator[str]:
    """Write the reference of the types."""
    from airflow_provider_mlgov.catalog.types.definitions import our_types

    definitions = our_types()
    entities = definitions["entityDefs"]
    yield "# Types"
    yield ""
    yield MADE.format(source="`airflow_provider_mlgov/catalog/types/mlgov.json`")
    yield ""
    yield "What `mlgov types apply` makes in the catalogue, beside Atlas's own types. All our attributes are optional."
    yield "One that is **indexed** can be searched for. Inherited ones (`qualifiedName`, `inputs` …) are Atlas's."
    yield ""
    yield from table(
        ("type", "super type", "what it is"),
        [
            (f"[`{e['name']}`](#{e['name']})", code(", ".join(e["superTypes"])), e.get("description", ""))
            for e in entities
        ],
    )
    for entity in entities:
        yield ""
        yield f"## {entity['name']}"
        yield ""
        yield f"{entity.get('description', '')}. Extends {code(', '.join(entity['superTypes']))}."
        if entity["attributeDefs"]:
            yield ""
            yield from table(
                ("attribute", "type", "indexed", "meaning"),
                [
                    (code(a["name"]), code(a["typeName"]), "yes" if a["isIndexable"] else "", a.get("description", ""))
                    for a in entity["attributeDefs"]
                ],
            )
    yield ""
    yield "## Relationships"
    yield ""
    yield from table(
        ("relationship", "kind", "ends"),
        [
            (code(r["name"]), r["relationshipCategory"].lower(), f"{end(r['endDef1'])} and {end(r['endDef2'])}")
            for r in definitions["relationshipDefs"]
        ],
    )


def end(definition: dict[str, Any]) -> str:
    """Write one end of a relationship."""
    return code(f"{definition['type']}.{definition['name']}")


def commands() -> Iterator[str]:
    """Write the reference of the command line, from its own parser."""
    from airflow_provider_mlgov.cli.main import _parser

    yield "# Commands"
    yield ""
    yield MADE.format(source="the parser in `airflow_provider_mlgov/cli`")
    yield ""
    yield "`mlgov` is installed with the package. It reads the same configuration as Airflow does (`AIRFLOW_HOME`,"
    yield "`airflow.cfg`, environment), unless an option says otherwise."
    yield from command(_parser(), "mlgov")


def command(parser: argparse.ArgumentParser, name: str) -> Iterator[str]:
    """Write one command and those below it."""
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not below or name == "mlgov":
        yield ""
        yield f"## {name}"
        yield ""
        yield parser.description or ""
        options = [action for action in parser._actions if action not in below and action.dest != "help"]
        if options:
            yield ""
            yield from table(("argument", "meaning"), [(code(signature(each)), text(each)) for each in options])
        if parser.epilog:
            yield ""
            yield parser.epilog
    for group in below:
        for child, sub in group.choices.items():
            yield from command(sub, f"{name} {child}")


def signature(action: argparse.Action) -> str:
    """Write an argument as one types it."""
    value = "" if action.nargs == 0 else str(action.metavar or "")
    if isinstance(action.metavar, tuple):
        value = " ".join(action.metavar)
    if not value and action.nargs != 0:
        value = "|".join(map(str, action.choices)) if action.choices else action.dest.upper()
    return f"{', '.join(action.option_strings)} {value}".strip()


def text(action: argparse.Action) -> str:
    """Write what an argument means, with its default."""
    words = (action.help or "").replace("%(default)s", str(action.default)).replace("%%", "%")
    return (
        words
        if action.default in (None, False, argparse.SUPPRESS) or str(action.default) in words
        else (f"{words} (default: {action.default})")
    )


def code(value: str) -> str:
    """Write a value as code, and nothing for nothing."""
    return f"`{value}`" if value else ""


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Write a Markdown table."""
    yield f"| {' | '.join(header)} |"
    yield f"|{'---|' * len(header)}"
    for row in rows:
        cells = " | ".join(cell.replace("|", "\\|") for cell in row)
        yield f"| {cells} |"


if __name__ == "__main__":
    sys.exit(main())
