"""Being let in by Kerberos: SPNEGO (RFC 4559), with the server proving who it is.

Tickets are those of the user (``kinit`` or another program that renews them, by ``KRB5CCNAME``), or come from a keytab: then the
Kerberos library gets them, keeps them in memory and gets new ones before they end.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_provider_mlgov.errors import CatalogUnavailableError, ConfigurationError

if TYPE_CHECKING:
    import requests

_SPNEGO = (1, 3, 6, 1, 5, 5, 2)
_UNPROVEN = (401, 408, 429)
"""Statuses that count without a proof, as 3xx and 5xx do: whoever made them up gains nothing but that the call is repeated."""


@dataclass(frozen=True)
class Negotiate:
    """A ticket with every call. `CatalogUnavailableError` where there is none, or the server cannot prove who it is."""

    service: str = "HTTP"
    """The service of the server; ``HTTP@name`` where it has another name than in the URL (behind a load balancer)."""
    principal: str = ""
    """Who calls; needed with a keytab."""
    keytab: str = ""
    """File with the key of ``principal``; empty: the tickets of the user."""

    def __post_init__(self) -> None:
        if self.keytab and not self.principal:
            raise ConfigurationError("kerberos_keytab is given without kerberos_principal; wanted both, or none")
        if self.keytab and not os.access(self.keytab, os.R_OK):
            raise ConfigurationError(f"the keytab {self.keytab} cannot be read on this machine")

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add a ticket, and check the answer."""
        host = urlsplit(str(request.url)).hostname or ""
        context = self._context(host)
        request.headers["Authorization"] = self._header(context, host)
        request.hooks["response"].append(lambda response, **_: self._check(context, host, response))
        return request

    def header(self, host: str) -> str:
        """The ``Authorization`` header of one call, whose answer nobody checks."""
        return self._header(self._context(host), host)

    def _context(self, host: str) -> Any:
        gssapi = _gssapi()
        service = self.service if "@" in self.service else f"{self.service}@{host}"
        try:
            creds = None
            if self.principal:
                whose = hashlib.sha256(f"{self.principal}\0{self.keytab}".encode()).hexdigest()[:16]
                store = {"client_keytab": f"FILE:{self.keytab}", "ccache": f"MEMORY:mlgov-{whose}"}
                name = gssapi.Name(self.principal, gssapi.NameType.kerberos_principal)
                creds = gssapi.Credentials(name=name, usage="initiate", store=store if self.keytab else None)
            return gssapi.SecurityContext(
                name=gssapi.Name(service, gssapi.NameType.hostbased_service),
                creds=creds,
                mech=gssapi.OID.from_int_seq(_SPNEGO),
                flags=gssapi.RequirementFlag.mutual_authentication,
                usage="initiate",
            )
        except gssapi.exceptions.GSSError as error:
            raise self._failed(host, error) from None

    def _header(self, context: Any, host: str) -> str:
        gssapi = _gssapi()
        try:
            return f"Negotiate {base64.b64encode(context.step()).decode()}"
        except gssapi.exceptions.GSSError as error:
            raise self._failed(host, error) from None

    def _failed(self, host: str, error: Any) -> CatalogUnavailableError:
        remedy = f"check the keytab {self.keytab}" if self.keytab else "kinit gets one, or a keytab in the connection"
        said = " ".join(str(error.gen_message()).split())
        return CatalogUnavailableError(f"no Kerberos ticket for {self.service} at {host}: {said}; {remedy}")

    def _check(self, context: Any, host: str, response: requests.Response) -> None:
        """Whether the answer is from the server that was meant: it holds a token that only that one can make."""
        status = response.status_code
        token = _token(response.headers.get("WWW-Authenticate", ""))
        if token is None and (status in _UNPROVEN or 300 <= status < 400 or status >= 500):
            return
        if status != 401 and not (token is not None and _proves(context, token)):
            response.close()
            raise CatalogUnavailableError(
                f"the server at {host} did not prove by Kerberos who it is, so its answer ({status}) does not count; "
                "check the URL, and what stands before Atlas"
            )


def _proves(context: Any, token: bytes) -> bool:
    try:
        context.step(token)
        return bool(context.complete)
    except _gssapi().exceptions.GSSError:
        return False


def _token(header: str) -> bytes | None:
    """The server's token in a ``WWW-Authenticate`` header, which may name other schemes too."""
    for challenge in header.split(","):
        scheme, _, token = challenge.strip().partition(" ")
        if scheme.lower() == "negotiate" and token:
            try:
                return base64.b64decode(token, validate=True)
            except binascii.Error:
                return b""
    return None


def _gssapi() -> Any:
    try:
        import gssapi
    except (ImportError, OSError) as error:
        raise ConfigurationError(
            f"Kerberos needs its library and pip install 'airflow-provider-mlgov[kerberos]' ({error})"
        ) from error
    return gssapi
