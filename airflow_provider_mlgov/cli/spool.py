"""``mlgov spool``."""

from __future__ import annotations

import json
import time
from argparse import Namespace
from itertools import islice
from math import inf

from airflow_provider_mlgov.assembly import SINK_FOLDERS, open_spool, open_spools
from airflow_provider_mlgov.cli.context import Context
from airflow_provider_mlgov.cli.delivery import Drain
from airflow_provider_mlgov.cli.output import age, remark, say
from airflow_provider_mlgov.delivery.breaker import Breaker
from airflow_provider_mlgov.delivery.lease import Lease
from airflow_provider_mlgov.delivery.refused import Refused
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.errors import InvalidInputError
from airflow_provider_mlgov.lineage import followup
from airflow_provider_mlgov.settings import SINKS, Settings


def status(arguments: Namespace) -> int:
    """Count what waits, and say why. Exit code 1 if there are dead letters."""
    context = Context.of(arguments)
    spools = open_spools(context.settings)
    chosen = {arguments.sink: _spool(arguments, context)} if arguments.sink else spools
    dead = 0
    for number, (name, spool) in enumerate(chosen.items()):
        if len(spools) > 1 or arguments.sink:
            say(f"{chr(10) if number else ''}sink          {name}")
        dead += _say_status(context, spool, "" if spool.root == context.settings.spool_folder else f" --sink {name}")
    return 1 if dead else 0


def _say_status(context: Context, spool: Spool, option: str) -> int:
    """The lines of one spool; how many dead letters it has."""
    counts = spool.counts()
    say(f"folder        {spool.root}")
    say(f"waiting       {counts.waiting}{_oldest(spool)}")
    say(f"at most       {_bounds(context.settings)}")
    if not option:
        say(f"runs to close {sum(1 for _ in followup.notes(context.settings))}")
    say(f"dead letters  {counts.dead}{f': see `mlgov spool list --dead{option}`' if counts.dead else ''}")
    say(f"set aside     {counts.odd}{': see its folder odd' if counts.odd else ''}")
    say(f"breaker       {breaker_words(spool)}")
    refused = Refused(spool.root)
    if refused.names:
        say(f"refused       {len(refused.names)} of those that wait, by the receiver: {refused.reason}")
    if context.settings.spool_shared:
        say(f"shared        {Lease(spool.root).holder}")
    return counts.dead


def _spool(arguments: Namespace, context: Context | None = None) -> Spool:
    """The spool of the sink that is named: one of ``[mlgov] sinks``, or one that was; without a name the first sink's."""
    settings = (context or Context.of(arguments)).settings
    name = arguments.sink
    if not name or name == (settings.sinks or ("",))[0]:
        return open_spool(settings)
    if name not in settings.further_sinks and name not in left_behind(settings):
        wanted = ", ".join([*settings.sink_names, *left_behind(settings)])
        raise InvalidInputError(f"--sink is {name!r}; wanted one of {wanted}")
    return open_spool(settings, name)


def left_behind(settings: Settings) -> list[str]:
    """Sinks that are no more in ``[mlgov] sinks``, and whose spools are still there."""
    folder = settings.spool_folder / SINK_FOLDERS
    found = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    return [name for name in found if name in SINKS and name not in settings.further_sinks]


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
    if not waiting:
        return ""
    size = sum(path.stat().st_size for path in waiting if path.exists())
    return f", {size / 1e6:.1f} MB, the oldest written {age(time.time() - spool.written(waiting[0]))}"


def _bounds(settings: Settings) -> str:
    """How much may wait before the oldest become dead letters."""
    size = f"{settings.spool_megabytes:g} MB" if settings.spool_megabytes else "any size"
    return f"{size}, {f'{settings.spool_days:g} days' if settings.spool_days else 'any age'}"


def list_events(arguments: Namespace) -> int:
    """List what waits, or the dead letters."""
    spool = _spool(arguments)
    if arguments.dead:
        total = spool.counts().dead
        for letter in islice(spool.letters(), arguments.limit):
            say(f"{letter.name}  {age(time.time() - letter.time)}  {_about(letter.events[0])}")
            say(f"    {' '.join(letter.reason.split())}")
    else:
        paths = spool.waiting()
        for path in paths[: arguments.limit]:
            event = spool.read(path)
            if event is not None:
                say(f"{path.name}  {age(time.time() - spool.written(path))}  {_about(event)}")
        total = len(paths)
    if arguments.limit < total:
        remark(f"{arguments.limit} of {total}: --limit shows more")
    return 0


def _about(event: object) -> str:
    if not isinstance(event, dict):  # whatever was put into the spool waits there, or was buried
        return f"no event: {event!r:.60}"
    job = event.get("job")
    name = job.get("name") if isinstance(job, dict) else None
    run = event.get("run")
    run_id = run.get("runId") if isinstance(run, dict) else None
    return f"{event.get('eventType') or 'event'} {name or '-'} {run_id or ''}".rstrip()


def show(arguments: Namespace) -> int:
    """Print the events of one file, a line each, as `mlgov translate` reads them; the reason on stderr."""
    found = _spool(arguments).find(arguments.name)
    if found is None:
        raise InvalidInputError(
            f"no event that waits and no dead letter is called {arguments.name!r}; see `mlgov spool list`"
        )
    head, events = found
    if head.get("reason"):
        remark(f"dead letter: {' '.join(str(head['reason']).split())}")
    for part in head.get("parts", ()):
        remark(f"refused: {part}")
    for event in events:
        say(json.dumps(event, sort_keys=True))
    return 0


def drop(arguments: Namespace) -> int:
    """Delete dead letters, and what waits if it is named. Exit code 1 if nothing was deleted because ``--yes`` is missing.

    By age they are those of all sinks, unless one is named.
    """
    if bool(arguments.names) == (arguments.older_than is not None):
        raise InvalidInputError("wanted names, or --older-than DAYS for all dead letters of that age")
    by_age = arguments.older_than is not None and not arguments.sink
    spools = list(open_spools(Context.of(arguments).settings).values()) if by_age else [_spool(arguments)]
    if unknown := [name for name in arguments.names if not spools[0].has(name)]:
        raise InvalidInputError(f"there is no file {', '.join(map(repr, unknown))}; see `mlgov spool list [--dead]`")
    before = time.time() - (arguments.older_than or 0) * 86400
    found = [(spool, arguments.names or spool.letters_before(before)) for spool in spools]
    if (count := sum(len(names) for _, names in found)) and not arguments.yes:
        say(f"{count} files would be deleted for good: --yes does it")
        return 1
    say(f"{sum(spool.drop(names) for spool, names in found)} files deleted")
    return 0


def drain(arguments: Namespace) -> int:
    """Send what waits."""
    context = Context.of(arguments)
    if arguments.sink:
        _spool(arguments, context)  # says which sinks there are
        if arguments.sink not in context.settings.sink_names:
            raise InvalidInputError(
                f"{arguments.sink} is no more in [mlgov] sinks: put it there, or drop what waits (`mlgov spool drop`)"
            )
    work = Drain(context, arguments.budget, arguments.sink)
    done = work.run()
    say(f"sent {work.events} events as {work.entities} entities; closed {work.settled} runs")
    if work.dead:
        remark(f"{work.dead} became dead letters: see `mlgov spool list --dead`")
    if not done:
        remark(f"some still wait after {arguments.budget:g} s")
    return 1 if work.dead or not done else 0


def retry(arguments: Namespace) -> int:
    """Let dead letters wait again."""
    spool = _spool(arguments)
    if arguments.names:
        unknown = sorted(set(arguments.names) - set(spool.letters_before(inf)))
        if unknown:
            raise InvalidInputError(
                f"there is no dead letter {', '.join(map(repr, unknown))}; see `mlgov spool list --dead`"
            )
    count = spool.retry(arguments.names or None)
    say(f"{count} events wait again: `mlgov spool drain` sends them")
    return 0
