"""Entities in the embedded catalogue, where it differs from Atlas on purpose or where the conformance suite does not look."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from airflow_provider_mlgov.catalog.types.definitions import our_types
from airflow_provider_mlgov.errors import CatalogRefusedError

Json = dict[str, Any]


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[EmbeddedCatalog]:
    made = EmbeddedCatalog(tmp_path / "c.db")
    made.create_types(our_types())
    yield made
    made.close()


def table(name: str, guid: str = "-1", **attributes: Any) -> Json:
    return {"typeName": "hive_table", "guid": guid, "attributes": {"qualifiedName": name, "name": name, **attributes}}


def process(name: str, guid: str = "-9", **relations: Any) -> Json:
    return {
        "typeName": "mlgov_task_process",
        "guid": guid,
        "attributes": {"qualifiedName": name, "name": name},
        "relationshipAttributes": relations,
    }


def by_name(name: str, type_name: str = "hive_table") -> Json:
    return {"typeName": type_name, "uniqueAttributes": {"qualifiedName": name}}


def active_inputs(catalog: EmbeddedCatalog, name: str) -> list[str]:
    found = catalog.get("mlgov_task_process", name, relationships=True)
    assert found is not None
    ends = found["relationshipAttributes"]["inputs"]
    return [end["displayText"] for end in ends if end["relationshipStatus"] == "ACTIVE"]


def test_an_input_that_comes_back_is_there(catalog: EmbeddedCatalog) -> None:
    catalog.write([table("a", "-1"), table("b", "-2")])
    for _ in range(3):
        for names in (["a", "b"], ["a"], ["a", "b"], []):
            catalog.write([process("p", inputs=[by_name(name) for name in names])])
            assert sorted(active_inputs(catalog, "p")) == names
    catalog.write([process("p", inputs=[by_name("b"), by_name("a")])])
    assert sorted(active_inputs(catalog, "p")) == ["a", "b"]


def test_an_input_that_was_made_anew_is_linked(catalog: EmbeddedCatalog) -> None:
    catalog.write([table("a"), process("p", inputs=[{"guid": "-1"}])])
    catalog.delete("hive_table", "a")
    assert active_inputs(catalog, "p") == []
    catalog.write([table("a")])
    catalog.write([process("p", inputs=[by_name("a")])])
    assert active_inputs(catalog, "p") == ["a"]


def test_twins_of_a_batch_become_one(catalog: EmbeddedCatalog) -> None:
    answer = catalog.write(
        [table("a", "-1", comment="first"), table("a", "-2", comment="second"), process("p", inputs=[{"guid": "-2"}])]
    )
    assert answer["guidAssignments"]["-1"] == answer["guidAssignments"]["-2"]
    assert len(catalog.search("hive_table")) == 1
    assert catalog.get("hive_table", "a")["attributes"]["comment"] == "second"  # type: ignore[index]
    assert active_inputs(catalog, "p") == ["a"]


def test_a_batch_that_fails_late_writes_nothing(catalog: EmbeddedCatalog) -> None:
    wrong = table("b", "-2", createTime="yesterday")
    with pytest.raises(CatalogRefusedError) as caught:
        catalog.write([table("a"), process("p", inputs=[{"guid": "-1"}]), wrong])
    assert caught.value.error_code == "ATLAS-404-00-007"
    assert catalog.search("Referenceable", include_deleted=True) == []


def test_a_name_that_is_taken_is_refused(catalog: EmbeddedCatalog) -> None:
    catalog.write([table("a", "-1"), table("b", "-2")])
    with pytest.raises(CatalogRefusedError) as caught:
        catalog.update("hive_table", "b", {"qualifiedName": "a"})
    assert caught.value.status == 409
    assert catalog.get("hive_table", "b")


def test_a_renamed_entity_is_found_by_its_new_name_only(catalog: EmbeddedCatalog) -> None:
    catalog.write([table("a")])
    catalog.update("hive_table", "a", {"qualifiedName": "b"})
    assert catalog.get("hive_table", "a") is None
    assert catalog.get("hive_table", "b")
    assert [header["guid"] for header in catalog.search("hive_table", {"qualifiedName": "a"})] == []
    assert len(catalog.search("hive_table", {"qualifiedName": "b"})) == 1


def test_a_child_moves_to_its_new_parent(catalog: EmbeddedCatalog) -> None:
    def project(name: str, guid: str) -> Json:
        return {"typeName": "ml_project", "guid": guid, "attributes": {"qualifiedName": name, "name": name}}

    def build(parent: Json) -> Json:
        attributes = {"qualifiedName": "b", "name": "b", "version": 1}
        relations = {"project": parent}
        return {"typeName": "mlgov_model_build", "attributes": attributes, "relationshipAttributes": relations}

    catalog.write([project("p", "-1"), project("q", "-2"), build({"guid": "-1"})])
    catalog.write([build(by_name("q", "ml_project"))])
    assert catalog.delete("ml_project", "p")["mutatedEntities"]["DELETE"][0]["displayText"] == "p"
    assert catalog.get("mlgov_model_build", "b")
    catalog.delete("ml_project", "q")
    assert catalog.get("ml_model_build", "b") is None


def test_a_search_compares_long_values_in_full(catalog: EmbeddedCatalog) -> None:
    long = "x" * 5000
    catalog.write([table("a", "-1", owner=long + "1"), table("b", "-2", owner=long + "2")])
    assert [header["displayText"] for header in catalog.search("hive_table", {"owner": long + "2"})] == ["b"]


def test_a_search_by_an_attribute_that_changed(catalog: EmbeddedCatalog) -> None:
    catalog.write([table("a", owner="ann")])
    catalog.write([table("a", owner="bob")])
    assert catalog.search("hive_table", {"owner": "ann"}) == []
    assert len(catalog.search("hive_table", {"owner": "bob"})) == 1
    catalog.update("hive_table", "a", {"owner": None})
    assert catalog.search("hive_table", {"owner": "bob"}) == []


def test_purging_frees_everything(catalog: EmbeddedCatalog) -> None:
    guids = catalog.write([table("a"), process("p", inputs=[{"guid": "-1"}])])["guidAssignments"]
    assert catalog.purge([guids["-1"]]) == {}
    catalog.delete("hive_table", "a")
    assert catalog.purge([guids["-1"], "unknown"])["mutatedEntities"]["PURGE"][0]["guid"] == guids["-1"]
    assert catalog.get_by_guid(guids["-1"]) is None
    assert catalog.search("hive_table", include_deleted=True) == []
    assert catalog.get("mlgov_task_process", "p", relationships=True)["attributes"]["inputs"] == []  # type: ignore[index]


def test_types_made_by_one_are_seen_by_others(tmp_path: Path) -> None:
    one, other = EmbeddedCatalog(tmp_path / "c.db"), EmbeddedCatalog(tmp_path / "c.db")
    assert other.type_definition("mlgov_dag") is None
    one.create_types(our_types())
    assert other.type_definition("mlgov_dag")
    other.write([{"typeName": "mlgov_dag", "attributes": {"qualifiedName": "d", "name": "d"}}])
    assert one.get("mlgov_dag", "d")
    with pytest.raises(CatalogRefusedError) as caught:
        one.delete_types(["mlgov_dag"])
    assert caught.value.error_code == "ATLAS-409-00-002"
    one.close()
    other.close()


def test_a_type_that_cannot_be_changed_leaves_the_others_unchanged(catalog: EmbeddedCatalog) -> None:
    dag = next(one for one in our_types()["entityDefs"] if one["name"] == "mlgov_dag")
    task = next(one for one in our_types()["entityDefs"] if one["name"] == "mlgov_task")
    added = {"name": "more", "typeName": "string", "isOptional": True}
    grown = {**task, "attributeDefs": [*task["attributeDefs"], added]}
    with pytest.raises(CatalogRefusedError) as caught:
        catalog.update_types({"entityDefs": [grown, {**dag, "attributeDefs": dag["attributeDefs"][1:]}]})
    assert caught.value.error_code == "ATLAS-400-00-00D"
    names = {one["name"] for one in catalog.type_definition("mlgov_task")["attributeDefs"]}  # type: ignore[index]
    assert "more" not in names
    catalog.update_types({"entityDefs": [grown]})
    assert catalog.type_definition("mlgov_task")["attributeDefs"][-1]["name"] == "more"  # type: ignore[index]


def test_a_type_cannot_be_its_own_super_type(catalog: EmbeddedCatalog) -> None:
    first = {"name": "t_a", "superTypes": ["t_b"], "attributeDefs": []}
    second = {"name": "t_b", "superTypes": ["t_a"], "attributeDefs": []}
    with pytest.raises(CatalogRefusedError):
        catalog.create_types({"entityDefs": [first, second]})
    assert catalog.type_definition("t_a") is None


_texts = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=60)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=_texts,
    comment=_texts,
    parameters=st.dictionaries(_texts, st.none() | _texts, max_size=4),
    moment=st.integers(-(2**62), 2**62),
    aliases=st.lists(_texts, max_size=4),
)
def test_names_and_values_come_back_as_they_were(
    catalog: EmbeddedCatalog, name: str, comment: str, parameters: Json, moment: int, aliases: list[str]
) -> None:
    values = {"comment": comment, "parameters": parameters, "lastAccessTime": moment, "aliases": aliases}
    catalog.write([table(name, **values)])
    found = catalog.get("hive_table", name)
    assert found is not None
    assert {key: found["attributes"][key] for key in values} == values
    assert found["attributes"]["qualifiedName"] == name
    assert set(catalog.get_many("DataSet", [name, name + "?"])) >= {name}
    assert found["guid"] in {header["guid"] for header in catalog.search("hive_table", {"qualifiedName": name})}
    assert "mutatedEntities" not in catalog.write([table(name, **values)])


@pytest.mark.parametrize("name", ["a\x00b", "half \ud800 a pair"])
def test_odd_texts_in_names(catalog: EmbeddedCatalog, name: str) -> None:
    guid = catalog.write([table("a"), table("other", "-2")])["guidAssignments"]["-1"]
    made = catalog.write([table(name)])["guidAssignments"]["-1"]
    assert made != guid
    assert "mutatedEntities" not in catalog.write([table(name)])
    assert catalog.get_many("hive_table", [name])[name]["guid"] == made
    with pytest.raises(CatalogRefusedError):
        catalog.get_by_guid("half \ud800 a guid")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.sampled_from("abcd"), unique=True), max_size=6))
def test_the_inputs_are_always_those_of_the_last_write(catalog: EmbeddedCatalog, writes: list[list[str]]) -> None:
    catalog.write([table(name, f"-{number}") for number, name in enumerate("abcd", 1)])
    for names in writes:
        catalog.write([process("p", inputs=[by_name(name) for name in names])])
        assert sorted(active_inputs(catalog, "p")) == sorted(names)
