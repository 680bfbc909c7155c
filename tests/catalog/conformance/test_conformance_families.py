"""Every family of data: what its names become is taken by the catalogue, and found again as it was written."""

from __future__ import annotations

from airflow_provider_mlgov.catalog.catalog import Catalog
from airflow_provider_mlgov.delivery.batch import batches, to_atlas
from airflow_provider_mlgov.model.entity import Entity, Ref
from airflow_provider_mlgov.translate.naming import Field, name_entities
from airflow_provider_mlgov.translate.options import TranslateOptions
from airflow_provider_mlgov.translate.settle import settle
from naming_examples import EXAMPLES

OPTIONS = TranslateOptions(airflow_namespace="families", catalog_namespace="families", platform_namespace="families")


def entities() -> list[Entity]:
    """Those of all examples, each dataset with a column where its family has columns."""
    found: list[Entity] = []
    for namespace, name, _ in EXAMPLES:
        if namespace.startswith("mlgov:"):
            continue  # their required attributes come from facts
        named = name_entities(namespace, name, OPTIONS)
        found += named.entities
        if named.family.column is not None:
            found.append(named.family.column(named.entities[-1], Field("id", "int", "key", 1)))
    return found


def test_what_names_become(catalog: Catalog) -> None:
    written = settle(entities(), {}).entities
    guids: dict[object, str] = {}
    for batch in batches(written, 100):
        answer = catalog.write(to_atlas(batch, guids))
        for number, entity in enumerate(batch, 1):
            guids[entity.ref] = answer["guidAssignments"][f"-{number}"]
    assert len(set(guids.values())) == len(written), "two names are one entity"
    for entity in written:
        stored = catalog.get(entity.type_name, entity.qualified_name, relationships=True)
        assert stored is not None, entity.ref
        assert {key: stored["attributes"].get(key) for key in entity.attributes} == dict(entity.attributes)
        for relation, ref in entity.relations.items():
            assert stored["relationshipAttributes"][relation]["guid"] == guids[Ref(ref.type_name, ref.qualified_name)]
