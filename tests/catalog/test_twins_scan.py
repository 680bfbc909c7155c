"""What is scanned for twins: all that we write; and the embedded catalogue, which has none."""

from __future__ import annotations

import json
from pathlib import Path

from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from airflow_provider_mlgov.catalog.merging import Merger
from airflow_provider_mlgov.catalog.twins import TEMPORARY, Twins, find_twins, scanned_types
from airflow_provider_mlgov.catalog.types.apply import ensure_types
from airflow_provider_mlgov.catalog.types.definitions import atlas_types, our_types
from airflow_provider_mlgov.model.entity import Ref

GOLDEN = Path(__file__).parent.parent / "translate" / "golden"


def test_all_types_that_we_write_are_scanned() -> None:
    parents = {
        each["name"]: each["superTypes"] for types in (atlas_types(), our_types()) for each in types["entityDefs"]
    }

    def is_scanned(name: str) -> bool:
        return name in scanned_types() or any(is_scanned(parent) for parent in parents[name])

    written = {each["name"] for each in our_types()["entityDefs"]}
    for path in GOLDEN.rglob("*.json"):
        written |= set(_type_names(json.loads(path.read_text(encoding="utf-8"))))
    assert len(written) > 40
    assert sorted(name for name in written if name in parents and not is_scanned(name)) == []


def _type_names(value: object) -> list[str]:
    if isinstance(value, dict):
        own = [value["typeName"]] if isinstance(value.get("typeName"), str) and "qualifiedName" in str(value) else []
        return own + [name for item in value.values() for name in _type_names(item)]
    if isinstance(value, list):
        return [name for item in value for name in _type_names(item)]
    return []


def test_parents_come_before_what_they_contain() -> None:
    types = scanned_types()
    for parent, child in (("hive_table", "hive_column"), ("rdbms_instance", "rdbms_db"), ("rdbms_db", "rdbms_table"),
                          ("ml_project", "mlgov_model_build"), ("mlgov_dataset", "mlgov_column")):  # fmt: skip
        assert types.index(parent) < types.index(child)


def test_one_name_of_two_types_is_no_twin(tmp_path: Path) -> None:
    catalog = EmbeddedCatalog(tmp_path / "catalog.db")
    ensure_types(catalog)
    for type_name in ("mlgov_dataset", "mlgov_trino_table"):
        catalog.write([{"typeName": type_name, "attributes": {"qualifiedName": "a@x", "name": "a"}}])
    told: list[int] = []
    assert find_twins(catalog, "mlgov_dataset", told.append) == []
    assert told == [2]


def test_a_repair_that_was_cut_off_is_finished_on_the_embedded_one_too(tmp_path: Path) -> None:
    catalog = EmbeddedCatalog(tmp_path / "catalog.db")
    ensure_types(catalog)
    answer = catalog.write(
        [{"typeName": "mlgov_dataset", "attributes": {"qualifiedName": f"{TEMPORARY}a@x", "name": "a"}}]
    )
    guid = answer["mutatedEntities"]["CREATE"][0]["guid"]
    (twins,) = find_twins(catalog, "mlgov_dataset")
    assert twins == Twins(Ref("mlgov_dataset", "a@x"), None, (guid,))
    merged = Merger(catalog, lambda call: call()).merge(twins)
    assert (merged.keeper, merged.removed, merged.failure) == (guid, (), None)
    found = catalog.get("mlgov_dataset", "a@x")
    assert found is not None
    assert found["guid"] == guid
    assert find_twins(catalog, "mlgov_dataset") == []
