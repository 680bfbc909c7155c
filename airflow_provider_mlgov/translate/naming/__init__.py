"""Names of data: an OpenLineage namespace and name to Atlas entities."""

from airflow_provider_mlgov.translate.naming.families import FAMILIES, family_of
from airflow_provider_mlgov.translate.naming.family import Family
from airflow_provider_mlgov.translate.naming.fields import Field
from airflow_provider_mlgov.translate.naming.names import NO_HINTS, Hints, Named, is_catalog, name_entities

__all__ = ["FAMILIES", "NO_HINTS", "Family", "Field", "Hints", "Named", "family_of", "is_catalog", "name_entities"]
