"""A catalogue that is reached by Atlas's v2 REST: a real Atlas, or the served embedded one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import quote, urlencode

from airflow_provider_mlgov.catalog.atlas_auth import Auth
from airflow_provider_mlgov.catalog.atlas_errors import (
    GUID_NOT_FOUND,
    NAME_NOT_FOUND,
    RELATIONSHIP_EXISTS,
    TYPE_NOT_FOUND,
)
from airflow_provider_mlgov.catalog.atlas_forms import (
    CLASSIFICATIONS,
    DONE,
    ENTITY,
    FOUND,
    LINEAGE,
    MUTATION,
    RELATIONSHIP,
    SEARCH,
    TYPE,
    TYPES,
    Form,
    described,
    written,
)
from airflow_provider_mlgov.catalog.atlas_http import Address, AtlasHttp
from airflow_provider_mlgov.catalog.catalog import Direction, Json
from airflow_provider_mlgov.errors import CatalogRefusedError, CatalogUnavailableError, ForeignAnswerError

_QUERY_LENGTH = 6000
"""A query stays below this, for the sake of proxies; Atlas itself takes 16,000."""
_GUIDS_PER_CALL = 100
_NARROW_REFERRED = {"minExtInfo": "true"}
"""Of many entities Atlas would describe whatever they refer to in full."""
_FORBIDDEN = "ATLAS-403-00-001"


class AtlasCatalog:
    """The catalogue protocol over HTTP. It never tries a call twice: who calls knows what may be repeated.

    ``url`` may have a base path (``https://knox/gateway/cdp/atlas``). ``timeout`` is for connecting and for each read;
    ``deadline`` bounds a whole call. ``verify`` is False or the path of a CA file or folder where the system's
    certificates do not do. ``cert`` are the files of a certificate and its key, for mutual TLS.
    """

    def __init__(
        self,
        url: str,
        auth: Auth | None = None,
        *,
        timeout: tuple[float, float] = (5.0, 60.0),
        deadline: float = 120.0,
        verify: bool | str = True,
        cert: tuple[str, str] | None = None,
    ) -> None:
        self._http = AtlasHttp(Address.read(url, auth), timeout=timeout, deadline=deadline, verify=verify, cert=cert)
        self._wrote = False

    def __repr__(self) -> str:
        return f"AtlasCatalog({self.identity!r})"

    @property
    def identity(self) -> str:
        """The URL, without credentials."""
        return self._http.address.base

    @property
    def calls(self) -> int:
        """HTTP requests made so far by this process."""
        return self._http.calls

    def within(self, seconds: float) -> AbstractContextManager[None]:
        """``with catalog.within(5):`` the calls of this thread in the block together take at most so long."""
        return self._http.within(seconds)

    def status(self) -> Json:
        """Atlas's state and version. The version is asked for with the login, which the state does not need."""
        status = self._object("GET", "admin/status")
        if not isinstance(status.get("Status"), str):
            raise CatalogUnavailableError(f"{self.identity} has no Status to tell, so it is no Atlas; check the URL")
        version = self._object("GET", "admin/version").get("Version")
        return {**status, "Version": version} if version else status

    # --- types -------------------------------------------------------------------------------------------------------
    def type_definitions(self) -> Json:
        """All definitions, by category."""
        return self._object("GET", "v2/types/typedefs", form=TYPES)

    def type_definition(self, name: str) -> Json | None:
        """The definition of one type, or None."""
        return self._or_none(TYPE_NOT_FOUND, f"v2/types/typedef/name/{_part(name)}", TYPE)

    def create_types(self, definitions: Json) -> Json:
        """POST typedefs: all are made or none."""
        return self._object("POST", "v2/types/typedefs", definitions, form=TYPES)

    def update_types(self, definitions: Json) -> Json:
        """PUT typedefs."""
        return self._object("PUT", "v2/types/typedefs", definitions, form=TYPES)

    # --- entities ----------------------------------------------------------------------------------------------------
    def write(self, entities: Sequence[Json], *, referred: Mapping[str, Json] | None = None) -> Json:
        """POST entity/bulk: create or update all or none."""
        body: Json = {"entities": list(entities)}
        if referred:
            body["referredEntities"] = dict(referred)
        sent = [guid for each in entities if str(guid := each.get("guid", "")).startswith("-")]
        try:
            answer = self._object("POST", "v2/entity/bulk", body, form=written(sent))
        except CatalogRefusedError as error:
            if error.error_code == _FORBIDDEN and not self._wrote:
                self._check_rights()
            raise
        self._wrote = True
        return answer

    def update(self, type_name: str, qualified_name: str, attributes: Mapping[str, Any]) -> Json:
        """PUT entity/uniqueAttribute: change these attributes and leave the rest."""
        body = {"entity": {"typeName": type_name, "attributes": dict(attributes)}}
        return self._object("PUT", _by_name("v2/entity", type_name, qualified_name), body, form=MUTATION)

    def update_attribute(self, guid: str, name: str, value: Any) -> Json:
        """PUT entity/guid: change one attribute."""
        path = f"v2/entity/guid/{_part(guid)}?{urlencode({'name': name})}"
        return self._object("PUT", path, value, form=MUTATION)

    def get(self, type_name: str, qualified_name: str, *, relationships: bool = False) -> Json | None:
        """The active entity with this name, or None."""
        return self._entity(NAME_NOT_FOUND, _by_name("v2/entity", type_name, qualified_name, **_narrow(relationships)))

    def get_by_guid(self, guid: str, *, relationships: bool = False) -> Json | None:
        """The entity with this guid, active or deleted, or None."""
        path = f"v2/entity/guid/{_part(guid)}?{urlencode(_narrow(relationships))}"
        return self._entity(GUID_NOT_FOUND, path)

    def get_many(self, type_name: str, qualified_names: Iterable[str]) -> dict[str, Json]:
        """The active entities among these names, by qualifiedName; one call for as many names as a URL holds."""
        found: dict[str, Json] = {}
        for query in _queries(dict.fromkeys(qualified_names)):
            path = f"v2/entity/bulk/uniqueAttribute/type/{_part(type_name)}?{query}"
            answer = self._object("GET", path, form=FOUND)
            found |= {each["attributes"]["qualifiedName"]: each for each in answer.get("entities") or ()}
        return found

    def get_many_by_guid(self, guids: Iterable[str], *, relationships: bool = False) -> dict[str, Json]:
        """The entities with these guids, active or deleted, by guid; one call for as many as a URL holds."""
        found: dict[str, Json] = {}
        for some in _chunks([*dict.fromkeys(guids)]):
            query = urlencode(
                [*(_narrow(relationships) | _NARROW_REFERRED).items(), *(("guid", guid) for guid in some)]
            )
            answer = self._or_none(GUID_NOT_FOUND, f"v2/entity/bulk?{query}", FOUND)
            if answer is not None:
                entities = answer.get("entities") or ()
            else:  # one that is absent fails all
                entities = [each for guid in some if (each := self.get_by_guid(guid, relationships=relationships))]
            found |= {each["guid"]: each for each in entities}
        return found

    # --- reading -----------------------------------------------------------------------------------------------------
    def lineage(self, type_name: str, qualified_name: str, *, direction: Direction = "BOTH", depth: int = 3) -> Json:
        """Atlas's lineage answer."""
        path = _by_name("v2/lineage", type_name, qualified_name, direction=direction, depth=str(depth))
        return self._object("GET", path, form=LINEAGE)

    def search(
        self,
        type_name: str,
        filters: Mapping[str, Any] | None = None,
        *,
        below: Mapping[str, int] | None = None,
        classification: str | None = None,
        attributes: Sequence[str] = (),
        limit: int = 100,
        offset: int = 0,
        include_deleted: bool = False,
    ) -> list[Json]:
        """Basic search by equality of all ``filters``, and by what is ``below`` a value."""
        body: Json = {
            "typeName": type_name,
            "excludeDeletedEntities": not include_deleted,
            "includeSubTypes": True,
            "attributes": list(attributes),
            "limit": limit,
            "offset": offset,
        }
        if classification is not None:
            body |= {"classification": classification, "includeSubClassifications": True}
        criteria = [_criterion(name, "eq", value) for name, value in (filters or {}).items()]
        criteria += [_criterion(name, "lt", value) for name, value in (below or {}).items()]
        if criteria:
            body["entityFilters"] = {"condition": "AND", "criterion": criteria}
        return self._object("POST", "v2/search/basic", body, form=SEARCH).get("entities") or []

    # --- relationships and classifications ---------------------------------------------------------------------------
    def relate(
        self, type_name: str, end1: Json, end2: Json, *, attributes: Mapping[str, Any] | None = None
    ) -> Json | None:
        """POST relationship; None if the edge is already there."""
        body: Json = {"typeName": type_name, "end1": end1, "end2": end2}
        if attributes:
            body["attributes"] = dict(attributes)
        try:
            return self._object("POST", "v2/relationship", body, form=RELATIONSHIP)
        except CatalogRefusedError as error:
            if error.error_code == RELATIONSHIP_EXISTS:
                return None
            raise

    def delete_relationship(self, guid: str) -> None:
        """Soft-delete one relationship."""
        self._object("DELETE", f"v2/relationship/guid/{_part(guid)}", form=DONE)

    def classify(self, guid: str, classifications: Sequence[Json]) -> None:
        """Add classifications."""
        self._object("POST", f"v2/entity/guid/{_part(guid)}/classifications", list(classifications), form=DONE)

    def classifications(self, guid: str) -> list[Json]:
        """Own and propagated classifications."""
        path = f"v2/entity/guid/{_part(guid)}/classifications"
        return self._object("GET", path, form=CLASSIFICATIONS).get("list") or []

    def declassify(self, guid: str, classification: str) -> None:
        """Remove one classification."""
        self._object("DELETE", f"v2/entity/guid/{_part(guid)}/classification/{_part(classification)}", form=DONE)

    def add_labels(self, guid: str, labels: Sequence[str]) -> None:
        """Add labels to those that are there."""
        self._object("PUT", f"v2/entity/guid/{_part(guid)}/labels", list(labels), form=DONE)

    def set_business_metadata(
        self, guid: str, attributes: Mapping[str, Mapping[str, Any]], *, overwrite: bool = False
    ) -> None:
        """Set business attributes. Atlas's bundled policy lets data stewards do this, but not its admin."""
        path = f"v2/entity/guid/{_part(guid)}/businessmetadata?isOverwrite={str(overwrite).lower()}"
        self._object("POST", path, {name: dict(each) for name, each in attributes.items()}, form=DONE)

    # --- deleting ----------------------------------------------------------------------------------------------------
    def delete(self, type_name: str, qualified_name: str) -> Json:
        """Soft-delete, with what it owns."""
        return self._object("DELETE", _by_name("v2/entity", type_name, qualified_name), form=MUTATION)

    def delete_by_guid(self, guids: Sequence[str]) -> Json:
        """Soft-delete several, with what they own."""
        deleted = [
            self._object("DELETE", f"v2/entity/bulk?{urlencode([('guid', g) for g in some])}", form=MUTATION)
            for some in _chunks(guids)
        ]
        return _merged(deleted)

    def purge(self, guids: Sequence[str]) -> Json:
        """Remove deleted entities for good."""
        return _merged([self._object("PUT", "admin/purge", list(some), form=MUTATION) for some in _chunks(guids)])

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    # --- calls -------------------------------------------------------------------------------------------------------
    def _object(self, method: str, path: str, body: Any = None, *, form: Form | None = None) -> Json:
        return self._answer(method, path, None if body is None else _json(body), form)

    def _answer(self, method: str, path: str, body: bytes | None, form: Form | None) -> Json:
        answer = self._http.call(method, path, body)
        what = f"{method} {path.partition('?')[0]}"
        if not isinstance(answer, dict):
            raise ForeignAnswerError(
                f"{self.identity} answered {what} with a {type(answer).__name__}; wanted an object"
            )
        if form is not None and not form.fits(answer):
            raise ForeignAnswerError(
                f"{self.identity} answered {what} with {described(answer)}, which is not Atlas's; wanted {form.wanted}:"
                " check the URL, and what stands before Atlas (a login, a page for maintenance)"
            )
        return answer

    def _or_none(self, absent: str, path: str, form: Form | None = None) -> Json | None:
        try:
            return self._object("GET", path, form=form)
        except CatalogRefusedError as error:
            if error.error_code == absent:
                return None
            raise

    def _entity(self, absent: str, path: str) -> Json | None:
        answer = self._or_none(absent, path, ENTITY)
        return None if answer is None else answer["entity"]

    def _check_rights(self) -> None:
        """After a 403 on the first write: is it this batch, or may the user write nothing at all?"""
        session = self._object("GET", "admin/session")
        if session.get("atlas.entity.create.allowed") is False:
            raise CatalogUnavailableError(
                f"{self.identity} lets user {session.get('userName')!r} create no entities (403); give it that right"
            ) from None


def _part(text: str) -> str:
    return quote(text, safe="")


def _json(value: Any) -> bytes:
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()
    except ValueError as error:  # NaN and infinity are no JSON; Atlas would answer 500
        raise CatalogRefusedError(f"not sent to Atlas: {error}", error_code="HTTP-400", status=400) from None


def _by_name(resource: str, type_name: str, qualified_name: str, **parameters: str) -> str:
    query = urlencode({"attr:qualifiedName": qualified_name, **parameters}, quote_via=quote)
    return f"{resource}/uniqueAttribute/type/{_part(type_name)}?{query}"


def _narrow(relationships: bool) -> dict[str, str]:
    return {} if relationships else {"ignoreRelationships": "true", **_NARROW_REFERRED}


def _queries(qualified_names: Iterable[str]) -> Iterator[str]:
    """Queries for several names, each as long as a URL may be."""
    start = urlencode(_narrow(relationships=False))
    query, count = start, 0
    for name in qualified_names:
        part = f"&attr_{count}:qualifiedName={_part(name)}"
        if count and len(query) + len(part) > _QUERY_LENGTH:
            yield query
            query, count = start, 0
            part = f"&attr_0:qualifiedName={_part(name)}"
        query, count = query + part, count + 1
    if count:
        yield query


def _criterion(attribute: str, operator: str, value: Any) -> Json:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return {"attributeName": attribute, "operator": operator, "attributeValue": text}


def _chunks(guids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(guids), _GUIDS_PER_CALL):
        yield guids[start : start + _GUIDS_PER_CALL]


def _merged(answers: Sequence[Json]) -> Json:
    """Several mutation answers as one."""
    mutated: dict[str, list[Json]] = {}
    for answer in answers:
        for action, headers in (answer.get("mutatedEntities") or {}).items():
            mutated.setdefault(action, []).extend(headers)
    return {"mutatedEntities": mutated} if mutated else {}
