"""Twins that Atlas made of parallel creates: found, and made one entity that has what all of them had."""

from __future__ import annotations

import multiprocessing
import os
import signal
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from airflow_provider_mlgov.catalog.atlas import AtlasCatalog
from airflow_provider_mlgov.catalog.catalog import Catalog, Json
from airflow_provider_mlgov.catalog.merging import Merged, Merger
from airflow_provider_mlgov.catalog.twins import TEMPORARY, Twins, edges, find_twins
from airflow_provider_mlgov.catalog.types.definitions import expand
from airflow_provider_mlgov.errors import CatalogRefusedError
from twin_making import ALL, TwinMaker

pytestmark = pytest.mark.atlas
TYPES = ("rdbms_instance", "rdbms_db", "rdbms_table", "rdbms_column", "mlgov_job_process")


@pytest.fixture
def triple(atlas: Any, atlas_url: str) -> Iterator[TwinMaker]:
    yield from made(atlas_url, 3)


@pytest.fixture
def pair(atlas: Any, atlas_url: str) -> Iterator[TwinMaker]:
    yield from made(atlas_url, 2)


def made(url: str, number: int) -> Iterator[TwinMaker]:
    maker = TwinMaker(url, number)
    maker.make()
    yield maker
    maker.close()


def found(maker: TwinMaker) -> list[Twins]:
    """The twins of this test: the server may have others."""
    every = [twins for type_name in TYPES for twins in find_twins(maker.catalog, type_name)]
    return [twins for twins in every if twins.ref.qualified_name.endswith(f"@{maker.at}")]


def merge_all(maker: TwinMaker) -> list[Merged]:
    merger = Merger(maker.catalog, lambda call: call())
    merged = [merger.merge(twins) for twins in found(maker)]
    assert [each.failure for each in merged] == [None] * len(merged)
    return merged


def one_of_each(maker: TwinMaker) -> None:
    """Each name is there once, a look by name finds it, and a write of all of them again makes none."""
    for what, type_name in ALL.items():
        assert maker.count(what, type_name) == 1, what
        (guid,) = maker.guids(type_name, what)
        entity = maker.catalog.get(type_name, maker.name(what))
        assert entity is not None
        assert entity["guid"] == guid
    answer = maker.catalog.write(maker.documents())
    assert "CREATE" not in answer.get("mutatedEntities", {}), answer
    assert found(maker) == []
    table = maker.catalog.get("rdbms_table", maker.name("i.d.t"), relationships=True)
    assert table is not None
    assert {(name, item["displayText"]) for name, item in edges(table)} >= {("columns", "i.d.t.c")}
    assert ("inputToProcesses", "p") in {(name, item["displayText"]) for name, item in edges(table)}
    lineage = maker.catalog.lineage("rdbms_table", maker.name("i.d.t"), direction="OUTPUT", depth=3)
    assert "i.d.u" in {each["displayText"] for each in lineage["guidEntityMap"].values() if each["status"] == "ACTIVE"}


def ends(maker: TwinMaker, guid: str, name: str) -> list[str]:
    entity = maker.catalog.get_by_guid(guid, relationships=True)
    assert entity is not None
    return sorted(item["guid"] for each, item in edges(entity) if each == name)


def test_what_only_the_twins_have_goes_to_the_one_that_stays(triple: TwinMaker) -> None:
    maker, catalog = triple, triple.catalog
    keeper, *others = maker.guids("rdbms_table", "i.d.t")
    assert len(others) >= maker.number - 1
    twin = others[-1]
    tag, term = f"tag_{uuid.uuid4().hex[:8]}", term_of(catalog)
    catalog.create_types(
        expand({"classificationDefs": [{"name": tag, "attributeDefs": [{"name": "why", "typeName": "string"}]}]})
    )
    catalog.add_labels(keeper, ["both"])
    catalog.add_labels(twin, ["both", "by_hand"])
    catalog.classify(twin, [{"typeName": tag, "propagate": False, "attributes": {"why": "asked"}}])
    catalog.relate(
        "AtlasGlossarySemanticAssignment", *refs(term, "AtlasGlossaryTerm", twin), attributes={"description": "d"}
    )
    catalog.update_attribute(twin, "owner", "ann")
    catalog.update_attribute(twin, "description", "of the twin")
    catalog.update_attribute(keeper, "description", "of the keeper")
    for guid, custom in ((keeper, {"k": "keeper"}), (twin, {"k": "twin", "only": "twin"})):
        own = next(item for name, item in edges(got(catalog, guid)) if name == "db")
        reference = {"guid": own["guid"], "typeName": "rdbms_db"}
        attributes = {"qualifiedName": maker.name("i.d.t"), "name": "i.d.t"}
        catalog.write(
            [
                {
                    "typeName": "rdbms_table",
                    "guid": guid,
                    "attributes": attributes,
                    "customAttributes": custom,
                    "relationshipAttributes": {"db": reference},
                }
            ]
        )
    new = catalog.write([
        {"typeName": "rdbms_column", "guid": "-1", "attributes": {"qualifiedName": maker.name("i.d.t.own"), "name": "own"},
         "relationshipAttributes": {"table": {"guid": twin, "typeName": "rdbms_table"}}},
        {"typeName": "mlgov_job_process", "guid": "-2", "attributes": {"qualifiedName": maker.name("q"), "name": "q"},
         "relationshipAttributes": {"inputs": [{"guid": twin, "typeName": "rdbms_table"}], "outputs": []}},
    ])["guidAssignments"]  # fmt: skip
    merged = {each.ref.qualified_name: each for each in merge_all(maker)}
    table = merged[maker.name("i.d.t")]
    assert table.keeper == keeper
    assert set(table.removed) == set(others)
    stays = got(catalog, keeper)
    assert sorted(stays["labels"]) == ["both", "by_hand"]
    assert [(item["typeName"], item["attributes"]["why"]) for item in stays["classifications"]] == [(tag, "asked")]
    assert stays["attributes"]["owner"] == "ann"
    assert stays["attributes"]["description"] == "of the keeper"
    assert stays["customAttributes"] == {"k": "keeper", "only": "twin"}
    (meaning,) = (item for name, item in edges(stays) if name == "meanings")
    assert meaning["guid"] == term
    assert meaning["relationshipAttributes"]["attributes"]["description"] == "d"
    assert got(catalog, new["-1"])["status"] == "ACTIVE"
    assert ends(maker, new["-1"], "table") == [keeper]
    assert ends(maker, new["-2"], "inputs") == [keeper]
    for guid in others:
        assert got(catalog, guid)["status"] == "DELETED"
    one_of_each(maker)


def got(catalog: Catalog, guid: str) -> Json:
    entity = catalog.get_by_guid(guid, relationships=True)
    assert entity is not None
    return entity


def refs(first: str, type_name: str, second: str) -> tuple[Json, Json]:
    return {"guid": first, "typeName": type_name}, {"guid": second, "typeName": "rdbms_table"}


def term_of(catalog: AtlasCatalog) -> str:
    name = uuid.uuid4().hex[:8]
    glossary = catalog._object("POST", "v2/glossary", {"name": f"g{name}"})
    body = {"name": f"t{name}", "anchor": {"glossaryGuid": glossary["guid"]}}
    return str(catalog._object("POST", "v2/glossary/term", body)["guid"])


def test_the_edges_of_twin_processes_are_united(pair: TwinMaker) -> None:
    """The second process has lost its input, and has one more of its own."""
    first, second, *_ = pair.guids("mlgov_job_process", "p")
    (relation,) = (item for name, item in edges(got(pair.catalog, second)) if name == "inputs")
    pair.catalog.delete_relationship(relation["relationshipGuid"])
    other = pair.catalog.write(
        [{"typeName": "mlgov_dataset", "guid": "-1", "attributes": {"qualifiedName": pair.name("x"), "name": "x"}}]
    )["guidAssignments"]["-1"]
    pair.catalog.relate(
        "dataset_process_inputs",
        {"guid": second, "typeName": "mlgov_job_process"},
        {"guid": other, "typeName": "mlgov_dataset"},
    )
    merge_all(pair)
    (table,) = pair.guids("rdbms_table", "i.d.t")
    assert ends(pair, first, "inputs") == sorted([table, other])
    assert ends(pair, first, "outputs") == pair.guids("rdbms_table", "i.d.u")
    assert got(pair.catalog, second)["status"] == "DELETED"
    one_of_each(pair)


def test_one_whose_twin_was_deleted_alone_is_found_again(pair: TwinMaker) -> None:
    first, *others = pair.guids("rdbms_column", "i.d.t.c")
    pair.catalog.delete_by_guid(others)
    assert pair.catalog.get("rdbms_column", pair.name("i.d.t.c")) is None
    lost = next(twins for twins in found(pair) if twins.ref.type_name == "rdbms_column")
    assert (lost.found, lost.others) == (None, (first,))
    merge_all(pair)
    one_of_each(pair)


class Killing:
    """A catalogue whose process is killed right after the n-th call of one kind."""

    def __init__(self, catalog: Catalog, method: str, number: int) -> None:
        self._catalog, self._method, self._left = catalog, method, number

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._catalog, name)
        if name != self._method:
            return call

        def killing(*arguments: Any, **more: Any) -> Any:
            answer = call(*arguments, **more)
            self._left -= 1
            if not self._left:
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

        return killing


def _repair_and_die(url: str, twins: list[Twins], method: str, number: int) -> None:
    merger = Merger(Killing(AtlasCatalog(url), method, number), lambda call: call())  # type: ignore[arg-type]
    for each in twins:
        merger.merge(each)


def killed(url: str, twins: list[Twins], method: str, number: int) -> bool:
    """Whether it was killed; False where there were fewer calls."""
    process = multiprocessing.get_context("fork").Process(target=_repair_and_die, args=(url, twins, method, number))
    process.start()
    process.join(300)
    return process.exitcode == -signal.SIGKILL


@pytest.mark.parametrize("method", ["update_attribute", "delete_by_guid"])
def test_a_repair_that_was_killed_is_found_and_finished(pair: TwinMaker, atlas_url: str, method: str) -> None:
    """With the kept one under its temporary name: before its twins were deleted, and after."""
    table = next(twins for twins in found(pair) if twins.ref.qualified_name == pair.name("i.d.t"))
    assert killed(atlas_url, [table], method, 1)
    kept = got(pair.catalog, str(table.found))
    assert kept["attributes"]["qualifiedName"] == f"{TEMPORARY}{pair.name('i.d.t')}"
    again = next(twins for twins in found(pair) if twins.ref == table.ref)
    assert table.found in again.others
    merge_all(pair)
    one_of_each(pair)


@pytest.mark.long
@pytest.mark.parametrize(
    "method", ["relate", "delete_relationship", "update_attribute", "delete_by_guid", "update", "get_by_guid"]
)
@pytest.mark.parametrize("number", [2, 3, 4, 5, 7])
def test_a_repair_that_was_killed_anywhere(atlas: Any, atlas_url: str, method: str, number: int) -> None:
    for maker in made(atlas_url, 3):
        killed(atlas_url, found(maker), method, number)
        merge_all(maker)
        one_of_each(maker)


def test_what_is_refused_leaves_all_of_them(pair: TwinMaker) -> None:
    """The first deletion is refused: the kept one has its name again, and the twins are there."""

    class Refusing(Killing):
        def __getattr__(self, name: str) -> Any:
            if name == "delete_by_guid":
                return self._refuse
            return getattr(self._catalog, name)

        def _refuse(self, _guids: object) -> None:
            raise CatalogRefusedError("may not delete", error_code="ATLAS-403-00-001", status=403)

    table = next(twins for twins in found(pair) if twins.ref.qualified_name == pair.name("i.d.t"))
    merged = Merger(Refusing(pair.catalog, "", 0), lambda call: call()).merge(table)  # type: ignore[arg-type]
    assert merged.failure == "may not delete"
    assert merged.removed == ()
    for guid in (str(table.found), *table.others):
        entity = got(pair.catalog, guid)
        assert (entity["status"], entity["attributes"]["qualifiedName"]) == ("ACTIVE", pair.name("i.d.t"))
