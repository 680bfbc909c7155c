"""Applying types: by eight processes at once, once per process, and what is told when it cannot be done."""

from __future__ import annotations

import multiprocessing
import multiprocessing.synchronize
import uuid
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlgov.catalog.atlas import AtlasCatalog
from airflow_provider_mlgov.catalog.catalog import Catalog, Json
from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from airflow_provider_mlgov.catalog.types import apply as module
from airflow_provider_mlgov.catalog.types.apply import apply, ensure_types, plan
from airflow_provider_mlgov.catalog.types.definitions import expand
from airflow_provider_mlgov.errors import CatalogBusyError, CatalogRefusedError, TypesConflictError


def types(name: str, *attributes: str, values: str = "A") -> Json:
    return expand(
        {
            "enumDefs": [
                {"name": f"{name}_e", "elementDefs": [{"value": v, "ordinal": n} for n, v in enumerate(values)]}
            ],
            "entityDefs": [
                {
                    "name": name,
                    "superTypes": ["DataSet"],
                    "attributeDefs": [{"name": each, "typeName": "string"} for each in attributes],
                }
            ],
        }
    )


def _run(where: str | Path, wanted: Json, start: Any, results: Any) -> None:
    catalog: Catalog = EmbeddedCatalog(where) if isinstance(where, Path) else AtlasCatalog(where)
    start.wait()
    try:
        apply(catalog, wanted)
        results.put(None)
    except BaseException as error:  # noqa: BLE001 - shown by the parent
        results.put(repr(error))
    catalog.close()


def at_once(where: str | Path, documents: list[Json]) -> list[str]:
    """Apply each in a process of its own, all at the same moment; what failed."""
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(len(documents)), context.SimpleQueue()
    processes = [context.Process(target=_run, args=(where, each, start, results)) for each in documents]
    for process in processes:
        process.start()
    failures = [results.get() for _ in processes]
    for process in processes:
        process.join()
    results.close()
    return [each for each in failures if each is not None]


@pytest.fixture(params=["embedded", pytest.param("atlas", marks=pytest.mark.atlas)])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str | Path:
    if request.param == "atlas":
        return str(request.getfixturevalue("atlas_url"))
    return tmp_path / "catalog.db"


def test_eight_processes_at_once(where: str | Path) -> None:
    name = f"cf_{uuid.uuid4().hex[:10]}"
    assert at_once(where, [types(name, "a")] * 8) == []
    assert at_once(where, [types(name, "a", "b", values="AB")] * 8) == []
    catalog: Catalog = EmbeddedCatalog(where) if isinstance(where, Path) else AtlasCatalog(where)
    try:
        assert plan(catalog, types(name, "a", "b", values="AB")).is_empty
        entity = {"typeName": name, "attributes": {"qualifiedName": name, "name": name, "b": "x"}}
        assert len(catalog.write([entity])["mutatedEntities"]["CREATE"]) == 1
    finally:
        catalog.close()


class FakeCatalog:
    """The type side of a catalogue, with chosen answers."""

    identity = "fake"

    def __init__(self, *held: Json, refuse: str | None = None) -> None:
        self.held = list(held)
        self.refuse = refuse
        self.calls: list[str] = []

    def type_definitions(self) -> Json:
        self.calls.append("get")
        return self.held.pop(0) if len(self.held) > 1 else self.held[0]

    def create_types(self, definitions: Json) -> Json:
        self.calls.append("create")
        if self.refuse:
            raise CatalogRefusedError("no", error_code=self.refuse, status=int(self.refuse[6:9]))
        return definitions

    def update_types(self, definitions: Json) -> Json:
        self.calls.append("update")
        return definitions


DATA_SET: Json = {"entityDefs": [{"name": "DataSet"}]}


def held(wanted: Json) -> Json:
    return {**wanted, "entityDefs": [*wanted["entityDefs"], *DATA_SET["entityDefs"]]}


def test_one_call_to_see_and_one_to_create() -> None:
    catalog: Any = FakeCatalog(DATA_SET)
    assert apply(catalog, types("t", "a")).missing == ("t_e", "t")
    assert catalog.calls == ["get", "create"]


def test_nothing_to_do() -> None:
    catalog: Any = FakeCatalog(held(types("t", "a", "more")))
    assert apply(catalog, types("t", "a")).is_empty
    assert catalog.calls == ["get"]


def test_somebody_else_was_quicker() -> None:
    catalog: Any = FakeCatalog(DATA_SET, held(types("t", "a")), refuse="ATLAS-409-00-001")
    assert apply(catalog, types("t", "a")).missing == ("t_e", "t")
    assert catalog.calls == ["get", "create", "get"]


def test_somebody_else_made_something_different() -> None:
    other = held(types("t", "a"))
    other["entityDefs"][0]["attributeDefs"][0]["typeName"] = "int"
    catalog: Any = FakeCatalog(DATA_SET, other, refuse="ATLAS-409-00-001")
    with pytest.raises(TypesConflictError, match=r"t\.a has typeName int, not string"):
        apply(catalog, types("t", "a"))


def test_others_that_never_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.time, "sleep", lambda _: None)
    catalog: Any = FakeCatalog(DATA_SET, refuse="ATLAS-409-00-001")
    with pytest.raises(CatalogBusyError, match="fake"):
        apply(catalog, types("t", "a"))


def test_another_refusal_is_told() -> None:
    catalog: Any = FakeCatalog(DATA_SET, refuse="ATLAS-403-00-001")
    with pytest.raises(CatalogRefusedError):
        apply(catalog, types("t", "a"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"isOptional": False}, "t.a is required, not optional"),
        ({"isIndexable": True}, "t.a has isIndexable True, not False"),
        ({"isUnique": True}, "t.a has isUnique True, not False"),
        ({"typeName": "array<string>", "cardinality": "SET"}, "t.a has cardinality SET, not SINGLE"),
    ],
)
def test_attribute_conflicts(change: Json, words: str) -> None:
    other = held(types("t", "a"))
    other["entityDefs"][0]["attributeDefs"][0] |= change
    catalog: Any = FakeCatalog(other)
    assert words in plan(catalog, types("t", "a")).conflicts
    with pytest.raises(TypesConflictError):
        apply(catalog, types("t", "a"))
    assert set(catalog.calls) == {"get"}


def test_a_required_attribute_that_we_do_not_know() -> None:
    other = held(types("t", "a", "b"))
    other["entityDefs"][0]["attributeDefs"][1]["isOptional"] = False
    assert plan(FakeCatalog(other), types("t", "a")).conflicts == ("t.b is required there, and unknown to us",)  # type: ignore[arg-type]


def test_relationship_conflicts() -> None:
    def relationship(**end: Any) -> Json:
        ends = {
            "endDef1": {"type": "DataSet", "name": "x", "isContainer": True, "cardinality": "SET", **end},
            "endDef2": {"type": "DataSet", "name": "y", "isContainer": False, "cardinality": "SINGLE"},
        }
        rest = {"name": "r", "relationshipCategory": "COMPOSITION", "propagateTags": "NONE"}
        return expand({"relationshipDefs": [rest | ends]}) | DATA_SET

    catalog: Any = FakeCatalog(relationship(name="z"))
    assert plan(catalog, relationship()).conflicts == ("r has name of endDef1 z, not x",)


def test_at_most_once_per_process_and_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_done", set())
    catalog: Any = FakeCatalog(DATA_SET)
    monkeypatch.setattr(module, "our_types", lambda: types("t", "a"))
    for _ in range(3):
        ensure_types(catalog)
    assert catalog.calls == ["get", "create"]


def test_a_failure_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_done", set())
    monkeypatch.setattr(module, "our_types", lambda: types("t", "a"))
    catalog: Any = FakeCatalog(DATA_SET, refuse="ATLAS-403-00-001")
    with pytest.raises(CatalogRefusedError):
        ensure_types(catalog)
    catalog.refuse = None
    ensure_types(catalog)
    assert catalog.calls == ["get", "create", "get", "create"]
