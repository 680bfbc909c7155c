"""The parts of an Atlas v2 call, as the functions behind its paths see them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_mlgov.catalog.embedded.embedded import EmbeddedCatalog


class MalformedCallError(Exception):
    """A call that Atlas answers with a plain 500: a body of the wrong shape, a number that is none."""


NO_CONTENT = object()
"""The answer 204."""


@dataclass(frozen=True)
class Call:
    """One call: parts of the path, query and body."""

    catalog: EmbeddedCatalog
    path: Mapping[str, str]
    query: Sequence[tuple[str, str]]
    body: Any = None

    def all(self, name: str) -> list[str]:
        """All values of a query parameter."""
        return [value for key, value in self.query if key == name]

    def text(self, name: str) -> str | None:
        """The value of a query parameter, or None."""
        return next(iter(self.all(name)), None)

    def flag(self, name: str) -> bool:
        """Whether a query parameter is ``true``."""
        return (self.text(name) or "").lower() == "true"

    def number(self, name: str, default: int) -> int:
        """A query parameter that is a number."""
        value = self.text(name)
        try:
            return default if value is None or value == "" else int(value)
        except ValueError as error:
            raise MalformedCallError(f"{name}={value}") from error

    def unique(self, prefix: str = "attr:") -> dict[str, str]:
        """The unique attributes in the query (``attr:qualifiedName=…``)."""
        return {key[len(prefix) :]: value for key, value in self.query if key.startswith(prefix)}

    def object(self) -> Mapping[str, Any]:
        """The body, which must be a JSON object."""
        if not isinstance(self.body, Mapping):
            raise MalformedCallError("the body is no JSON object")
        return self.body

    def list(self) -> Sequence[Any]:
        """The body, which must be a JSON list."""
        if not isinstance(self.body, list):
            raise MalformedCallError("the body is no JSON list")
        return self.body

    def list_of(self, kind: type) -> Sequence[Any]:
        """The body, which must be a JSON list of values of one kind."""
        if not all(isinstance(item, kind) for item in self.list()):
            raise MalformedCallError(f"the body holds something else than {kind.__name__}")
        return self.list()


Handler = Callable[[Call], Any]
"""Gives the JSON of the answer, or `NO_CONTENT`."""
Route = tuple[str, str, Handler]
"""Method, path below ``/api/atlas`` and handler."""
