"""CrateDB: ``crate://host:port`` ⟂ ``db.schema.table``, in lower case."""

from __future__ import annotations

from airflow_provider_mlgov.translate.naming.rdbms import family

FAMILY = family("crate", ("crate",), 4200, has_schemas=True, case="lower")
