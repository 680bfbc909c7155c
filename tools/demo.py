"""Runs the demo DAG for real and prints its lineage; `make demo` and `make demo-stop`.

    python tools/demo.py run [--without-lab-results]     with the Python of an environment that has Airflow and this package
    python tools/demo.py stop                            stops the scoring server that the last run left behind

Everything is under .demo/ (``MLGOV_DEMO_HOME`` names another folder). The catalogue is the embedded one; with
``MLGOV_DEMO_ATLAS=http://user:password@host:21000`` the lineage goes to that Atlas.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import sqlite3
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "dags_examples"
DAG_ID = "mlgov_demo"
NAMESPACE = "demo"
CONNECTION = "mlgov_demo_atlas"
SEND_SECONDS = 120.0
_FOR_THE_USER = ("AIRFLOW_HOME", "AIRFLOW__MLGOV__NAMESPACE", "AIRFLOW__MLGOV__ATLAS_CONN_ID")
"""What `mlgov` has to know to find the demo's catalogue."""

_STARTING = re.compile(r"\[DAG TEST\] starting task_id=(?P<task>\S+) map_index=(?P<index>-?\d+)")


class DemoError(Exception):
    """The demo cannot go on; the message says what to do."""


class Demo:
    """Folders and environment of the demo."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.airflow = home / "airflow"
        self.data = home / "data"
        self.log = home / "run.log"
        self.result = home / "run.json"

    def environment(self) -> dict[str, str]:
        """The environment of everything that the demo starts: this Airflow, whatever the user's own says."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
        atlas = os.environ.get("MLGOV_DEMO_ATLAS", "")
        return kept | {
            "AIRFLOW_HOME": str(self.airflow),
            "AIRFLOW__CORE__DAGS_FOLDER": str(EXAMPLES),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.airflow / 'airflow.db'}",
            "AIRFLOW__LINEAGE__BACKEND": "airflow_provider_mlgov.lineage.AtlasLineageBackend",
            "AIRFLOW__MLGOV__NAMESPACE": NAMESPACE,
            # The run's own process does its work before it ends: nothing may go on behind the demo.
            "AIRFLOW__MLGOV__DELIVERY_PROCESS": "False",
            "AIRFLOW__MLGOV__ATLAS_CONN_ID": CONNECTION if atlas else "",
            **({f"AIRFLOW_CONN_{CONNECTION.upper()}": connection(atlas)} if atlas else {}),
            "MLGOV_DEMO_FOLDER": str(self.data),
            "PYTHONWARNINGS": "ignore",
        }


def connection(url: str) -> str:
    """The Airflow connection for the URL of an Atlas."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise DemoError("MLGOV_DEMO_ATLAS names no Atlas; wanted http://user:password@host:21000")
    host = parts.hostname if parts.scheme == "http" else f"{parts.scheme}://{parts.hostname}"
    found = {
        "conn_type": "atlas",
        "host": host,
        "port": parts.port,
        "login": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
    }
    return json.dumps({name: value for name, value in found.items() if value})


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    run_command = commands.add_parser("run", help="run the DAG and print its lineage")
    run_command.add_argument(
        "--without-lab-results", action="store_true", help="a day on which the optional input is not there"
    )
    commands.add_parser("stop", help="stop the scoring server")
    inside = commands.add_parser("inside", help="(what `run` starts: one run, in this process)")
    inside.add_argument("conf", type=json.loads)
    inside.add_argument("result", type=Path)
    arguments = parser.parse_args()
    demo = Demo(Path(os.environ.get("MLGOV_DEMO_HOME") or ROOT / ".demo").absolute())
    try:
        if arguments.command == "inside":
            run_inside(arguments.conf, arguments.result)
        elif arguments.command == "stop":
            print(stop(demo))
        else:
            run(demo, lab_results=not arguments.without_lab_results)
    except DemoError as error:
        print(f"\nerror: {error}\n", file=sys.stderr)
        return 1
    return 0


# --- one run ---------------------------------------------------------------------------------------------------------


def run(demo: Demo, *, lab_results: bool) -> None:
    """Prepare Airflow, run the DAG, print the lineage and where to look further."""
    began = time.monotonic()
    environment = demo.environment()
    demo.airflow.mkdir(parents=True, exist_ok=True)
    with step("prepare Airflow's database"):
        prepare(demo, environment)
    print("run the DAG (two failures are part of it: a retry, and a branch that never succeeds)", flush=True)
    run_id = run_dag(demo, environment, {"lab_results": lab_results})
    print()
    command = [
        sys.executable,
        "-m",
        "airflow_provider_mlgov.cli.main",
        "lineage",
        "--dag-id",
        DAG_ID,
        "--run-id",
        run_id,
    ]
    if subprocess.run(command, env=environment, check=False).returncode:
        raise DemoError("the lineage could not be read; the message above says why")
    print_where_to_look(demo, run_id)
    print(f"done in {time.monotonic() - began:.0f} s")


def prepare(demo: Demo, environment: dict[str, str]) -> None:
    """Make Airflow's database, or bring it up to date after another version of Airflow was installed."""
    stamp = demo.airflow / "migrated"
    version = subprocess.run(
        [sys.executable, "-c", "from airflow_provider_mlgov._compat import airflow_version; print(airflow_version())"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if version.returncode:
        raise DemoError(
            f"Airflow or this package is not installed in {sys.prefix}: use `make demo`\n{version.stderr[-500:]}"
        )
    wanted = version.stdout.strip()
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return
    command = [sys.executable, "-m", "airflow", "db", "migrate"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        demo.log.write_text(done.stdout + done.stderr, encoding="utf-8")
        raise DemoError(
            f"`airflow db migrate` failed; see {demo.log}. If Airflow was changed, remove {demo.airflow} and try again"
        )
    stamp.write_text(wanted, encoding="utf-8")


def run_dag(demo: Demo, environment: dict[str, str], conf: dict[str, Any]) -> str:
    """Run the DAG in a process of its own, show its tasks as they come, and return the run id."""
    demo.result.unlink(missing_ok=True)
    command = [sys.executable, __file__, "inside", json.dumps(conf), str(demo.result)]
    last: deque[str] = deque(maxlen=25)
    seen: set[str] = set()
    with demo.log.open("w", encoding="utf-8") as log:
        child = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        )
        for line in child.stdout or ():
            log.write(line)
            last.append(line)
            show_progress(line, seen)
        child.wait()
    if child.returncode or not demo.result.exists():
        raise DemoError(
            f"the run ended with status {child.returncode}; its last lines (all of it: {demo.log}):\n{''.join(last)}"
        )
    result = json.loads(demo.result.read_text(encoding="utf-8"))
    states = ", ".join(f"{count} {state}" for state, count in sorted(result["states"].items()))
    print(f"  {result['state']}: {states}", flush=True)
    if result["state"] != "success":
        raise DemoError(f"the DAG run did not succeed; see {demo.log}")
    if result["waiting"] or result["dead"]:
        raise DemoError(
            f"{result['waiting']} events wait in the spool and {result['dead']} are dead letters: "
            f"{result['trouble'] or f'see {demo.log}'}"
        )
    run_id: str = result["run_id"]
    return run_id


def run_inside(conf: dict[str, Any], result: Path) -> None:
    """One run of the DAG in this process, then everything that waits goes to the catalogue."""
    sys.path.insert(0, str(EXAMPLES))
    from mlgov_demo import dag

    done = dag.test(run_conf=conf)
    states: dict[str, int] = {}
    for instance in done.get_task_instances():
        states[str(instance.state)] = states.get(str(instance.state), 0) + 1
    from airflow_provider_mlgov.assembly import open_sender, open_spool
    from airflow_provider_mlgov.lineage.reconcile import reconcile
    from airflow_provider_mlgov.settings import Settings

    settings = Settings.load()
    sender = open_sender(settings)
    sender.send(SEND_SECONDS)
    reconcile(settings)  # tasks that a branch skipped, or whose upstream failed, report nothing themselves
    report = sender.send(SEND_SECONDS)
    spool = open_spool(settings)
    found = {
        "run_id": done.run_id,
        "state": str(getattr(done.state, "value", done.state)),
        "states": states,
        "waiting": len(spool.waiting()),
        "dead": len(spool.dead_letters()),
        "trouble": report.reason,
    }
    result.write_text(json.dumps(found), encoding="utf-8")


def show_progress(line: str, seen: set[str]) -> None:
    """One line per task that starts; ``seen`` are those that did before."""
    match = _STARTING.search(line)
    if match is None:
        return
    task = match["task"] + ("" if match["index"] == "-1" else f"[{match['index']}]")
    print(f"  {task}{' again' if task in seen else ''}", flush=True)
    seen.add(task)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Say what is done, and how long it took."""
    print(f"{what} …", end=" ", flush=True)
    began = time.monotonic()
    try:
        yield
    except BaseException:
        print("failed", flush=True)
        raise
    print(f"{time.monotonic() - began:.0f} s", flush=True)


# --- afterwards ------------------------------------------------------------------------------------------------------


def print_where_to_look(demo: Demo, run_id: str) -> None:
    """Commands to go on with."""
    variables = {name: value for name, value in demo.environment().items() if name in _FOR_THE_USER}
    mlgov = Path(sys.executable).with_name("mlgov")
    prefix = " ".join(f"{name}={shlex.quote(value)}" for name, value in sorted(variables.items()) if value)
    state = json.loads((demo.data / "server.json").read_text(encoding="utf-8"))
    lineage = f"lineage --dag-id {DAG_ID} --run-id {shlex.quote(run_id)}"
    database = demo.data / "clinic.db"
    sample = write_sample(demo, database)
    patients = f"sqlite://{database}/main.patients@{NAMESPACE}"
    table = f"lineage --entity rdbms_table {shlex.quote(patients)}"
    atlas = os.environ.get("MLGOV_DEMO_ATLAS")
    where = f"Atlas at {urlsplit(atlas).hostname}" if atlas else f"{demo.airflow / 'mlgov' / 'catalog.db'} (SQLite)"
    secret = (
        f"\n    export AIRFLOW_CONN_{CONNECTION.upper()}=…    # the connection to your Atlas, as JSON" if atlas else ""
    )
    print(f"""
Where to look further
  the catalogue      {where}
  Airflow's log      {demo.log}
  the endpoint       {state["url"]}   (build {state["build"]})
    curl -s {state["url"]}/health
    curl -s -d @{sample} {state["url"]}/score
  the lineage again, in other forms{secret}
    export {prefix}
    {mlgov} {lineage} --format json
    {mlgov} {lineage} --format mermaid
  which endpoints run a model that was trained on the source table
    {mlgov} {table} --direction down --depth 10
  stop the endpoint  make demo-stop
""")


def write_sample(demo: Demo, database: Path) -> Path:
    """A known patient as the scoring server wants to be asked."""
    with closing(sqlite3.connect(database)) as connection:
        connection.row_factory = sqlite3.Row
        row = dict(connection.execute("SELECT * FROM features_test LIMIT 1").fetchone())
    sample = demo.data / "sample.json"
    sample.write_text(json.dumps({"rows": [row]}), encoding="utf-8")
    return sample


def stop(demo: Demo) -> str:
    """Stop the scoring server; says what it did."""
    command = [sys.executable, str(EXAMPLES / "scoring" / "server.py"), "stop", "--folder", str(demo.data)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DemoError(f"the scoring server could not be stopped:\n{done.stderr[-1000:]}")
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
