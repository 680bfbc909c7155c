"""The three catalogues that the conformance suite runs on, and what its tests share."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlgov.catalog.atlas import AtlasCatalog
from airflow_provider_mlgov.catalog.catalog import Catalog, Json
from airflow_provider_mlgov.catalog.types.apply import ensure_types
from airflow_provider_mlgov.catalog.types.definitions import expand
from airflow_provider_mlgov.errors import CatalogRefusedError
from serving import served
from shop import Shop


@contextmanager
def serving(path: Path) -> Iterator[str]:
    """The embedded catalogue in ``path``, served; yields its URL."""
    from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
    from airflow_provider_mlgov.catalog.server import create_app

    embedded = EmbeddedCatalog(path)
    try:
        with served(create_app(embedded)) as url:
            yield url
    finally:
        embedded.close()


@pytest.fixture(scope="session", params=["embedded", "served", pytest.param("atlas", marks=pytest.mark.atlas)])
def catalog(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    """One of the three, with our types."""
    if request.param == "atlas":
        yield request.getfixturevalue("atlas")
        return
    path = tmp_path_factory.mktemp("catalog") / "catalog.db"
    if request.param == "embedded":
        from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog

        embedded = EmbeddedCatalog(path)
        ensure_types(embedded)
        yield embedded
        embedded.close()
        return
    with serving(path) as url:
        served = AtlasCatalog(url)
        ensure_types(served)
        yield served
        served.close()


@dataclass(frozen=True)
class Kit:
    """The names of some types made for the tests: a shared server may hold other people's."""

    suffix: str

    def __getattr__(self, name: str) -> str:
        return f"cf_{name}_{self.suffix}"


@pytest.fixture(scope="session")
def kit(catalog: Catalog) -> Kit:
    """Types for the tests, of every category."""
    kit = Kit(uuid.uuid4().hex[:8])
    catalog.create_types(kit_types(kit))
    return kit


def kit_types(kit: Kit) -> Json:
    attributes: list[Json] = [
        {"name": "number", "typeName": "int", "isIndexable": True},
        {"name": "big", "typeName": "long"},
        {"name": "ratio", "typeName": "double"},
        {"name": "flag", "typeName": "boolean"},
        {"name": "day", "typeName": "date"},
        {"name": "colour", "typeName": kit.colour},
        {"name": "words", "typeName": "array<string>"},
        {"name": "pairs", "typeName": "map<string,string>"},
        {"name": "point", "typeName": kit.point},
        {"name": "label", "typeName": "string", "isIndexable": True},
    ]
    needed: Json = {"name": "needed", "typeName": "string", "isOptional": False}
    short: Json = {
        "enumDefs": [
            {"name": kit.colour, "elementDefs": [{"value": "RED", "ordinal": 0}, {"value": "BLUE", "ordinal": 1}]}
        ],
        "structDefs": [{"name": kit.point, "attributeDefs": [{"name": "x", "typeName": "int"}]}],
        "classificationDefs": [
            {"name": kit.secret, "attributeDefs": [{"name": "why", "typeName": "string"}]},
            {"name": kit.top_secret, "superTypes": [kit.secret]},
            {"name": kit.local},
        ],
        "entityDefs": [
            {"name": kit.thing, "superTypes": ["DataSet"], "attributeDefs": attributes},
            {
                "name": kit.special,
                "superTypes": [kit.thing],
                "attributeDefs": [{"name": "extra", "typeName": "string"}],
            },
            {"name": kit.strict, "superTypes": ["DataSet"], "attributeDefs": [needed]},
            {"name": kit.part, "superTypes": ["DataSet"]},
            {"name": kit.step, "superTypes": ["Process"]},
            {"name": kit.friend, "superTypes": ["Asset"]},
        ],
        "relationshipDefs": [
            {
                "name": kit.knows,
                "relationshipCategory": "AGGREGATION",
                "propagateTags": "NONE",
                "endDef1": {"type": kit.thing, "name": "friends", "isContainer": True, "cardinality": "SET"},
                "endDef2": {"type": kit.friend, "name": "of", "isContainer": False, "cardinality": "SINGLE"},
            },
            {
                "name": kit.owns,
                "relationshipCategory": "COMPOSITION",
                "propagateTags": "NONE",
                "endDef1": {"type": kit.thing, "name": "parts", "isContainer": True, "cardinality": "SET"},
                "endDef2": {"type": kit.part, "name": "whole", "isContainer": False, "cardinality": "SINGLE"},
            },
        ],
        "businessMetadataDefs": [
            {
                "name": kit.quality,
                "attributeDefs": [
                    {"name": "grade", "typeName": "string", "options": _for(kit.thing, maxStrLength="10")},
                    {"name": "score", "typeName": "double", "options": _for(kit.thing)},
                ],
            }
        ],
    }
    return expand(short)


def _for(type_name: str, **options: str) -> dict[str, str]:
    return {"applicableEntityTypes": f'["{type_name}"]', **options}


@pytest.fixture
def unique() -> Callable[[str], str]:
    """Makes qualifiedNames that nobody else has: ``unique("a")`` is the same name throughout a test."""
    suffix = uuid.uuid4().hex[:12]
    return lambda name: f"{name}/{suffix}@conformance"


@pytest.fixture
def refused() -> Callable[[str], Any]:
    """``with refused("ATLAS-404-00-00A"):`` the block is refused with this code and the status in it."""

    @contextmanager
    def expect(code: str) -> Iterator[None]:
        with pytest.raises(CatalogRefusedError) as caught:
            yield
        assert (caught.value.error_code, caught.value.status) == (code, int(code.split("-")[1]))

    return expect


@pytest.fixture
def eventually() -> Callable[[Callable[[], Any], Any], None]:
    """``eventually(read, wanted)``: a write may take a second to be found by search."""

    def wait(read: Callable[[], Any], wanted: Any) -> None:
        until = time.monotonic() + 10
        while (found := read()) != wanted and time.monotonic() < until:
            time.sleep(0.05)
        assert found == wanted

    return wait


@pytest.fixture
def put(catalog: Catalog) -> Callable[..., str]:
    """``put(type, qualifiedName, attribute=…, relations={…})`` writes one entity and returns its guid."""

    def write(type_name: str, name: str, *, relations: Json | None = None, **attributes: Any) -> str:
        entity = make(type_name, name, relations=relations, **attributes)
        return str(catalog.write([entity])["guidAssignments"]["-1"])

    return write


@pytest.fixture(name="make")
def make_fixture() -> Callable[..., Json]:
    """Builds an entity without writing it."""
    return make


def make(type_name: str, name: str, *, guid: str = "-1", relations: Json | None = None, **attributes: Any) -> Json:
    entity: Json = {
        "typeName": type_name,
        "guid": guid,
        "attributes": {"qualifiedName": name, "name": name.partition("/")[0], **attributes},
    }
    if relations is not None:
        entity["relationshipAttributes"] = relations
    return entity


@pytest.fixture(name="ref")
def ref_fixture() -> Callable[[str, str], Json]:
    """A reference by qualifiedName."""
    return lambda type_name, name: {"typeName": type_name, "uniqueAttributes": {"qualifiedName": name}}


@pytest.fixture
def ends(catalog: Catalog) -> Callable[[str, str, str], set[str]]:
    """The guids of the active edges of one relation of an entity."""

    def read(type_name: str, name: str, relation: str) -> set[str]:
        entity = catalog.get(type_name, name, relationships=True)
        assert entity is not None
        related = entity["relationshipAttributes"].get(relation) or []
        related = [related] if isinstance(related, dict) else related
        return {each["guid"] for each in related if each.get("relationshipStatus", "ACTIVE") == "ACTIVE"}

    return read


@pytest.fixture
def shop(catalog: Catalog, tmp_path: Path) -> Shop:
    """Events of a schema of its own, for one test."""
    return Shop(catalog, tmp_path / "spool")


@pytest.fixture
def tagged(catalog: Catalog) -> None:
    """The catalogue has the classification that the rules of the shop give."""
    if catalog.type_definition("mlgov_test_pii") is None:
        catalog.create_types(expand({"classificationDefs": [{"name": "mlgov_test_pii"}]}))
