"""Deleting what is gone, where the catalogue lets it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow_provider_mlgov.errors import CatalogRefusedError
from airflow_provider_mlgov.model.entity import Ref

if TYPE_CHECKING:
    from airflow_provider_mlgov.catalog.catalog import Catalog
    from airflow_provider_mlgov.delivery.state import SenderState


def let_go(
    catalog: Catalog, name: str, state: SenderState, patiently: Callable[[Callable[[], Any]], Any], ref: Ref
) -> CatalogRefusedError | None:
    """Soft-delete ``ref`` in the catalogue of this ``name``, and forget it; why it stays, such as a user who may not delete."""
    try:
        patiently(lambda: catalog.delete(ref.type_name, ref.qualified_name))
    except CatalogRefusedError as error:
        return error
    with state.transaction():
        state.forget_deleted(name, ref)
    return None
