"""``mlgov spool``."""

from __future__ import annotations

import time
from argparse import Namespace
from pathlib import Path

from airflow_provider_mlgov.assembly import open_spool
from airflow_provider_mlgov.cli.context import Context
from airflow_provider_mlgov.cli.delivery import Drain
from airflow_provider_mlgov.cli.output import age, remark, say
from airflow_provider_mlgov.delivery.breaker import Breaker
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.errors import InvalidInputError
from airflow_provider_mlgov.lineage import followup


def status(arguments: Namespace) -> int:
    """Count what waits, and say why. Exit code 1 if there are dead letters."""
    context = Context.of(arguments)
    spool = open_spool(context.settings)
    counts = spool.counts()
    say(f"folder        {spool.root}")
    say(f"waiting       {counts.waiting}{_oldest(spool)}")
    say(f"runs to close {sum(1 for _ in followup.notes(context.settings))}")
    say(f"dead letters  {counts.dead}{': see `mlgov spool list --dead`' if counts.dead else ''}")
    say(f"set aside     {counts.odd}{': see its folder odd' if counts.odd else ''}")
    say(f"breaker       {breaker_words(spool)}")
    return 1 if counts.dead else 0


def breaker_words(spool: Spool) -> str:
    """What the circuit breaker says."""
    opening = Breaker(spool.root / "breaker.json").opening()
    if opening is None:
        return "closed"
    wait = max(0.0, opening.until - time.time())
    following = f"next try in {wait:.0f} s" if wait else "the next sender tries again"
    return f"open since {age(time.time() - opening.since)}, {following}: {opening.reason}"


def _oldest(spool: Spool) -> str:
    waiting = spool.waiting()
    return f", the oldest written {age(time.time() - written(waiting[0]))}" if waiting else ""


def written(path: Path) -> float:
    """When a file of the spool was written: its name begins with that."""
    return int(path.name.partition("-")[0]) / 1e9


def list_events(arguments: Namespace) -> int:
    """List what waits, or the dead letters."""
    spool = open_spool(Context.of(arguments).settings)
    if arguments.dead:
        letters = spool.dead_letters()
        for letter in letters[: arguments.limit]:
            say(f"{letter.name}  {age(time.time() - letter.time)}  {_about(letter.events[0])}")
            say(f"    {' '.join(letter.reason.split())}")
        shown, total = min(len(letters), arguments.limit), len(letters)
    else:
        paths = spool.waiting()
        for path in paths[: arguments.limit]:
            event = spool.read(path)
            if event is not None:
                say(f"{path.name}  {age(time.time() - written(path))}  {_about(event)}")
        shown, total = min(len(paths), arguments.limit), len(paths)
    if shown < total:
        remark(f"{shown} of {total}: --limit shows more")
    return 0


def _about(event: object) -> str:
    if not isinstance(event, dict):  # whatever was put into the spool waits there, or was buried
        return f"no event: {event!r:.60}"
    job = event.get("job")
    name = job.get("name") if isinstance(job, dict) else None
    run = event.get("run")
    run_id = run.get("runId") if isinstance(run, dict) else None
    return f"{event.get('eventType') or 'event'} {name or '-'} {run_id or ''}".rstrip()


def drain(arguments: Namespace) -> int:
    """Send what waits."""
    work = Drain(Context.of(arguments), arguments.budget)
    done = work.run()
    say(f"sent {work.events} events as {work.entities} entities; closed {work.settled} runs")
    if work.dead:
        remark(f"{work.dead} became dead letters: see `mlgov spool list --dead`")
    if not done:
        remark(f"some still wait after {arguments.budget:g} s")
    return 1 if work.dead or not done else 0


def retry(arguments: Namespace) -> int:
    """Let dead letters wait again."""
    spool = open_spool(Context.of(arguments).settings)
    if arguments.names:
        unknown = sorted(set(arguments.names) - {letter.name for letter in spool.dead_letters()})
        if unknown:
            raise InvalidInputError(f"{', '.join(unknown)}: no such dead letter; see `mlgov spool list --dead`")
    count = spool.retry(arguments.names or None)
    say(f"{count} events wait again: `mlgov spool drain` sends them")
    return 0
