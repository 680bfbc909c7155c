"""Data in the memory of a run: ``inmemory://`` ⟂ anything.

Its name means nothing outside the run, and two runs that use one name would seem to exchange data. So it is left out: what went
into it and what came of it are ends of the run all the same. A rule can give such a namespace another family.
"""

from __future__ import annotations

from airflow_provider_mlgov.translate.naming import fallback
from airflow_provider_mlgov.translate.naming.family import Family

FAMILY = Family(("inmemory",), fallback.entities, fallback.column, is_durable=False)
