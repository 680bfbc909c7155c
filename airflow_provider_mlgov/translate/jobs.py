"""Entities of who did it: DAG, task, DAG run, task run; job and job run of other systems; and their processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from airflow_provider_mlgov.model import identity
from airflow_provider_mlgov.model.entity import Entity, Ref, dated, ends_digest
from airflow_provider_mlgov.translate.datasets import all_owners, first_owner
from airflow_provider_mlgov.translate.events import facet
from airflow_provider_mlgov.translate.facets import facts_of
from airflow_provider_mlgov.translate.runs import Run, known
from airflow_provider_mlgov.translate.texts import long, plain
from airflow_provider_mlgov.translate.times import milliseconds


@dataclass(frozen=True)
class Done:
    """What a run came to: its ``io`` text and the tokens of its processes."""

    io: str
    process_key: str


def run_entities(run: Run, done: Done | None) -> list[Entity]:
    """Who did it, from the DAG or job down to the run. A run that has not ended has no state, and no ``io``."""
    name = run.name
    if isinstance(name, identity.TaskRun):
        return _task_run(run, name, done)
    if isinstance(name, identity.DagRun):
        dag = identity.Dag(name.namespace, name.dag)
        return [_dag(run, dag, str(name)), _dag_run(run, name, own=True)]
    if isinstance(name, identity.JobRun):
        job = identity.Job(name.namespace, name.job_namespace, name.job)
        return [_job(run, job, str(name)), _job_run(run, name, job, done)]
    return [_job(run, name, None)] if name is not None else []


def process_entity(run: Run, role: str, inputs: tuple[Ref, ...], outputs: tuple[Ref, ...]) -> Entity | None:
    """An ordinary or scoring process, named after its ends. A DAG run has none: its tasks do the work."""
    digest = ends_digest(inputs, outputs)
    relations = {name: refs for name, refs in (("inputs", inputs), ("outputs", outputs)) if refs}
    name = run.name
    latest = {} if isinstance(name, identity.Job) else {"lastRun": str(name), "lastState": run.state}
    facts = {**run.query, **run.code}
    if isinstance(name, identity.TaskRun):
        process = identity.TaskProcess(name.namespace, name.dag, name.task, digest)
        type_name = "mlgov_score_process" if role == "scoring" else process.type_name
        attributes = {
            "name": f"{name.dag}.{name.task}",
            "dagId": name.dag,
            "taskId": name.task,
            **_keys(name),
            "processKey": process.key,
            "airflowNamespace": name.namespace,
        }
        del attributes["runKey"]
        facts |= known(operator=plain(run.words.get("operator")))
        qualified = str(process)
    elif (job := run.worker) is not None:
        job_process = identity.JobProcess(job.namespace, job.job_namespace, job.job, digest)
        type_name, qualified = job_process.type_name, str(job_process)
        attributes = {"name": job.job, **_of_job(job), "processKey": job_process.key}
    else:
        return None
    return Entity(
        type_name,
        qualified,
        attributes,
        described=dated(facts, run.told),
        latest=latest,
        as_of=run.told,
        relations=relations,
    )


def making_attributes(run: Run, process: identity.QualifiedName, build: identity.Build) -> dict[str, Any]:
    """What the processes say that are named after what they make: training, evaluating, deploying."""
    return {
        **maker_attributes(run, task_id=True),
        "processKey": process.key,
        "buildKey": build.key,
        **known(lastRun=run_name(run), operator=plain(run.words.get("operator")), startTime=run.start, endTime=run.end),
    }


def maker_attributes(run: Run, *, task_id: bool = False) -> dict[str, Any]:
    """Which DAG and run made something."""
    if not isinstance(run.name, identity.TaskRun):
        return {}
    attributes = {"dagId": run.name.dag, "runKey": _keys(run.name)["runKey"]}
    return attributes | ({"taskId": run.name.task} if task_id else {})


def run_name(run: Run) -> str | None:
    """The qualifiedName of the run, if there is one."""
    return str(run.name) if isinstance(run.name, (identity.TaskRun, identity.JobRun)) else None


def user_name(run: Run) -> str:
    """Who it ran as; Atlas wants one for some processes."""
    return plain(run.words.get("userName")) or plain(run.words.get("owner")) or "unknown"


def _keys(name: identity.TaskRun) -> dict[str, str]:
    return {
        "dagKey": identity.Dag(name.namespace, name.dag).key,
        "taskKey": identity.Task(name.namespace, name.dag, name.task).key,
        "runKey": identity.DagRun(name.namespace, name.dag, name.run).key,
    }


def _task_run(run: Run, name: identity.TaskRun, done: Done | None) -> list[Entity]:
    words = run.words
    dag = identity.Dag(name.namespace, name.dag)
    task = identity.Task(name.namespace, name.dag, name.task)
    keys = _keys(name)
    what = known(operator=plain(words.get("operator")), taskGroup=plain(words.get("taskGroup")))
    facts = what | _job_facts(run)
    ended = {"lastRun": str(name), "lastState": run.state} if run.state else {}
    task_entity = Entity(
        task.type_name,
        str(task),
        {
            "name": f"{name.dag}.{name.task}",
            "dagId": name.dag,
            "taskId": name.task,
            "dagKey": keys["dagKey"],
            "taskKey": keys["taskKey"],
        },
        marks=run.job_marks,
        described=dated(facts, run.told) if ended else {},
        create_only=known(owner=_owner(run)) | ({} if ended else facts),
        latest=ended,
        as_of=run.told,
    )
    mapped = f"[{name.map_index}]" if name.map_index >= 0 else ""
    again = f" try {name.try_number}" if name.try_number > 1 else ""
    attributes = {
        "name": f"{name.dag}.{name.task}{mapped}{again}",
        "dagId": name.dag,
        "runId": name.run,
        "taskId": name.task,
        "mapIndex": name.map_index,
        "tryNumber": name.try_number,
        **keys,
        **what,
        **known(
            mapLabel=plain(words.get("mapLabel")),
            logUrl=plain(words.get("logUrl")),
            userName=plain(words.get("userName")),
        ),
        **_of_run(run),
    }
    task_run = Entity(name.type_name, str(name), attributes, latest=_ending(run, done), as_of=run.told, marks=run.marks)
    dag_run = identity.DagRun(name.namespace, name.dag, name.run)
    return [_dag(run, dag, None), task_entity, _dag_run(run, dag_run, own=False), task_run]


def _dag(run: Run, dag: identity.Dag, last_run: str | None) -> Entity:
    """A DAG. Its DAG runs keep it up to date; a task run only creates it."""
    words = run.words
    attributes = {"name": dag.dag, "dagId": dag.dag, "dagKey": dag.key, "airflowNamespace": dag.namespace}
    tags = words.get("dagTags")
    facts = known(
        schedule=plain(words.get("schedule")),
        fileLocation=plain(words.get("fileLocation")),
        tags=[text for tag in tags if (text := plain(tag))] if isinstance(tags, list) else None,
    )
    create_only = known(description=long(words.get("dagDescription")), owner=_owner(run))
    if last_run is None or run.state is None:
        return Entity(dag.type_name, str(dag), attributes, create_only=create_only | facts)
    return Entity(
        dag.type_name,
        str(dag),
        attributes,
        described=dated(facts, run.told),
        create_only=create_only,
        latest={"lastRun": last_run, "lastState": run.state},
        as_of=run.told,
    )


def _dag_run(run: Run, name: identity.DagRun, *, own: bool) -> Entity:
    """A DAG run; ``own`` says whether the event is about it or about one of its task runs."""
    words = run.words
    attributes: dict[str, Any] = {
        "name": f"{name.dag} {name.run}",
        "dagId": name.dag,
        "runId": name.run,
        "dagKey": identity.Dag(name.namespace, name.dag).key,
        "runKey": name.key,
        **known(
            runType=plain(words.get("runType"), 100),
            dagVersion=plain(words.get("dagVersion")),
            **{
                key: milliseconds(words.get(key))
                for key in ("logicalDate", "runAfter", "dataIntervalStart", "dataIntervalEnd")
            },
        ),
    }
    if not own:
        return Entity(name.type_name, str(name), attributes)
    attributes |= known(startTime=run.start, openLineageRunId=plain(run.key, 500))
    latest = {"state": run.state, "endTime": run.end} if run.state else {}
    return Entity(name.type_name, str(name), attributes, latest=latest, as_of=run.told)


def _job(run: Run, job: identity.Job, last_run: str | None) -> Entity:
    kind = facet(run.job, "jobType")
    create_only = known(
        description=long(facet(run.job, "documentation").get("description")),
        owner=first_owner(facet(run.job, "ownership")),
    )
    facts = known(
        integration=plain(kind.get("integration")),
        processingType=plain(kind.get("processingType")),
        jobType=plain(kind.get("jobType")),
        owners=all_owners(facet(run.job, "ownership")) or None,
        **_job_facts(run),
    )
    latest = {"lastRun": last_run, "lastState": run.state} if last_run and run.state else {}
    told = run.told
    if isinstance(run.name, identity.Job):  # its events are complete in themselves: no end dates what was said before
        told = max((register[0] // 1000 for register in run.job.values()), default=told)
    return Entity(
        job.type_name,
        str(job),
        {"name": job.job, **_of_job(job)},
        described=dated(facts, told),
        create_only=create_only if run.told is not None else create_only | facts,
        latest=latest,
        as_of=run.told,
        marks=run.job_marks,
    )


def _job_run(run: Run, name: identity.JobRun, job: identity.Job, done: Done | None) -> Entity:
    worker = known(workerKey=run.worker.key if run.worker else None)
    attributes = {"name": name.job, **_of_job(job), **worker, **_of_run(run)}
    return Entity(name.type_name, str(name), attributes, latest=_ending(run, done), as_of=run.told, marks=run.marks)


def _of_job(job: identity.Job) -> dict[str, Any]:
    return {"jobNamespace": job.job_namespace, "jobName": job.job, "jobKey": job.key}


def _of_run(run: Run) -> dict[str, Any]:
    """What task runs and job runs have in common."""
    return {
        **known(
            startTime=run.start,
            hostname=plain(run.words.get("hostname")),
            errorMessage=run.error,
            facts=facts_of("run", run.facets),
            **run.nominal,
            **run.query,
            **run.code,
            **run.engine,
            **run.findings,
        ),
        **run.family,
    }


def _ending(run: Run, done: Done | None) -> dict[str, Any]:
    """How it ended, and what it did; a job that streams has done something before it ends."""
    latest = known(state=run.state, stateSource=run.source, endTime=run.end)
    return latest | ({"io": done.io, "processKey": done.process_key} if done else {})


def _job_facts(run: Run) -> dict[str, Any]:
    """What task and job have in common."""
    return known(sourceCode=long(facet(run.job, "sourceCode").get("sourceCode")), facts=facts_of("job", run.job))


def _owner(run: Run) -> str | None:
    owner = plain(run.words.get("owner"))
    return owner if owner and owner.strip("*") else None
