"""What Atlas's answers look like.

A login page or a maintenance page may be JSON too, with status 200. Who took it for Atlas's would believe that all was written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_mlgov.catalog.catalog import Json
from airflow_provider_mlgov.catalog.types.definitions import CATEGORIES
from airflow_provider_mlgov.masking import shown

_KEYS_SHOWN = 8


@dataclass(frozen=True)
class Form:
    """How an answer of Atlas is told from another's."""

    wanted: str
    """In words, for a message."""
    fits: Callable[[Json], bool]


def _is_entity(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and all(isinstance(value.get(key), str) for key in ("guid", "typeName"))
        and isinstance(value.get("attributes"), dict)
    )


def _is_found(answer: Json) -> bool:
    """Where it finds none Atlas says ``{}``."""
    entities = answer.get("entities")
    if entities is None:
        return not answer.keys() - {"entities", "referredEntities"}
    return isinstance(entities, list) and all(
        _is_entity(each) and isinstance(each["attributes"].get("qualifiedName"), str) for each in entities
    )


def _is_types(answer: Json) -> bool:
    """A document of typedefs has a list for each category, if only an empty one; early versions lack the latest categories."""
    parts = [answer[category] for category in CATEGORIES if answer.get(category) is not None]
    return bool(parts) and all(_is_list(part, "name") for part in parts)


def _is_mutation(answer: Json) -> bool:
    mutated, assigned = answer.get("mutatedEntities"), answer.get("guidAssignments")
    if mutated is None and assigned is None:
        return not answer
    return isinstance(assigned or {}, dict) and _are_headers(mutated or {})


def _are_headers(mutated: Any) -> bool:
    return isinstance(mutated, dict) and all(_is_list(headers, "guid") for headers in mutated.values())


def _is_search(answer: Json) -> bool:
    """Where it finds none Atlas leaves ``entities`` out, and tells what it looked for."""
    return isinstance(answer.get("queryType"), str) and _is_list(answer.get("entities") or [], "guid", "typeName")


def _is_lineage(answer: Json) -> bool:
    return (
        isinstance(answer.get("baseEntityGuid"), str)
        and isinstance(answer.get("guidEntityMap") or {}, dict)
        and _is_list(answer.get("relations") or [], "fromEntityId", "toEntityId")
    )


def _is_classifications(answer: Json) -> bool:
    """A page of a list, which says how many there are also where it has none."""
    found = answer.get("list")
    return isinstance(answer.get("totalCount"), int) if found is None else _is_list(found, "typeName")


def _is_list(value: Any, *texts: str) -> bool:
    """Whether it is a list of objects that have these texts."""
    return isinstance(value, list) and all(
        isinstance(each, dict) and all(isinstance(each.get(key), str) for key in texts) for each in value
    )


ENTITY = Form("the entity that was asked for", lambda answer: _is_entity(answer.get("entity")))
FOUND = Form("entities, each with guid, typeName and attributes", _is_found)
TYPES = Form("types by category", _is_types)
TYPE = Form(
    "a type, with its category", lambda answer: all(isinstance(answer.get(key), str) for key in ("name", "category"))
)
SEARCH = Form("queryType, and entities with guid and typeName where there are any", _is_search)
LINEAGE = Form("baseEntityGuid, guidEntityMap and relations", _is_lineage)
CLASSIFICATIONS = Form("a list of classifications", _is_classifications)
RELATIONSHIP = Form("the relationship, with its guid", lambda answer: isinstance(answer.get("guid"), str))
MUTATION = Form("mutatedEntities", _is_mutation)
"""``{}`` where nothing had to be changed."""
DONE = Form("no content (204)", lambda answer: not answer)


def written(guids: Sequence[str]) -> Form:
    """The answer to a write: each of the negative ``guids`` that were sent has got a real one, also where nothing changed."""

    def fits(answer: Json) -> bool:
        assigned = answer.get("guidAssignments")
        return (
            isinstance(assigned, dict)
            and _is_mutation(answer)
            and all(isinstance(assigned.get(guid), str) for guid in guids)
        )

    return Form("guidAssignments with a guid for each entity sent", fits)


def described(answer: Json) -> str:
    """An answer of another form, for a message: its keys, since values may be secrets."""
    keys = [shown(key)[:40] for key in list(answer)[:_KEYS_SHOWN]]
    return f"an object of {', '.join(map(repr, keys))}" if keys else "an empty object"
