"""Processes whose ends get other names: they are named after their ends as these are called now.

If a process kept its name, the next run of its job that uses a name again would take it for its own, and move its ends.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from airflow_provider_mlgov.delivery.patient import BY_PEOPLE, PatientCatalog, guidref_of, is_active, items, ref_of
from airflow_provider_mlgov.delivery.workers import Worker, worker_of
from airflow_provider_mlgov.model.entity import Ref, ends_digest, renamed_process
from airflow_provider_mlgov.model.identity import token
from airflow_provider_mlgov.translate.settle import FACTS_TIME

if TYPE_CHECKING:
    from airflow_provider_mlgov.delivery.state import SenderState

Json = dict[str, Any]

ENDS = {"inputToProcesses": "inputs", "outputFromProcesses": "outputs"}
"""The relationships of data to processes, and what these call it."""
_SIDES = tuple(ENDS.values())
_COLUMNS = "mlgov_column_lineage"
_DIGEST = re.compile(r"/(io|columns)/[0-9a-f]{32}@")
_NAMED = ("qualifiedName", "name")
_LATEST = (
    *("lastRun", "lastState", FACTS_TIME),
    *("dependencyType", "masking", "expression", "transformations", "parentProcess", "parentKey"),
)
"""What the newest run says, all of it (`Entity.latest`)."""
_NO_FACTS = frozenset({"qualifiedName", "processKey", "name", "firstRun", "inputs", "outputs", *BY_PEOPLE})
_MOST_GONE = 8
"""Ends that are gone, of which each may have been among those that a process is named after, or not."""


@dataclass
class _Process:
    """A process that gets another name, and those of its ends that it is named after."""

    entity: Json
    to: Ref
    ends: Mapping[str, list[Json]]

    @property
    def old(self) -> Ref:
        """The name that it has."""
        return ref_of(self.entity)


class RenamedProcesses:
    """``name`` is what the catalogue is called in the ``state``; what is renamed was called otherwise until ``time``."""

    def __init__(self, calls: PatientCatalog, name: str, state: SenderState, time: int) -> None:
        self._calls = calls
        self._name = name
        self._state = state
        self._time = time
        self._called: dict[str, Ref | None] = {}
        """What entities are called, by guid; what was purged is called nothing."""
        self._to: dict[str, Ref] = {}
        """What they are about to be called."""

    def rename(self, data: Iterable[tuple[Json, Ref]]) -> None:
        """Give the processes around ``data`` (with relationships) the names that they have when its new names are given.

        To be called before these are. Cut off anywhere it may be done again: a process gets its name after all that refers to it.
        """
        around: dict[str, None] = {}
        for entity, to in data:
            self._called[entity["guid"]], self._to[entity["guid"]] = ref_of(entity), to
            around |= dict.fromkeys(item["guid"] for item in items(entity, ENDS))
        processes = [*self._calls.by_guids(around).values()]
        self._name_all(processes)
        found = [renamed for process in processes if (renamed := self._renamed(process)) is not None]
        if not found:
            return
        with self._state.transaction():
            self._state.rename_processes(self._name, {process.old: process.to for process in found})
        wholes = [process for process in found if process.old.type_name != _COLUMNS]
        of_columns = [process for process in found if process.old.type_name == _COLUMNS]
        parents = {process.old.qualified_name: process.to.qualified_name for process in wholes}
        self._give_names(of_columns, parents)
        self._tell_columns(parents, besides={process.entity["guid"] for process in of_columns})
        self._tell_runs(wholes)
        self._give_names(wholes, parents)

    # --- which processes ---------------------------------------------------------------------------------------------
    def _renamed(self, process: Json) -> _Process | None:
        """The process, if it is named after its ends, and they are about to be called otherwise."""
        if not is_active(process):
            return None
        name = process["attributes"]["qualifiedName"]
        if _DIGEST.search(name) is None:
            return None
        for ends in self._ends(process):
            was, will_be = ({side: self._names(of, to) for side, of in ends.items()} for to in ({}, self._to))
            if f"/{ends_digest(**will_be)}@" in name:
                return None  # it has its name: this was begun before
            if (to := renamed_process(name, was, will_be)) != name:
                return _Process(process, Ref(process["typeName"], to), ends)
        return None

    def _ends(self, process: Json) -> Iterator[dict[str, list[Json]]]:
        """The inputs and outputs that it may be named after: those that it has, and of those that are gone any."""
        there = {side: [*items(process, (side,))] for side in _SIDES}
        yield there
        gone = {
            (side, ref): item
            for side, of in there.items()
            for ref, item in self._names(items(process, (side,), active=False), {}).items()
            if ref not in self._names(of, {})
        }
        for number in range(1, len(gone) + 1) if len(gone) <= _MOST_GONE else [len(gone)]:
            for some in combinations(gone, number):
                yield {side: [*of, *(gone[key] for key in some if key[0] == side)] for side, of in there.items()}

    def _names(self, ends: Iterable[Json], to: Mapping[str, Ref]) -> dict[Ref, Json]:
        """What the ends are called, or will be where ``to`` says that; what was purged is called nothing."""
        named = ((to.get(item["guid"]) or self._called[item["guid"]], item) for item in ends)
        return {ref: item for ref, item in named if ref is not None}

    def _name_all(self, processes: Iterable[Json]) -> None:
        """Find out what all that is an end of these is called, or was."""
        ends = {
            item["guid"]: None
            for process in processes
            for active in (True, False)
            for item in items(process, _SIDES, active=active)
        }
        unknown = [guid for guid in ends if guid not in self._called]
        found = self._calls.by_guids(unknown, relationships=False)
        self._called |= {guid: ref_of(found[guid]) if guid in found else None for guid in unknown}

    # --- their names -------------------------------------------------------------------------------------------------
    def _give_names(self, processes: Iterable[_Process], parents: Mapping[str, str]) -> None:
        by_type: dict[str, list[_Process]] = defaultdict(list)
        for process in processes:
            by_type[process.to.type_name].append(process)
        for type_name, of_type in by_type.items():
            taken = {*self._calls.get_many(type_name, [process.to.qualified_name for process in of_type])}
            changes, others = [], []
            for process in of_type:
                parent, name = _parent(process.entity["attributes"], parents), process.to.qualified_name
                if name in taken:
                    others.append((process, parent))
                else:
                    taken.add(name)
                    changes.append((process.entity, {"qualifiedName": name, "processKey": token(name), **parent}))
            self._calls.update_many(changes)
            for process, parent in others:
                self._unite(process, parent)

    def _unite(self, process: _Process, parent: Json) -> None:
        """There is one of that name already: it takes over what is newer, and what people said of this one, which goes."""
        there = self._calls.get(process.to)
        if there is None:
            return
        self._name_all([there])
        told = self._newer(process, there) | self._lacking(process, there)
        if told.keys() & parent.keys():
            told |= parent
        if told:
            self._calls.update(ref_of(there), told)
        self._calls.hand_over(process.entity, there)
        self._calls.delete(process.entity)

    def _newer(self, process: _Process, there: Json) -> Json:
        """What was told later of ``process``: by its last run, and of what describes it each by itself."""
        own, known = process.entity["attributes"], there["attributes"]
        times = self._state.described(self._name, [process.old, process.to])
        own_times, known_times = times.get(process.old, {}), times.get(process.to, {})
        is_latest = _order(own) > _order(known)
        told: Json = {}
        for name in own.keys() - _NO_FACTS:
            since = own_times.get(name, -1 if own[name] is None else own.get(FACTS_TIME) or 0)
            other = known_times.get(name, -1 if known.get(name) is None else known.get(FACTS_TIME) or 0)
            if own[name] != known.get(name) and (is_latest if name in _LATEST else since >= other):
                told[name] = own[name]
        return told

    def _lacking(self, process: _Process, there: Json) -> Json:
        """The ends of ``there``, where it lacks one: what was called so before may have been dropped."""
        found: Json = {}
        for side, ends in process.ends.items():
            known = self._names(items(there, (side,)), self._to)
            own = self._names(ends, self._to)
            if lacking := own.keys() - known.keys():
                found[side] = [guidref_of(end) for end in (*known.values(), *(own[ref] for ref in sorted(lacking)))]
        return found

    # --- what refers to them -----------------------------------------------------------------------------------------
    def _tell_columns(self, parents: Mapping[str, str], besides: set[str]) -> None:
        """The processes of columns say which process of whole datasets they belong to."""
        for old in parents:
            found = self._calls.search(_COLUMNS, {"parentKey": token(old)}, (*_NAMED, "parentProcess"))
            headers = [header for header in found if header["guid"] not in besides]
            self._calls.update_many((header, _parent(header["attributes"], parents)) for header in headers)

    def _tell_runs(self, processes: Sequence[_Process]) -> None:
        """Runs say by keys which processes they did."""
        by_worker: dict[Worker, list[_Process]] = defaultdict(list)
        for process in processes:
            if (worker := worker_of(process.entity["attributes"])) is not None:
                by_worker[worker].append(process)
        for worker, done in by_worker.items():
            keys = {token(process.old.qualified_name): token(process.to.qualified_name) for process in done}
            searches = [*({**worker.filters, "processKey": key} for key in keys), worker.filters]
            found = self._runs(worker.run_type, searches, done)
            told = ((run, str(run["attributes"].get("processKey") or "").split()) for run in found)
            self._calls.update_many(
                (run, {"processKey": " ".join(keys.get(key, key) for key in known)})
                for run, known in told
                if not keys.keys().isdisjoint(known) and (run["attributes"].get(FACTS_TIME) or 0) <= self._time
            )

    def _runs(self, type_name: str, searches: Iterable[Json], processes: Iterable[_Process]) -> Iterable[Json]:
        """What is found, and who did these ``processes`` last: a run that was written a moment ago is found by its name only."""
        wanted = (*_NAMED, "processKey", FACTS_TIME)
        runs = {
            header["attributes"]["qualifiedName"]: header
            for filters in searches
            for header in self._calls.search(type_name, filters, wanted)
        }
        for process in processes:
            name = process.entity["attributes"].get("lastRun")
            if name and name not in runs and (run := self._calls.get(Ref(type_name, name), relationships=False)):
                runs[name] = run
        return runs.values()


def _parent(attributes: Json, parents: Mapping[str, str]) -> Json:
    """How a process of columns names the process that it belongs to, where that is among ``parents`` by its old name."""
    name = parents.get(attributes.get("parentProcess") or "")
    return {"parentProcess": name, "parentKey": token(name)} if name else {}


def _order(attributes: Json) -> tuple[int, str]:
    """What makes one `Entity.latest` newer than another."""
    return attributes.get(FACTS_TIME) or 0, attributes.get("lastRun") or ""
