"""Kerberos against a real KDC, and a server that accepts its tickets."""

from __future__ import annotations

import base64
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airflow_provider_mlgov.catalog.kerberos import Negotiate
from airflow_provider_mlgov.errors import CatalogRefusedError, CatalogUnavailableError, ConfigurationError
from fake_atlas import ENTITY, FakeServer, answer, opened
from kdc import USER, Kdc, realm

Serve = Callable[..., FakeServer]
BODY = '{"entity": {"guid": "1", "typeName": "t", "attributes": {}}}'
ABSENT = '{"errorCode": "ATLAS-400-00-00A", "errorMessage": "no such attribute"}'


@pytest.fixture(scope="module")
def made_kdc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kdc]:
    with realm(tmp_path_factory.mktemp("kdc")) as made:
        yield made


@pytest.fixture
def kdc(made_kdc: Kdc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kdc:
    for name, value in {**made_kdc.environment, "KRB5CCNAME": f"FILE:{tmp_path}/tickets"}.items():
        monkeypatch.setenv(name, value)
        made_kdc.environment[name] = value
    return made_kdc


class Atlas:
    """Lets in who has a ticket, and proves who it is unless told otherwise."""

    def __init__(self, kdc: Kdc, status: str = "200 OK", body: str = BODY, proof: str = "own") -> None:
        self.kdc, self.status, self.body, self.proof = kdc, status, body, proof
        self.callers: list[str] = []
        self.first: bytes | None = None

    def __call__(self, client: socket.socket, request: str) -> None:
        import gssapi

        headers = [line for line in request.splitlines() if line.lower().startswith("authorization: negotiate ")]
        if not headers:
            answer("401 Unauthorized", "", WWW_Authenticate="Negotiate")(client, request)
            return
        creds = gssapi.Credentials(usage="accept", store={"keytab": str(self.kdc.service_keytab)})
        context = gssapi.SecurityContext(creds=creds, usage="accept")
        token = context.step(base64.b64decode(headers[0].split(" ")[2]))
        self.callers.append(str(context.initiator_name))
        proof = {"own": token, "forged": b"forged", "old": self.first or token}.get(self.proof)
        self.first = self.first or token
        more = {"WWW_Authenticate": f"Negotiate {base64.b64encode(proof).decode()}"} if proof else {}
        answer(self.status, self.body, Set_Cookie="hadoop.auth=abc", **more)(client, request)


def there(server: FakeServer) -> str:
    return server.url.replace("127.0.0.1", "localhost")


def test_a_keytab(kdc: Kdc, serve: Serve) -> None:
    atlas = Atlas(kdc)
    server = serve(atlas)
    with opened(there(server), auth=Negotiate(principal=USER, keytab=str(kdc.user_keytab))) as catalog:
        for _ in range(3):
            assert catalog.get("hive_table", "a")
    assert atlas.callers == [USER] * 3
    assert "cookie" not in "".join(server.requests).lower()


def test_the_ticket_of_the_user(kdc: Kdc, serve: Serve) -> None:
    atlas = Atlas(kdc)
    with opened(there(serve(atlas)), auth=Negotiate()) as catalog:
        with pytest.raises(CatalogUnavailableError, match=r"no Kerberos ticket for HTTP at localhost: .*kinit"):
            catalog.get("hive_table", "a")
        kdc.run("kinit", "-k", "-t", str(kdc.user_keytab), USER)
        assert catalog.get("hive_table", "a")
    assert atlas.callers == [USER]


@pytest.mark.parametrize("proof", ["none", "forged", "old"])
@pytest.mark.parametrize("status", ["200 OK", "404 Not Found"])
def test_a_server_that_cannot_prove_who_it_is(kdc: Kdc, serve: Serve, proof: str, status: str) -> None:
    """It gives no proof, or a wrong one, or that of an earlier call."""
    auth = Negotiate(principal=USER, keytab=str(kdc.user_keytab))
    atlas = Atlas(kdc, proof=proof)
    with opened(there(serve(atlas)), auth=auth) as catalog:
        if proof == "old":
            assert catalog.get("hive_table", "a")
        atlas.status = status
        with pytest.raises(CatalogUnavailableError, match="did not prove by Kerberos who it is"):
            catalog.get("hive_table", "a")


def test_a_refusal_of_a_server_that_proves_who_it_is(kdc: Kdc, serve: Serve) -> None:
    auth = Negotiate(principal=USER, keytab=str(kdc.user_keytab))
    with (
        opened(there(serve(Atlas(kdc, "400 Bad Request", ABSENT))), auth=auth) as catalog,
        pytest.raises(CatalogRefusedError, match="no such attribute"),
    ):
        catalog.get("hive_table", "a")


def test_a_server_without_kerberos(kdc: Kdc, serve: Serve) -> None:
    auth = Negotiate(principal=USER, keytab=str(kdc.user_keytab))
    with opened(there(serve(ENTITY)), auth=auth) as catalog, pytest.raises(CatalogUnavailableError, match="prove"):
        catalog.get("hive_table", "a")
    with (
        opened(there(serve(answer("401 Unauthorized", ""))), auth=auth) as catalog,
        pytest.raises(CatalogUnavailableError, match="refused the login"),
    ):
        catalog.get("hive_table", "a")


def test_another_name_of_the_server(kdc: Kdc, serve: Serve) -> None:
    url = serve(Atlas(kdc)).url  # 127.0.0.1, for which there is no service
    keytab = str(kdc.user_keytab)
    with (
        opened(url, auth=Negotiate(principal=USER, keytab=keytab)) as catalog,
        pytest.raises(CatalogUnavailableError, match="no Kerberos ticket"),
    ):
        catalog.get("hive_table", "a")
    with opened(url, auth=Negotiate("HTTP@localhost", USER, keytab)) as catalog:
        assert catalog.get("hive_table", "a")


def test_a_keytab_of_somebody_else(kdc: Kdc, serve: Serve) -> None:
    server = serve(Atlas(kdc))
    with (
        opened(there(server), auth=Negotiate(principal=USER, keytab=str(kdc.service_keytab))) as catalog,
        pytest.raises(CatalogUnavailableError, match="no Kerberos ticket"),
    ):
        catalog.get("hive_table", "a")
    assert not server.requests


@pytest.mark.long
def test_tickets_of_a_keytab_are_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serve: Serve) -> None:
    """Tickets that live for ten seconds: a call after that finds a new one."""
    with realm(tmp_path, lifetime="10s") as short:
        for name, value in short.environment.items():
            monkeypatch.setenv(name, value)
        atlas = Atlas(short)
        auth = Negotiate(principal=USER, keytab=str(short.user_keytab))
        with opened(there(serve(atlas)), auth=auth) as catalog:
            assert catalog.get("hive_table", "a")
            time.sleep(12)
            assert catalog.get("hive_table", "a")
    assert atlas.callers == [USER] * 2


def test_what_is_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="without kerberos_principal"):
        Negotiate(keytab=str(tmp_path))
    with pytest.raises(ConfigurationError, match="cannot be read"):
        Negotiate(principal="a@B", keytab=str(tmp_path / "nowhere"))
