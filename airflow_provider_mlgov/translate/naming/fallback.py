"""All other data, so that nothing is lost.

``mlgov_dataset`` with ``mlgov_column``, named by OpenLineage's namespace and name.
"""

from __future__ import annotations

from airflow_provider_mlgov.model import identity
from airflow_provider_mlgov.model.entity import Entity
from airflow_provider_mlgov.translate.naming.family import Family
from airflow_provider_mlgov.translate.naming.fields import Field, described
from airflow_provider_mlgov.translate.options import TranslateOptions
from airflow_provider_mlgov.translate.texts import nameable, shorten


def entities(namespace: str, name: str, options: TranslateOptions) -> tuple[Entity, ...]:
    """One ``mlgov_dataset``. A name that no request could carry (a whole query) is cut and ends in its digest."""
    short, place = nameable(name), nameable(namespace)
    qualified = identity.Dataset(options.catalog_namespace, place, short)
    attributes = {
        "name": shorten(name, 200),
        "namespace": place,
        "datasetName": name,
        "datasetKey": qualified.key,
    }
    return (Entity(qualified.type_name, str(qualified), attributes),)


def column(dataset: Entity, field: Field) -> Entity:
    """A column, which belongs to its dataset."""
    head, _, at = dataset.qualified_name.rpartition("@")
    qualified = f"{head}/columns/{identity.encode_part(field.name)}@{at}"
    facts = described(field, position=field.position, dataType=field.type, comment=field.description)
    return Entity(identity.Column.type_name, qualified, {"name": field.name}, facts, relations={"dataset": dataset.ref})


FAMILY = Family(schemes=(), entities=entities, column=column, kind_attribute="datasetType")
