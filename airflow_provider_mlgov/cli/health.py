"""``mlgov health``: what a probe asks. It looks at this host's files only: no network, no Airflow, no Connection."""

from __future__ import annotations

import json
import os
import time
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from airflow_provider_mlgov.assembly import open_spools
from airflow_provider_mlgov.cli.context import conf_get
from airflow_provider_mlgov.cli.output import age, say
from airflow_provider_mlgov.delivery.breaker import Breaker
from airflow_provider_mlgov.delivery.results import Results
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.errors import MlgovError
from airflow_provider_mlgov.lineage import followup
from airflow_provider_mlgov.settings import Settings

State = Literal["fine", "degraded", "unusable"]
CODES: dict[State, int] = {"fine": 0, "degraded": 1, "unusable": 2}
_LEAST_FREE = 50_000_000


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    state: State
    text: str


def health(arguments: Namespace) -> int:
    """0: fine. 1: degraded, events wait or were refused, nothing is lost. 2: unusable, events cannot be kept here."""
    figures: dict[str, Any] = {}
    checks: list[Check] = []
    try:
        settings = Settings.load(conf_get)
        checks.append(Check("configuration", "fine", "can be read"))
        checks += _checks(settings, arguments.max_age, figures)
    except MlgovError as error:
        checks.append(Check("spool" if checks else "configuration", "unusable", " ".join(str(error).split())))
    state = max((check.state for check in checks), key=CODES.__getitem__)
    if arguments.format == "json":
        told = [{"name": check.name, "status": check.state, "text": check.text} for check in checks]
        say(json.dumps({"v": 1, "status": state, "exitCode": CODES[state], "checks": told, **figures}))
    else:
        wrong = [f"{check.name}: {check.text}" for check in checks if check.state != "fine"]
        say(f"{state}{': ' if wrong else ''}{'; '.join(wrong)}")
    return CODES[state]


def _checks(settings: Settings, max_age: float, figures: dict[str, Any]) -> Iterator[Check]:
    """Those of each sink. The figures of the first are at the top of the document, those of each further one under its name."""
    spools = open_spools(settings)
    for number, (name, spool) in enumerate(spools.items()):
        told = figures.setdefault("sinks", {}).setdefault(name, {}) if number else figures
        for check in _checks_of(settings, spool, max_age, told, f" --sink {name}" if number else ""):
            yield replace(check, name=f"{check.name} of {name}") if len(spools) > 1 else check


def _checks_of(
    settings: Settings, spool: Spool, max_age: float, figures: dict[str, Any], option: str
) -> Iterator[Check]:
    yield _place(spool)
    yield from _events(settings, spool, max_age, figures, option)
    yield _breaker(spool, figures)
    yield from _results(spool, figures)


def _place(spool: Spool) -> Check:
    """Whether events can be kept."""
    place = next(folder for folder in (spool.root, *spool.root.parents) if folder.exists())
    folders = [each for each in (place, spool.root / "new", spool.root / "tmp") if each.exists()]
    closed = [each for each in folders if not os.access(each, os.W_OK | os.X_OK)]
    if closed:
        return Check("spool", "unusable", f"{closed[0]} cannot be written by this user")
    disk = os.statvfs(place)
    free = disk.f_bavail * disk.f_frsize
    if free < _LEAST_FREE:
        state: State = "unusable" if free < 1_000_000 else "degraded"
        return Check("spool", state, f"{free / 1e6:.0f} MB are free at {place}")
    return Check("spool", "fine", f"{spool.root} can be written")


def _events(settings: Settings, spool: Spool, max_age: float, figures: dict[str, Any], option: str) -> Iterator[Check]:
    counts = spool.counts()
    waiting = spool.waiting()
    notes = [] if option else followup.written(settings)  # those are beside the first sink's spool
    written = [spool.written(path) for path in waiting[:1]] + notes[:1]
    oldest = max(0.0, time.time() - min(written)) if written else 0.0
    figures["spool"] = {
        "waiting": counts.waiting,
        "oldestSeconds": round(oldest),
        "runsToClose": len(notes),
        "deadLetters": counts.dead,
        "setAside": counts.odd,
    }
    said = f"{counts.waiting} events and {len(notes)} runs wait"
    if oldest > max_age:
        yield Check("waiting", "degraded", f"{said}, the oldest for {age(oldest).removesuffix(' ago')}")
    else:
        yield Check("waiting", "fine", said)
    dead = f"{counts.dead} dead letters" + (f": see `mlgov spool list --dead{option}`" if counts.dead else "")
    yield Check("dead letters", "degraded" if counts.dead else "fine", dead)


def _breaker(spool: Spool, figures: dict[str, Any]) -> Check:
    opening = Breaker(spool.root / "breaker.json").opening()
    figures["breaker"] = {"open": opening is not None}
    if opening is None:
        return Check("breaker", "fine", "closed")
    figures["breaker"] |= {"since": opening.since, "failures": opening.failures, "reason": opening.reason}
    return Check("breaker", "degraded", f"open since {age(time.time() - opening.since)}: {opening.reason}")


def _results(spool: Spool, figures: dict[str, Any]) -> Iterator[Check]:
    """Whether the last send failed."""
    figures["lastResults"] = last = Results(spool.root).last()
    for destination, found in last.items():
        said, failed = last_result(found)
        yield Check(f"last send to the {destination}", "degraded" if failed else "fine", said)


def last_result(found: dict[str, Any]) -> tuple[str, bool]:
    """The last results of a destination in words, and whether it was a failure that came last."""
    succeeded, failed = found.get("succeeded"), found.get("failed")
    said = []
    if succeeded:
        said.append(f"delivered {succeeded['events']} events {age(time.time() - succeeded['time'])}")
    if failed:
        reason = failed.get("reason") or failed["outcome"]
        said.append(f"failed {age(time.time() - failed['time'])}: {reason}")
    is_failing = bool(failed and (not succeeded or failed["time"] > succeeded["time"]))
    return ", ".join(reversed(said) if is_failing else said[:1]), is_failing
