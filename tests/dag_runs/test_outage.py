"""A real Airflow while a real Atlas goes away and comes back: no task notices, and afterwards nothing is missing in Atlas."""

from __future__ import annotations

import json
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import hook_guard
from airflow_daemons import Airflow, until
from airflow_provider_mlgov._compat import is_airflow_3
from airflow_provider_mlgov.catalog.atlas import AtlasCatalog
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.lineage.reconcile import attempts_in_catalog
from airflow_provider_mlgov.model.identity import DagRun
from breaking_proxy import BreakingProxy, Mode

pytestmark = [pytest.mark.scheduler, pytest.mark.atlas, pytest.mark.filterwarnings("default")]

DAG = """
import os, signal, time
from datetime import timedelta
import pendulum
from airflow.providers.common.compat.sdk import DAG, AirflowSkipException, BaseOperator
from airflow.providers.standard.operators.python import BranchPythonOperator, PythonOperator
from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow_provider_mlgov.lineage import read, wrote

def loads(number):
    read("/lake/raw.csv", rows=number)
    wrote(f"/lake/part-{number}.csv")

def fails():
    raise ValueError("no")

def second_time_lucky(ti):
    wrote("/lake/retried.csv")
    read("/lake/raw.csv")
    if ti.try_number < 2:
        raise ValueError("not yet")

def skips():
    raise AirflowSkipException("nothing to do")

class Waits(BaseOperator):
    def execute(self, context):
        read("/lake/before.csv")
        # Airflow may take five seconds to see that a process has ended; a task that is resumed before is failed by it
        self.defer(trigger=TimeDeltaTrigger(timedelta(seconds=10)), method_name="resumed")

    def resumed(self, context, event=None):
        wrote("/lake/after.csv")

def python(task_id, call, **kwargs):
    return PythonOperator(task_id=task_id, python_callable=call, **kwargs)

with DAG(dag_id="outage", schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz="UTC"), catchup=False,
         is_paused_upon_creation=False) as dag:
    python("retried", second_time_lucky, retries=1, retry_delay=timedelta(seconds=1))
    Waits(task_id="deferred")
    python("skipped", skips)
    python("failed", fails) >> python("upstream_failed", lambda: None)
    BranchPythonOperator(task_id="branch", python_callable=lambda: "left") >> [
        python("left", lambda: None), python("right", lambda: None)]
    python("exits", lambda: os._exit(7))
    python("killed", lambda: os.kill(os.getpid(), signal.SIGKILL), retries=1, retry_delay=timedelta(seconds=1))
    python("terminated", lambda: (os.kill(os.getpid(), signal.SIGTERM), time.sleep(1)))
    PythonOperator.partial(task_id="load", python_callable=loads).expand(op_args=[[n] for n in range(COUNT)])
"""
AROUND = 11
"""Task instances of the DAG beside those of the mapped task."""
FORETOLD = {
    ("retried", -1, 1): "up_for_retry",
    ("retried", -1, 2): "success",
    ("deferred", -1, 1): "success",
    ("skipped", -1, 1): "skipped",
    ("failed", -1, 1): "failed",
    ("branch", -1, 1): "success",
    ("left", -1, 1): "success",
    ("exits", -1, 1): "failed",
    ("killed", -1, 1): "failed",
    ("killed", -1, 2): "failed",
    # 3.x tells the operator and lets its code go on
    ("terminated", -1, 1): "success" if is_airflow_3() else "failed",
}


def loads(count: int) -> dict[tuple[str, int, int], str]:
    return {("load", number, 1): "success" for number in range(count)}


NEVER_RAN = {"right": "skipped", "upstream_failed": "upstream_failed"}
ENDS = ("success", "failed", "skipped", "upstream_failed", "removed")
Phases = tuple[tuple[float, Mode], ...]
"""What becomes of Atlas, once such a part of the task runs has ended."""
ONCE: Phases = ((0.1, "refuse"), (0.4, "hang"), (0.7, "pass"))
TWICE: Phases = ((0.1, "refuse"), (0.3, "hang"), (0.5, "pass"), (0.6, "cut"), (0.75, "hang"), (0.9, "pass"))
"""After a call that was cut, the sender waits for a minute: it may still be at work in Atlas."""


class Outage:
    """An Airflow that records into a real Atlas behind a proxy."""

    def __init__(self, home: Path, atlas_url: str, count: int) -> None:
        parts = urlsplit(atlas_url)
        self.proxy = BreakingProxy(parts.hostname or "", parts.port or 0)
        self.namespace = f"air-{uuid.uuid4().hex[:8]}"
        self.count = count
        login = {"login": parts.username, "password": parts.password}
        connection = {"conn_type": "atlas", "host": f"http://127.0.0.1:{self.proxy.port}", **login}
        self.airflow = Airflow(
            home,
            {"outage.py": DAG.replace("COUNT", str(count))},
            more={
                "AIRFLOW_CONN_ATLAS_BEHIND": json.dumps(connection),
                # a busy machine is not what is tested
                "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "300",
                "AIRFLOW__SCHEDULER__SCHEDULER_ZOMBIE_TASK_THRESHOLD": "300",
            },
            atlas_conn_id="atlas_behind",
            namespace=self.namespace,
            send_budget="2",
            breaker_interval="2",
        )
        hook_guard.put(home)
        self.spool = Spool(home / "mlgov" / "spool")

    def ended(self) -> int:
        """How many task instances have ended."""
        marks = ", ".join("?" * len(ENDS))
        [[ended]] = self.airflow.query(f"select count(*) from task_instance where state in ({marks})", *ENDS)
        return int(ended)

    def run_state(self) -> str:
        """The state of the DAG run."""
        [[state]] = self.airflow.query("select state from dag_run where run_id = 'one'")
        return str(state)

    def all_delivered(self) -> bool:
        """Whether nothing waits any more: neither events nor notes."""
        notes = list((self.spool.root / "followup").glob("*"))
        return not self.spool.has_waiting() and not notes


@pytest.fixture
def outage(tmp_path: Path, atlas_url: str, request: pytest.FixtureRequest) -> Iterator[Outage]:
    made = Outage(tmp_path, atlas_url, request.param)
    with ExitStack() as stack:
        stack.callback(made.proxy.close)
        stack.enter_context(made.airflow.running(triggerer=True))
        yield made


@pytest.mark.parametrize(
    ("outage", "phases"),
    [
        # on 2.11 in `make test-long` only: it takes a minute
        pytest.param(12, ONCE, marks=() if is_airflow_3() else pytest.mark.long),
        pytest.param(200, TWICE, marks=[pytest.mark.long, pytest.mark.timeout(3600)]),
    ],
    indirect=["outage"],
)
def test_atlas_goes_away_and_comes_back(outage: Outage, phases: Phases, atlas: AtlasCatalog) -> None:
    began = time.monotonic()
    airflow, everything = outage.airflow, outage.count + AROUND
    airflow.trigger("outage", "one")
    for part, mode in phases:
        until(f"{part:.0%} of the task runs", 2400, lambda part=part: outage.ended() >= part * everything)
        outage.proxy.become(mode)
    until("the end of the DAG run", 600, lambda: outage.run_state() in ENDS)
    ran = time.monotonic() - began
    waited = outage.spool.counts().waiting
    until("all that waited", 900, outage.all_delivered)
    delivered = time.monotonic() - began

    # Every task's state is what it would have been.
    states = airflow.attempts("one")
    assert outage.run_state() == "failed"
    assert states.keys() == {*FORETOLD, *(a for a in states if a[0] in NEVER_RAN), *loads(outage.count)}
    assert differing(states, {**FORETOLD, **loads(outage.count)}) == {}
    assert {task: state for (task, _, _), state in states.items() if task in NEVER_RAN} == NEVER_RAN

    # Nothing is missing in Atlas, nothing is there twice, and what tasks read and wrote is as they said it.
    recorded = list(attempts_in_catalog(atlas, outage.namespace, "outage", "one", ("state", "io")))
    found = {(run.task_id, run.map_index, run.try_number): told.get("state") for run, told in recorded}
    assert len(recorded) == len(found) == len(states)
    assert differing(found, states) == {}
    [run] = atlas.search(
        "mlgov_dag_run", {"runKey": DagRun(outage.namespace, "outage", "one").key}, attributes=("state",)
    )
    assert run["attributes"]["state"] == "failed"
    assert flows_in_atlas(atlas, outage.namespace) == flows(outage.count)
    counts = outage.spool.counts()
    assert (counts.waiting, counts.dead, counts.odd) == (0, 0, 0)

    # The hooks in daemons asked nobody anything meanwhile.
    calls = hook_guard.calls(airflow.home)
    assert [call for call in calls if call["reached"]] == []
    hooks = [call for call in calls if call["hook"] in hook_guard.OF_RUNS]
    assert {call["hook"] for call in hooks} == {"on_dag_run_running", "on_dag_run_failed"}
    took = ", ".join(f"{call['milliseconds']:.1f}" for call in hooks)
    print(  # noqa: T201 - the figures of the long test belong into its result
        f"\n{len(states)} attempts ended after {ran:.0f} s with {waited} events waiting, all in Atlas after {delivered:.0f} s; "
        f"connections by what became of them: {outage.proxy.calls}; missing: 0, twins: 0, dead letters: 0; "
        f"hooks of the DAG run: {took} ms"
    )


def differing(found: dict[Any, Any], wanted: dict[Any, Any]) -> dict[Any, Any]:
    """What is not as wanted. A try before the last has failed for Airflow's database, and is up for retry for its listeners."""
    failed = {"failed", "up_for_retry"}
    pairs = {key: (found.get(key), state) for key, state in wanted.items()}
    return {key: (one, two) for key, (one, two) in pairs.items() if one != two and not {one, two} <= failed}


def flows(count: int) -> Counter[tuple[tuple[str, ...], tuple[str, ...]]]:
    """What reads what and writes what, of the tasks that succeeded and said it."""
    loaded = [(("/lake/raw.csv",), (f"/lake/part-{number}.csv",)) for number in range(count)]
    return Counter(
        [*loaded, (("/lake/raw.csv",), ("/lake/retried.csv",)), (("/lake/before.csv",), ("/lake/after.csv",))]
    )


def flows_in_atlas(atlas: AtlasCatalog, namespace: str) -> Counter[tuple[tuple[str, ...], tuple[str, ...]]]:
    """The same, from the edges of the processes in Atlas."""
    found: Counter[tuple[tuple[str, ...], tuple[str, ...]]] = Counter()
    names: dict[str, str] = {}
    for header in atlas.search("mlgov_task_process", {"airflowNamespace": namespace}, limit=1000):
        process = atlas.get_by_guid(header["guid"], relationships=True)
        assert process is not None
        ends = []
        for way in ("inputs", "outputs"):
            guids = [end["guid"] for end in process["attributes"][way]]
            for guid in guids:
                if guid not in names:
                    entity = atlas.get_by_guid(guid)
                    assert entity is not None
                    names[guid] = (
                        "/lake/" + entity["attributes"]["qualifiedName"].partition("/lake/")[2].partition("@")[0]
                    )
            ends.append(tuple(sorted(names[guid] for guid in guids)))
        found[ends[0], ends[1]] += 1
    return found
