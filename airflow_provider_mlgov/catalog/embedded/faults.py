"""Atlas's error codes as errors of this package."""

from __future__ import annotations

from airflow_provider_mlgov.errors import CatalogRefusedError, EntityNotFoundError

_NOT_FOUND = frozenset({"404-00-005", "404-00-009"})


def refused(code: str, text: str) -> CatalogRefusedError:
    """The error that Atlas answers with ``ATLAS-<code>``; the first three digits are the HTTP status."""
    kind = EntityNotFoundError if code in _NOT_FOUND else CatalogRefusedError
    return kind(f"ATLAS-{code}: {text}", error_code=f"ATLAS-{code}", status=int(code[:3]))


def message(error: CatalogRefusedError) -> str:
    """Atlas's own message of an error, without the code."""
    return str(error).removeprefix(f"{error.error_code}: ")


def no_such_guid(guid: object) -> CatalogRefusedError:
    """Nothing has this guid."""
    return refused("404-00-005", f"Given instance guid {guid} is invalid/not found")


def no_such_name(type_name: str, attribute: str, value: object) -> CatalogRefusedError:
    """No active entity of this type has this unique attribute."""
    return refused("404-00-009", f"Instance {type_name} with unique attribute {{{attribute}={value}}} does not exist")


def no_such_reference(what: str) -> CatalogRefusedError:
    """A reference of a batch leads nowhere."""
    return refused("404-00-00A", f"Referenced entity {what} is not found")


def no_such_type(category: str, name: object) -> CatalogRefusedError:
    """An entity, a reference or a classification names a type that is not there."""
    shown = "null" if name is None else name
    return refused("400-00-014", f"Type {category} with name {shown} does not exist")


def invalid_instance(problems: list[str]) -> CatalogRefusedError:
    """Values that do not fit their types, or required ones that are missing."""
    return refused("404-00-007", f"Invalid instance creation/updation parameters passed : {', '.join(problems)}")


def invalid_parameters(text: str) -> CatalogRefusedError:
    """What Atlas calls invalid parameters."""
    return refused("400-00-01A", f"invalid parameters: {text}")
