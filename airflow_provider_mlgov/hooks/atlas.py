"""The connection to Apache Atlas."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from airflow_provider_mlgov._compat import BaseHook
from airflow_provider_mlgov.errors import ConfigurationError, MlgovError
from airflow_provider_mlgov.hooks.fields import CONNECTION_FIELDS, FIELD_BEHAVIOUR
from airflow_provider_mlgov.masking import shown

if TYPE_CHECKING:
    from pyapacheatlas.core import AtlasClient

    from airflow_provider_mlgov.catalog.atlas import AtlasCatalog
    from airflow_provider_mlgov.catalog.atlas_auth import Auth, Bearer, ClientCredentials
    from airflow_provider_mlgov.catalog.kerberos import Negotiate
    from airflow_provider_mlgov.catalog.messaged import MessagedAtlas

_TRUE = ("true", "1", "yes", "on", "t")
_KERBEROS = ("principal", "keytab", "service")
_FALSE = ("false", "0", "no", "off", "f")


class AtlasHook(BaseHook):
    """Apache Atlas, by a Connection of type ``atlas``.

    Host (with or without ``http://`` or ``https://``), port, login and password; in the extras ``scheme``, ``base_path``
    (``/gateway/cdp/atlas``), ``verify`` (true, false), ``ca_path``, ``connect_timeout`` and ``read_timeout`` (seconds), ``auth``
    (basic, bearer, oauth2, kerberos), ``token_url`` and ``scope`` (oauth2), ``kerberos_principal``, ``kerberos_keytab`` and
    ``kerberos_service``, ``client_cert`` and ``client_key`` (files, mutual TLS).
    """

    conn_name_attr = "atlas_conn_id"
    default_conn_name = "atlas_default"
    conn_type = "atlas"
    hook_name = "Apache Atlas"

    def __init__(self, atlas_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.atlas_conn_id = atlas_conn_id

    def get_catalog(self) -> AtlasCatalog:
        """The catalogue behind the Connection. Nothing is asked of it yet.

        Raises `ConfigurationError` if the Connection is missing or wrong.
        """
        from airflow_provider_mlgov.catalog.atlas import AtlasCatalog

        return AtlasCatalog(**self._arguments())

    def get_messaged(self, patience: float) -> MessagedAtlas:
        """The same, written to by messages: see `MessagedAtlas`."""
        from airflow_provider_mlgov.catalog.messaged import MessagedAtlas

        return MessagedAtlas(**self._arguments(), patience=patience)

    def receiver(self) -> dict[str, Any]:
        """The arguments of `Forwarder`, where the Connection is that of a receiver: its host, and its token as password."""
        found = self._arguments()
        token = self.get_connection(self.atlas_conn_id).password
        if not token:
            raise ConfigurationError(
                f"connection {self.atlas_conn_id!r} has no password; wanted the token of the receiver (`mlgov token show default`)"
            )
        return {name: found[name] for name in ("url", "verify", "cert", "timeout")} | {"token": token}

    def get_conn(self) -> AtlasClient:
        """A ready `pyapacheatlas` client, for what the catalogue protocol does not cover.

        It writes on its own: the promise that one sender writes at a time does not hold for it.
        """
        from pyapacheatlas.auth import BasicAuthentication
        from pyapacheatlas.core import AtlasClient

        arguments = self._arguments()
        login, host = arguments["auth"], urlsplit(arguments["url"]).hostname or ""
        auth = BasicAuthentication(*login) if isinstance(login, tuple) else _Tokens(login, host) if login else None
        options = {
            "requests_verify": arguments["verify"],
            "requests_timeout": arguments["timeout"],
            "requests_cert": arguments["cert"],
        }
        return AtlasClient(f"{arguments['url']}/api/atlas/v2", auth, **options)

    def test_connection(self) -> tuple[bool, str]:
        """Ask Atlas for its status: what the test button of the connection form does."""
        try:
            catalog = self.get_catalog()
            try:
                status = catalog.status()
                catalog.get_many("Referenceable", ["mlgov-connection-test"])  # the status is given without a login
            finally:
                catalog.close()
        except MlgovError as error:
            return False, shown(error)
        state = str(status.get("Status", "unknown"))
        version = f", version {status['Version']}" if status.get("Version") else ""
        return state == "ACTIVE", f"Atlas at {catalog.identity} is {state}{version}"

    def _arguments(self) -> dict[str, Any]:
        """The arguments of `AtlasCatalog` that the Connection comes to."""
        from airflow_provider_mlgov._compat import AirflowNotFoundException

        try:
            connection = self.get_connection(self.atlas_conn_id)
        except AirflowNotFoundException as error:
            raise ConfigurationError(
                f"connection {self.atlas_conn_id!r} does not exist: create one of type atlas, or correct the name ({error})"
            ) from None
        extra = connection.extra_dejson
        verify = extra.get("ca_path") or _boolean(self.atlas_conn_id, extra, "verify", default=True)
        url, found = _without_login(_url(self.atlas_conn_id, connection, extra))
        return {
            "url": url,
            "auth": _auth(self.atlas_conn_id, connection, extra, verify) or found,
            "cert": _cert(self.atlas_conn_id, extra),
            "timeout": (
                _seconds(self.atlas_conn_id, extra, "connect_timeout", 3.0),
                _seconds(self.atlas_conn_id, extra, "read_timeout", 10.0),
            ),
            "verify": verify,
        }

    # On Airflow 3 the form is declared in the provider metadata; 2.11 asks these two.
    @staticmethod
    def get_connection_form_widgets() -> dict[str, Any]:
        """The extra fields of the connection form (Airflow 2.11)."""
        from flask_appbuilder.fieldwidgets import BS3TextFieldWidget
        from flask_babel import lazy_gettext
        from wtforms import BooleanField, IntegerField, StringField
        from wtforms.validators import Optional

        def text(field: dict[str, Any]) -> Any:
            return StringField(
                lazy_gettext(field["label"]), widget=BS3TextFieldWidget(), description=field["description"]
            )

        def flag(field: dict[str, Any]) -> Any:
            return BooleanField(lazy_gettext(field["label"]), default=True, description=field["description"])

        def number(field: dict[str, Any]) -> Any:
            default = field["schema"]["default"]
            checks = [Optional()]
            return IntegerField(
                lazy_gettext(field["label"]),
                validators=checks,
                widget=BS3TextFieldWidget(),
                default=default,
                description=field["description"],
            )

        makers = {"string": text, "boolean": flag, "integer": number}
        return {name: makers[field["schema"]["type"][0]](field) for name, field in CONNECTION_FIELDS.items()}

    @staticmethod
    def get_ui_field_behaviour() -> dict[str, Any]:
        """How the fields of the connection form look (Airflow 2.11)."""
        return {
            "hidden_fields": FIELD_BEHAVIOUR["hidden-fields"],
            "relabeling": FIELD_BEHAVIOUR["relabeling"],
            "placeholders": FIELD_BEHAVIOUR["placeholders"],
        }


def _url(name: str, connection: Any, extra: dict[str, Any]) -> str:
    host = (connection.host or "").strip()
    if not host:
        raise ConfigurationError(
            f"connection {name!r} has no host; wanted the address of Atlas, such as http://atlas:21000"
        )
    scheme, mark, rest = host.rpartition("://")
    # A URI such as atlas://https://host/… puts the scheme where databases have their schema.
    scheme = (
        scheme
        or str(extra.get("scheme") or "")
        or (connection.schema if connection.schema in ("http", "https") else "")
    )
    scheme = (scheme or "http").lower()
    if scheme not in ("http", "https"):
        raise ConfigurationError(f"connection {name!r} has scheme {scheme!r}; wanted http or https")
    authority, _, path = (rest if mark else host).partition("/")
    if connection.port and ":" not in authority.rpartition("]")[2]:
        authority = f"{authority}:{connection.port}"
    base = "/".join(part.strip("/") for part in (path, str(extra.get("base_path") or "")) if part.strip("/"))
    return f"{scheme}://{authority}/{base}".rstrip("/").removesuffix("/api/atlas/v2").removesuffix("/api/atlas")


def _without_login(url: str) -> tuple[str, tuple[str, str] | None]:
    """An address, and the login that somebody wrote into it: messages show addresses."""
    scheme, _, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    login, at, host = authority.rpartition("@")
    user, _, password = login.partition(":")
    return f"{scheme}://{host}{slash}{path}", (unquote(user), unquote(password)) if at else None


class _Tokens:
    """What pyapacheatlas asks for its headers, before each call."""

    def __init__(self, auth: Bearer | ClientCredentials | Negotiate, host: str) -> None:
        self._auth = auth
        self._host = host

    def get_authentication_headers(self) -> dict[str, str]:
        from airflow_provider_mlgov.catalog.kerberos import Negotiate

        if isinstance(self._auth, Negotiate):
            return {"Authorization": self._auth.header(self._host)}
        token = self._auth.token
        return {"Authorization": f"Bearer {token if isinstance(token, str) else token()}"}


def _auth(name: str, connection: Any, extra: dict[str, Any], verify: bool | str) -> Auth | None:
    from airflow_provider_mlgov.catalog.atlas_auth import Bearer, ClientCredentials
    from airflow_provider_mlgov.catalog.kerberos import Negotiate

    kind = str(extra.get("auth") or "basic").strip().lower()
    if kind not in ("basic", "bearer", "oauth2", "kerberos"):
        raise ConfigurationError(f"connection {name!r} has auth {kind!r}; wanted basic, bearer, oauth2 or kerberos")
    login, password = connection.login or "", connection.password or ""
    if kind == "basic":
        return (login, password) if login else None
    try:
        if kind == "bearer":
            return Bearer(password)
        if kind == "kerberos":
            principal, keytab, service = (str(extra.get(f"kerberos_{part}") or "") for part in _KERBEROS)
            return Negotiate(service or "HTTP", principal, keytab)
        if not login or not password:
            raise ConfigurationError("the client's id or secret is missing; wanted them as login and password")
        scope = str(extra.get("scope") or "")
        return ClientCredentials(str(extra.get("token_url") or ""), login, password, scope, verify)
    except ConfigurationError as error:
        raise ConfigurationError(f"connection {name!r}: {error}") from None


def _cert(name: str, extra: dict[str, Any]) -> tuple[str, str] | None:
    certificate, key = (str(extra.get(part) or "") for part in ("client_cert", "client_key"))
    if key and not certificate:
        raise ConfigurationError(f"connection {name!r} has a client_key without client_cert; wanted both, or only that")
    for path in (certificate, key):
        if path and not os.access(path, os.R_OK):
            raise ConfigurationError(
                f"connection {name!r} names {path}, which cannot be read on this machine; wanted a PEM file"
            )
    return (certificate, key or certificate) if certificate else None


def _boolean(name: str, extra: dict[str, Any], key: str, *, default: bool) -> bool:
    value = extra.get(key)
    if value is None or value == "":
        return default
    text = str(value).strip().lower()
    if text not in (*_TRUE, *_FALSE):
        raise ConfigurationError(f"connection {name!r} has {key} {value!r}; wanted true or false")
    return text in _TRUE


def _seconds(name: str, extra: dict[str, Any], key: str, default: float) -> float:
    value = extra.get(key)
    if value is None or value == "":
        return default
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ConfigurationError(f"connection {name!r} has {key} {value!r}; wanted a number of seconds above 0")
    return seconds
