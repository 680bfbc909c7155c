"""MySQL and MariaDB: ``mysql://host:port`` ⟂ ``db.table``. Case is kept: it counts on most servers."""

from __future__ import annotations

from airflow_provider_mlgov.translate.naming.rdbms import family

FAMILY = family("mysql", ("mysql", "mariadb"), 3306, has_schemas=False)
