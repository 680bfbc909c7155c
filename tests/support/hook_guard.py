"""An Airflow plugin for the tests: it stands around our hooks in daemons, and lets database, Connections and networks raise there.

Copied into the plugins folder of a test's Airflow (`put`). Each hook call becomes a line of ``hooks.jsonl``: which one, in which
daemon, how long it took and what it reached for.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

_inside: dict[int, list[str]] = {}
"""What the hook that runs in a thread reached for."""
OF_RUNS = ("on_dag_run_running", "on_dag_run_success", "on_dag_run_failed")
OF_TASKS = ("on_task_instance_success", "on_task_instance_failed", "on_task_instance_skipped")
"""Watched on 3.x only, where the object tells a daemon from the task's own process."""


class ForbiddenError(Exception):
    """A hook reached for what it must not."""


def put(home: Path) -> None:
    """Make it a plugin of the Airflow under ``home``."""
    (home / "plugins").mkdir()
    shutil.copy(__file__, home / "plugins" / "hook_guard.py")


def calls(home: Path) -> list[dict[str, Any]]:
    """The hook calls so far."""
    path = home / "hooks.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _forbidden(what: str) -> None:
    thread = threading.current_thread()
    if thread.name.startswith("mlgov"):  # one of ours, for whichever hook waits
        reached = list(_inside.values())
    else:
        reached = [_inside[thread.ident]] if thread.ident in _inside else []
    if reached:
        for each in reached:
            each.append(what)
        raise ForbiddenError(what)


def _watched(name: str, hook: Any) -> Any:
    @functools.wraps(hook)
    def watched(self: Any, *arguments: Any, **named: Any) -> None:
        if not any(hasattr(type(argument), "__table__") for argument in (*arguments, *named.values())):
            hook(self, *arguments, **named)  # in the task's own process
            return
        thread, reached = threading.get_ident(), []
        _inside[thread] = reached
        began = time.perf_counter()
        try:
            hook(self, *arguments, **named)
        finally:
            seconds = time.perf_counter() - began
            del _inside[thread]
            said = {"hook": name, "daemon": sys.argv[1:2], "milliseconds": seconds * 1000, "reached": reached}
            with (Path(os.environ["AIRFLOW_HOME"]) / "hooks.jsonl").open("a") as out:
                out.write(json.dumps(said) + "\n")

    return watched


def _install() -> None:
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    from airflow_provider_mlgov._compat import BaseHook, is_airflow_3
    from airflow_provider_mlgov.lineage.listener import AtlasListener

    for name in (*OF_RUNS, *(OF_TASKS if is_airflow_3() else ())):
        setattr(AtlasListener, name, _watched(name, getattr(AtlasListener, name)))
    event.listen(Engine, "before_cursor_execute", lambda *_: _forbidden("the database"))
    for owner, name, what in (
        (socket.socket, "connect", "the network"),
        (BaseHook, "get_connection", "a Connection"),
    ):
        before = getattr(owner, name)

        def guarded(*arguments: Any, _before: Any = before, _what: str = what, **named: Any) -> Any:
            _forbidden(_what)
            return _before(*arguments, **named)

        setattr(owner, name, guarded)


if Path(__file__).parent.name == "plugins":
    from airflow.plugins_manager import AirflowPlugin

    _install()

    class HookGuardPlugin(AirflowPlugin):
        """Nothing of its own: that this module is imported is all."""

        name = "hook_guard"
