"""The options of section ``[mlgov]`` as a table: the provider metadata, the loader and the documentation are made of it.

No default may hold ``%`` or braces: Airflow would interpolate them. Where the real default is computed (a path under
``AIRFLOW_HOME``), the declared one is empty.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SECTION = "mlgov"
"""The section of airflow.cfg."""

Kind = Literal["string", "boolean", "integer", "float"]


@dataclass(frozen=True)
class Option:
    """One option, as Airflow's provider metadata wants it."""

    name: str
    kind: Kind
    default: str
    description: str
    example: str | None = None
    version_added: str = "0.1.0"


OPTIONS: tuple[Option, ...] = (
    Option("enabled", "boolean", "False", "Record lineage. Naming our class in [lineage] backend is the same switch."),
    Option(
        "atlas_conn_id",
        "string",
        "",
        "Connection of type atlas to write to. Empty: the embedded catalogue, one SQLite file.",
        "atlas_default",
    ),
    Option(
        "forward_conn_id",
        "string",
        "",
        "Connection of type atlas to a receiver (mlgov receive) that this host sends its events to, in place of writing to the "
        "catalogue: for workers on other hosts. The password is a token made with --airflow and --own-facets.",
        "mlgov_receiver",
    ),
    Option(
        "sinks",
        "string",
        "",
        "Where lineage goes, separated by commas: catalog (what atlas_conn_id names, by REST), kafka or notification (the same "
        "Atlas, by messages), embedded, file, none. Empty: catalog. Each has its own place in the spool: docs/operations.md.",
        "kafka, file",
    ),
    Option(
        "kafka_conn_id",
        "string",
        "",
        "Of sink kafka: a Connection whose extra is the configuration of the Kafka client, as that of Airflow's Kafka provider.",
        "kafka_default",
    ),
    Option("kafka_topic", "string", "ATLAS_HOOK", "Of sink kafka: the topic that Atlas reads."),
    Option("kafka_group", "string", "atlas", "Of sink kafka: Atlas's consumer group (atlas.kafka.hook.group.id)."),
    Option(
        "message_wait",
        "float",
        "60.0",
        "Of sinks kafka and notification: seconds within which Atlas has to show what was sent to it by message.",
    ),
    Option("sink_file", "string", "", "Of sink file: where to. Empty: mlgov/entities.ndjson under AIRFLOW_HOME."),
    Option(
        "namespace",
        "string",
        "",
        "The name of this Airflow in the catalogue; DAGs, tasks and runs carry it. Required with an Atlas, which several "
        "Airflows may share. Never change it later: the same DAG would be another one.",
        "airflow-prod",
    ),
    Option(
        "catalogue_namespace",
        "string",
        "primary",
        "The name that models, deployments and other jobs carry; shared by all Airflows that write to one catalogue.",
    ),
    Option(
        "platform_namespace",
        "string",
        "primary",
        "The metadata namespace of Atlas's own hooks (atlas.metadata.namespace), so that tables and paths meet theirs.",
    ),
    Option(
        "embedded_path", "string", "", "File of the embedded catalogue. Empty: mlgov/catalog.db under AIRFLOW_HOME."
    ),
    Option(
        "spool_folder",
        "string",
        "",
        "Folder where events wait until the catalogue has them. On a local disk. Empty: mlgov/spool under AIRFLOW_HOME.",
    ),
    Option(
        "spool_shared",
        "boolean",
        "False",
        "Several hosts use spool_folder, on a network file system: who sends has a lease there, not a lock of the host. All "
        "need the same user id, and Atlas: docs/operations.md.",
    ),
    Option(
        "handover_path",
        "string",
        "",
        "Folder, or URL of an object storage, that this host puts its events into, in place of writing to the catalogue, for one "
        "with collect_path. For pods, whose spool ends with them. With forward_conn_id: only where the receiver does not answer.",
        "s3://aws_default@lineage/handover",
    ),
    Option(
        "collect_path",
        "string",
        "",
        "Folder, or URL of an object storage, that this host, which writes to the catalogue, takes the events of others from: "
        "their handover_path. Not looked at on a host with a handover_path or forward_conn_id of its own.",
        "s3://aws_default@lineage/handover",
    ),
    Option(
        "spool_megabytes",
        "float",
        "1024.0",
        "Megabytes of events that may wait; beyond that the oldest become dead letters. 0: no limit.",
    ),
    Option("spool_days", "float", "0.0", "Days that an event may wait before it becomes a dead letter. 0: no limit."),
    Option(
        "send_budget",
        "float",
        "5.0",
        "Seconds that the end of a task may spend on sending; what is left stays in the spool.",
    ),
    Option(
        "collect_timeout",
        "float",
        "3.0",
        "Seconds that an operator's own OpenLineage methods, and the templates of its inlets and outlets, may take together; "
        "never more than 0.7 of the time that the end of a task has (`send_budget`, or half of `[core] task_success_overtime`).",
    ),
    Option(
        "delivery_process",
        "boolean",
        "True",
        "Let the scheduler and the API server start a process that drains the spool.",
    ),
    Option(
        "types_apply",
        "string",
        "automatic",
        "automatic: make the types in the catalogue at first use. manual: do not.",
        "manual",
    ),
    Option("selective", "boolean", "False", "Record only the DAGs and tasks that were chosen with enable_lineage."),
    Option(
        "dags",
        "string",
        "",
        "Record only DAGs whose id matches one of these patterns, separated by commas.",
        "ml_*, features",
    ),
    Option("disabled_dags", "string", "", "Leave out DAGs whose id matches one of these patterns.", "test_*"),
    Option(
        "disabled_tasks",
        "string",
        "",
        "Leave out tasks that match: patterns of the task id, or of dag.task.",
        "*.cleanup_*",
    ),
    Option(
        "disabled_operators",
        "string",
        "",
        "Leave out operators that match: patterns of the class name, or of the full path.",
        "EmptyOperator, my_company.operators.*",
    ),
    Option(
        "mapping_rules",
        "string",
        "",
        "File of rules, TOML or YAML, that say how OpenLineage names, tags and facets become Atlas entities: docs/mapping.md.",
        "/etc/mlgov/rules.toml",
    ),
    Option("s3_scheme", "string", "s3a", "The scheme under which Atlas's hooks know S3 paths: s3a, s3n or s3.", "s3"),
    Option(
        "masked_names",
        "string",
        "",
        "More names of parameters whose values are masked, beside the built-in ones (password, api_key and such).",
        "customer_id",
    ),
    Option("send_code", "boolean", "False", "Keep the source code of tasks where OpenLineage events hold it."),
    Option("send_conf", "boolean", "False", "Keep the conf and params of DAG runs and the arguments of operators."),
    Option("send_environment", "boolean", "False", "Keep environment variables where events hold them."),
    Option(
        "environment_names",
        "string",
        "*",
        "Which environment variables are kept with send_environment: patterns of their names.",
        "SPARK_*, REGION",
    ),
    Option("send_stack_traces", "boolean", "False", "Keep the stack traces of errors; their messages are kept anyway."),
    Option(
        "receiver_mount",
        "boolean",
        "False",
        "Receive OpenLineage events at /mlgov/api/v1/lineage of Airflow 3's API server; who sends needs a token: docs/receiver.md.",
    ),
    Option(
        "receiver_hosts",
        "string",
        "",
        "Names under which the receiver answers (the Host of a call), separated by commas. Empty: on localhost its own, else any.",
        "lineage.example.org",
    ),
    Option(
        "receiver_rate",
        "float",
        "2000.0",
        "Events a second that the receiver takes with one token, and ten times that at once; beyond that it answers 429 with "
        "Retry-After. 0: no limit.",
    ),
    Option("breaker_interval", "float", "60.0", "Seconds between two tries of a catalogue that is not usable."),
    Option("state_hours", "float", "24.0", "Hours after its end for which the state of a run is kept on this host."),
)
