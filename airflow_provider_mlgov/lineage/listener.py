"""The listener: reports every task run and DAG run. Nothing it does may reach a task or the scheduler.

An exception in a hook fails the task or kills the scheduler on 2.11, and silences the listeners behind ours on both: so every
hook is wrapped. What is no `Exception` goes through: Airflow stops tasks by signals that raise such (time-outs, SIGTERM, Ctrl-C);
what foreign code raises is caught where it is called.
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_provider_mlgov._compat import hookimpl, is_airflow_3, is_database_object, loaded
from airflow_provider_mlgov.errors import MlgovError
from airflow_provider_mlgov.lineage import declared, event, followup
from airflow_provider_mlgov.lineage.aside import ASIDE
from airflow_provider_mlgov.lineage.choice import dag_recorded, task_recorded
from airflow_provider_mlgov.lineage.facts import Attempt, Facts, attempt_of, take
from airflow_provider_mlgov.lineage.limited import Allowance, one_line
from airflow_provider_mlgov.masking import trace_of
from airflow_provider_mlgov.settings import Settings

if TYPE_CHECKING:
    from airflow_provider_mlgov.delivery.outbox import Outbox
    from airflow_provider_mlgov.lineage.collect import Seen

log = logging.getLogger(__name__)
_SPARE_SECONDS = 0.5
"""A sender keeps to its budget; should it not, it is left alone after this."""
_COLLECTING, _LEAST_WRITING = 0.7, 0.1
"""What foreign code may take of a hook's time, since the event is written after it; seconds that it waits for the disk at least."""
_OVERTIME = 20.0
"""Airflow's default of ``[core] task_success_overtime``."""
_DAEMON_SECONDS = 0.002
"""How long the loop of a scheduler waits for the disk; what takes longer is written meanwhile. It tells its listeners before it
commits: one that is killed in between tells again, and of an end that got lost all the same `reconcile.close_open` learns."""
_REPORT = "the task is not affected; log level DEBUG shows where it failed: please report that to us"
RUNTIME: dict[Attempt, declared.Runtime] = {}
"""What the lineage backend of 2.11 saw in the context of an attempt, until its end is reported."""


def never_raises(hook: Callable[..., None]) -> Callable[..., None]:
    """Turn what goes wrong in a hook into one log line."""

    @functools.wraps(hook)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            hook(self, *args, **kwargs)
        except Exception as error:  # noqa: BLE001 - an exception here would fail the user's task or stop the scheduler
            log.warning("Lineage of this event is lost (%s): %s", hook.__name__, explained(error))
            log.debug("Details:\n%s", trace_of(error))

    return wrapper


def explained(error: BaseException) -> str:
    """What went wrong in one line, and what to do: errors of ours say it themselves."""
    said = f"{type(error).__name__}: {one_line(error)}"
    return said if isinstance(error, MlgovError) else f"{said} ({_REPORT})"


class AtlasListener:
    """Reports what Airflow tells its listeners. One object per process; the settings are read at the first event."""

    def __init__(self, settings: Settings | None = None) -> None:
        self._given = settings
        self._hooks_before: dict[Attempt, Seen] = {}
        self._started: dict[Attempt, tuple[event.Run, dict[str, Any]]] = {}
        """The attempts that run in this process, with what their START said."""

    @cached_property
    def settings(self) -> Settings:
        """The options of this process."""
        return self._given or Settings.load(tolerant=True)

    @cached_property
    def _outbox(self) -> Outbox:
        from airflow_provider_mlgov.assembly import open_outbox

        return open_outbox(self.settings)

    # --- task runs -----------------------------------------------------------------------------------------------------
    @hookimpl
    @never_raises
    def on_task_instance_running(self, previous_state: Any, task_instance: Any) -> None:
        """A task begins, or goes on after it deferred."""
        if not self._reports(task_instance, None, None):
            return
        from airflow_provider_mlgov.lineage.collect import hooks_seen

        self._hooks_before[attempt_of(task_instance)] = hooks_seen()
        self._report(task_instance, "START", None, end=time.monotonic() + self._budget())

    @hookimpl
    @never_raises
    def on_task_instance_success(self, previous_state: Any, task_instance: Any) -> None:
        """A task succeeded, or was set to success by hand."""
        self._end(task_instance, "success", None)

    @hookimpl
    @never_raises
    def on_task_instance_failed(self, previous_state: Any, task_instance: Any, error: Any) -> None:
        """An attempt failed (``up_for_retry`` too), or was set to failed by hand."""
        self._end(task_instance, "failed", error)

    @hookimpl
    @never_raises
    def on_task_instance_skipped(self, previous_state: Any, task_instance: Any) -> None:
        """A task skipped itself, or was set to skipped by hand (3.x only)."""
        self._end(task_instance, "skipped", None)

    def _end(self, task_instance: Any, state: str, error: Any) -> None:
        end = time.monotonic() + self._budget()
        if not self._reports(task_instance, state, error):
            return
        found = str(getattr(task_instance.state, "value", task_instance.state) or "")
        state = found if found in event.EVENT_TYPES else state
        self._report(task_instance, event.EVENT_TYPES[state], state, error, end=end)
        if isinstance(error, str) and is_database_object(task_instance):
            return  # 2.11: reported by a daemon for a task that died; daemons do not send
        self._send(end - time.monotonic())

    def _budget(self) -> float:
        """Seconds that the end of a task may take: Airflow kills a task whose hooks go on for ``[core] task_success_overtime``."""
        from airflow_provider_mlgov.settings import airflow_conf_get

        try:
            overtime = float(airflow_conf_get("core", "task_success_overtime") or _OVERTIME)
        except ValueError:
            overtime = _OVERTIME
        return min(self.settings.send_budget, overtime / 2)

    def _reports(self, task_instance: Any, state: str | None, error: Any) -> bool:
        """Whether the task's own process reports this; else what is known is noted for the delivery process."""
        task = getattr(task_instance, "task", None)
        in_daemon = is_database_object(task_instance) and (is_airflow_3() or task is None)
        dag = None if in_daemon else getattr(task, "dag", None)
        if not task_recorded(self.settings, task_instance.dag_id, task_instance.task_id, task, dag):
            if state is not None:
                take(attempt_of(task_instance))
            return False
        if in_daemon and state is not None:
            # Such an object is bound to a session of the scheduler or API server: nothing may load more of it.
            note = followup.attempt_note(loaded(task_instance), state, error)
            self._in_daemon(
                f"The end of task {task_instance.task_id}", lambda: followup.note_attempt(self.settings, note)
            )
        return not in_daemon

    def _in_daemon(self, what: str, *writes: Callable[[], object]) -> None:
        """Write, and see that the delivery process runs, while the loop of the scheduler waits for but a moment."""

        def all_of_it() -> None:
            for write in writes:
                write()
            self._wake()

        ASIDE.do(what, all_of_it, _DAEMON_SECONDS)

    def _report(
        self, task_instance: Any, event_type: event.EventType, state: str | None, error: Any = None, *, end: float
    ) -> None:
        """Collect what is known of an attempt and write it, until ``end`` (of the monotonic clock)."""
        from airflow_provider_mlgov.lineage.collect import collect

        task = task_instance.task
        attempt = attempt_of(task_instance)
        ends = event_type != "START"
        now = time.monotonic()
        allowance = Allowance(self.settings.collect_timeout, now + (end - now) * _COLLECTING)
        if is_airflow_3():
            context: Mapping[str, Any] = task_instance.get_template_context()
            run = event.run_of(context["dag_run"])
            runtime = _runtime(context, task) if ends else None
        else:
            run = event.run_of(task_instance.dag_run)
            runtime = RUNTIME.pop(attempt, None) if ends else None
        collected = collect(
            task,
            task_instance,
            attempt,
            phase="start" if not ends else "failure" if event_type == "FAIL" else "complete",
            namespace=self.settings.namespace or "default",
            facts=take(attempt) if ends else Facts(),
            hooks_before=self._hooks_before.pop(attempt, frozenset()) if ends else frozenset(),
            runtime=runtime,
            render=_renderer(task_instance, allowance),
            allowance=allowance,
        )
        ours = self._task_facet(task_instance, attempt, run, state)
        self._started.pop(attempt, None)
        if not ends:
            self._started[attempt] = (run, ours)
        self._put(
            event.task_event(
                event_type,
                attempt,
                run,
                ours,
                job_namespace=event.openlineage_namespace(),
                time=task_instance.end_date if ends else task_instance.start_date,
                collected=collected,
                error=str(error) if error is not None else None,
                description=getattr(task, "doc_md", None) or getattr(task, "doc", None),
            ),
            end - time.monotonic(),
        )

    def _put(self, told: dict[str, Any], seconds: float) -> None:
        what, seconds = f"An event of {told['job']['name']}", max(seconds, _LEAST_WRITING)
        if not ASIDE.do(what, lambda: self._outbox.put(told), seconds):
            log.warning(
                "%s is still being written after %g s and not waited for; should this process end first, it is lost. "
                "The disk of [mlgov] spool_folder is slow: give the spool a local one",
                what,
                round(seconds, 1),
            )

    @hookimpl
    @never_raises
    def before_stopping(self, component: Any) -> None:
        """A process ends. What a task of it said and no end took, since the task deferred, waits for its end in the spool."""
        from airflow_provider_mlgov.lineage.collect import Collected, from_hooks

        while self._started:
            attempt, (run, ours) = self._started.popitem()
            collected = Collected()
            collected.add_facts(take(attempt))
            for direction, dataset in from_hooks(self._hooks_before.pop(attempt, frozenset())):
                collected.add(direction, dataset)
            if any(vars(collected).values()):
                namespace = event.openlineage_namespace()
                told = event.task_event("RUNNING", attempt, run, ours, job_namespace=namespace, collected=collected)
                self._put(told, self._budget())
        ASIDE.settle(self._budget())

    def _task_facet(self, task_instance: Any, attempt: Attempt, run: event.Run, state: str | None) -> dict[str, Any]:
        import getpass
        import socket

        task = task_instance.task
        dag = getattr(task, "dag", None)
        version = getattr(task_instance, "dag_version_id", None)
        return event.facet(
            run,
            **{
                **event.describe_dag(dag),
                **event.describe_task(task, dag),
                **self._common(),
                "taskId": attempt.task_id,
                "mapIndex": attempt.map_index,
                "tryNumber": attempt.try_number,
                "mapLabel": getattr(task_instance, "rendered_map_index", None),
                "state": state,
                "stateSource": None if state is None else "reported",
                "startTime": event.iso(task_instance.start_date),
                "endTime": None if state is None else event.iso(task_instance.end_date or event.now()),
                "hostname": getattr(task_instance, "hostname", None) or socket.gethostname(),
                "userName": getattr(task_instance, "unixname", None) or getpass.getuser(),
                "logUrl": getattr(task_instance, "log_url", None),
                "dagVersion": None if version is None else str(version),
            },
        )

    def _common(self) -> dict[str, Any]:
        return common_facts(self.settings)

    def _send(self, budget: float) -> None:
        from airflow_provider_mlgov.assembly import open_sender
        from airflow_provider_mlgov.lineage.limited import limited
        from airflow_provider_mlgov.lineage.many_hosts import complain_of_left, complain_once

        complain_once(self.settings)
        if budget > 0:
            report = limited("Sending", lambda: open_sender(self.settings).send(budget), budget + _SPARE_SECONDS)
            complain_of_left(self.settings, report)

    @hookimpl
    @never_raises
    def on_starting(self, component: Any) -> None:
        """A job of Airflow's (a scheduler, say) starts: what its first hook would load is loaded before its loop begins."""
        if not is_database_object(component):
            return  # a task's own process
        import filelock  # noqa: F401 - what `wake` takes

        from airflow_provider_mlgov.lineage import child  # noqa: F401

        event.openlineage_namespace()
        self._common()
        self._outbox.spool.prepare()

    # --- DAG runs ------------------------------------------------------------------------------------------------------
    @hookimpl
    @never_raises
    def on_dag_run_running(self, dag_run: Any, msg: str) -> None:
        """A DAG run begins (scheduler)."""
        self._dag_run(dag_run, "START", None, None)

    @hookimpl
    @never_raises
    def on_dag_run_success(self, dag_run: Any, msg: str) -> None:
        """A DAG run succeeded (scheduler), or was set to success by hand."""
        self._dag_run(dag_run, "COMPLETE", "success", msg)

    @hookimpl
    @never_raises
    def on_dag_run_failed(self, dag_run: Any, msg: str) -> None:
        """A DAG run failed (scheduler), or was set to failed by hand."""
        self._dag_run(dag_run, "FAIL", "failed", msg)

    def _dag_run(self, dag_run: Any, event_type: event.EventType, state: str | None, msg: str | None) -> None:
        # The scheduler's loop waits here: plain values are copied, and nothing is asked of the database, Connections or networks.
        dag = getattr(dag_run, "dag", None)
        run = event.run_of(loaded(dag_run))
        if not dag_recorded(self.settings, run.dag_id, dag):
            return
        source = "manual" if msg is not None and "manually" in msg else "reported"
        ours = event.facet(
            run,
            **{
                **event.describe_dag(dag),
                **self._common(),
                "state": state,
                "stateSource": None if state is None else source,
                "startTime": event.iso(run.start_date),
                "endTime": None if state is None else event.iso(run.end_date or event.now()),
            },
        )
        told = event.dag_event(
            event_type,
            run,
            ours,
            job_namespace=event.openlineage_namespace(),
            time=run.start_date if state is None else run.end_date,
            error=msg if state == "failed" else None,
        )
        writes: list[Callable[[], object]] = [lambda: self._outbox.put(told)]
        if state is None:
            writes.append(lambda: followup.note_open(self.settings, run.dag_id, run.run_id))
        else:
            tasks = getattr(dag, "task_dict", None) or {}
            left_out = [
                name for name, task in tasks.items() if not task_recorded(self.settings, run.dag_id, name, task, dag)
            ]
            writes.append(lambda: followup.note_run(self.settings, run.dag_id, run.run_id, left_out))
        self._in_daemon(f"A change of DAG run {run.dag_id} {run.run_id}", *writes)

    def _wake(self) -> None:
        if not self.settings.delivery_process:
            return
        from airflow_provider_mlgov.lineage.child import wake

        try:
            wake(self.settings)
        except OSError as error:  # what was written stays written
            log.warning(
                "The delivery process cannot be started (%s); events wait in %s, and the next change of a DAG run tries again. "
                "`mlgov spool drain` sends them",
                one_line(error),
                self.settings.spool_folder,
            )


def common_facts(settings: Settings) -> dict[str, Any]:
    """What every event of ours says about this Airflow."""
    from airflow_provider_mlgov._compat import airflow_version

    namespace = settings.namespace or (None if settings.atlas_conn_id else "default")
    return {"airflowVersion": airflow_version(), "namespace": namespace}


def _renderer(task_instance: Any, allowance: Allowance) -> Callable[[Any], Any]:
    """Renders templates as Airflow would for this task; macros are foreign code, so within what it may take.

    On 3.x the context is there already. On 2.11 it is made anew, by the database.
    """
    task = task_instance.task
    context = task_instance.get_template_context() if is_airflow_3() else None

    def rendered(value: Any) -> Any:
        return task.render_template(value, context or task_instance.get_template_context())

    def render(value: Any) -> Any:
        found = allowance.limited("A template of inlets or outlets", lambda: rendered(value))
        return value if found is None else found

    return render


def _runtime(context: Mapping[str, Any], task: Any) -> declared.Runtime | None:
    from airflow_provider_mlgov.lineage.collect import guarded

    found: declared.Runtime | None = guarded("what assets said in this run", lambda: declared.runtime_of(context, task))
    return found
