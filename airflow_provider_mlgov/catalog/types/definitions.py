"""The type definitions that the package carries as data.

``mlgov.json`` says only what differs from the rule (attributes are optional, not unique, not indexed); `our_types`
makes of it what Atlas's REST takes. ``atlas-<version>.json`` is the record of a server's built-in types
(``tools/record_atlas_types.py``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

from airflow_provider_mlgov.catalog.catalog import Json
from airflow_provider_mlgov.model.identity import token

SERVICE_TYPE = "mlgov"
TYPE_VERSION = "1.0"
"""Atlas keeps this beside a type; it says nothing to Atlas. What a server lacks is found by comparing."""
RECORDED_VERSION = "2.1.0"

CATEGORIES: Mapping[str, str] = MappingProxyType(
    {
        "enumDefs": "ENUM",
        "structDefs": "STRUCT",
        "classificationDefs": "CLASSIFICATION",
        "entityDefs": "ENTITY",
        "relationshipDefs": "RELATIONSHIP",
        "businessMetadataDefs": "BUSINESS_METADATA",
    }
)
"""The lists of a typedefs document, in the order in which they depend on each other, and their members' category."""

_UNBOUNDED = 2**31 - 1


def our_types() -> Json:
    """Our types in full, as Atlas's ``POST types/typedefs`` takes them. The caller may change the result."""
    return expand(_read("mlgov.json"))


def atlas_types() -> Json:
    """The built-in types of Atlas 2.1.0. The caller may change the result."""
    return _read(f"atlas-{RECORDED_VERSION}.json")


def expand(short: Mapping[str, Any]) -> Json:
    """Fill in what the short form of a typedefs document leaves to the rule."""
    return {
        category: [_expand_type(kind, definition) for definition in short.get(category, ())]
        for category, kind in CATEGORIES.items()
    }


def _read(name: str) -> Json:
    # Parsed anew for each caller: parsing is quicker than a deep copy, and a shared document would get changed.
    document: Json = json.loads(_text(name))
    return document


@cache
def our_types_digest() -> str:
    """What tells one state of our types from another."""
    return token(_text("mlgov.json"))


@cache
def _text(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _expand_type(category: str, definition: Mapping[str, Any]) -> Json:
    expanded: Json = {"category": category, "serviceType": SERVICE_TYPE, "typeVersion": TYPE_VERSION, **definition}
    if category == "ENUM":
        return expanded
    expanded["attributeDefs"] = [_expand_attribute(attribute) for attribute in definition.get("attributeDefs", ())]
    if category in ("ENTITY", "CLASSIFICATION"):
        expanded.setdefault("superTypes", [])
    return expanded


def _expand_attribute(attribute: Mapping[str, Any]) -> Json:
    many = attribute["typeName"].startswith("array<")
    expanded: Json = {
        "isOptional": True,
        "cardinality": "LIST" if many else "SINGLE",
        "isUnique": False,
        "isIndexable": False,
        **attribute,
    }
    expanded.setdefault("valuesMinCount", 0 if expanded["isOptional"] else 1)
    expanded.setdefault("valuesMaxCount", 1 if expanded["cardinality"] == "SINGLE" else _UNBOUNDED)
    return expanded
