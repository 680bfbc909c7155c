"""Being let in: tokens, tokens from an OAuth 2 server, certificates of a client."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_mlgov.catalog.atlas_auth import Bearer, ClientCredentials
from airflow_provider_mlgov.errors import CatalogUnavailableError, ConfigurationError
from certificates import certificate_for
from fake_atlas import ENTITY, SECRET, FakeServer, answer, bomb, drip, failure, opened, packed

Serve = Callable[..., FakeServer]


def token(name: str, **more: object) -> object:
    return answer("200 OK", json.dumps({"access_token": name, "token_type": "bearer", "expires_in": 3600, **more}))


def authorization(request: str) -> str:
    (line,) = [line for line in request.splitlines() if line.lower().startswith("authorization:")]
    return line.partition(":")[2].strip()


def client(server: FakeServer, **more: object) -> ClientCredentials:
    return ClientCredentials(f"{server.url}/token", "mlgov", SECRET, **more)


def test_a_token_is_sent_and_never_shown(serve: Serve) -> None:
    server = serve(ENTITY)
    auth = Bearer("abc.def")
    with opened(server.url, auth=auth) as catalog:
        catalog.get("hive_table", "a")
    assert authorization(server.requests[0]) == "Bearer abc.def"
    assert "abc" not in repr(auth)


@pytest.mark.parametrize("wrong", ["", "two words", "new\nline", "ü"])
def test_what_is_no_token(wrong: str) -> None:
    with pytest.raises(ConfigurationError, match="bearer token"):
        Bearer(wrong)


def test_a_token_is_fetched_once(serve: Serve) -> None:
    tokens, atlas = serve(token("t1"), token("t2")), serve(ENTITY)
    auth = client(tokens, scope="atlas")
    with opened(atlas.url, auth=auth) as catalog:
        for _ in range(3):
            catalog.get("hive_table", "a")
    assert [authorization(request) for request in atlas.requests] == ["Bearer t1"] * 3
    (asked,) = tokens.requests
    assert asked.startswith("POST /token ")
    assert asked.endswith("grant_type=client_credentials&scope=atlas")
    assert base64.b64decode(authorization(asked).removeprefix("Basic ")).decode() == f"mlgov:{SECRET}"
    assert SECRET not in repr(auth)


def test_a_token_is_fetched_again_before_its_end(serve: Serve) -> None:
    now = 0.0
    tokens = serve(token("t1", expires_in=100), token("t2", expires_in=20), token("t3"))
    auth = client(tokens, clock=lambda: now)
    assert auth.token() == "t1"
    now = 69.0
    assert auth.token() == "t1"
    now = 71.0
    assert auth.token() == "t2"
    now += 11.0  # half of a short one
    assert auth.token() == "t3"


def test_a_token_that_is_refused_is_fetched_again_for_the_next_call(serve: Serve) -> None:
    tokens, atlas = serve(token("t1"), token("t2")), serve(answer("401 Unauthorized", ""), ENTITY)
    with opened(atlas.url, auth=client(tokens)) as catalog:
        with pytest.raises(CatalogUnavailableError):
            catalog.get("hive_table", "a")
        catalog.get("hive_table", "a")
    assert [authorization(request) for request in atlas.requests] == ["Bearer t1", "Bearer t2"]


@pytest.mark.parametrize(
    ("handler", "said"),
    [
        (answer("401 Unauthorized", '{"error": "invalid_client"}'), "status 401"),
        (answer("302 Found", "", Location="http://elsewhere/"), "status 302"),
        (answer("200 OK", "<html>"), "JSONDecodeError"),
        (answer("200 OK", "[]"), "status 200"),
        (answer("200 OK", "[" * 100_000), "RecursionError"),
        (answer("200 OK", '{"access_token": 5}'), "without a bearer token"),
        (answer("200 OK", '{"access_token": "t", "token_type": "mac"}'), "of kind 'mac'"),
    ],
)
def test_no_token_is_to_be_had(serve: Serve, handler: object, said: str) -> None:
    atlas = serve(ENTITY)
    with opened(atlas.url, auth=client(serve(handler))) as catalog, pytest.raises(CatalogUnavailableError) as caught:
        catalog.get("hive_table", "a")
    assert said in str(caught.value)
    assert SECRET not in str(caught.value)
    assert not atlas.requests


def test_a_token_server_that_drips_costs_no_more_than_the_budget(serve: Serve) -> None:
    def drip_for_ever(client: socket.socket, _: str) -> None:
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        for _ in range(300):
            client.sendall(b" ")
            time.sleep(0.1)

    atlas = serve(ENTITY)
    begun = time.monotonic()
    with (
        opened(atlas.url, auth=client(serve(drip_for_ever))) as catalog,
        pytest.raises(CatalogUnavailableError, match="no whole answer in time"),
        catalog.within(0.5),
    ):
        catalog.get("hive_table", "a")
    assert time.monotonic() - begun < 10
    assert not atlas.requests


def test_a_token_alone_is_bounded_too(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_mlgov.catalog.atlas_auth._TOKEN_SECONDS", 0.3)
    begun = time.monotonic()
    with pytest.raises(CatalogUnavailableError, match="no whole answer in time"):
        client(serve(drip)).token()
    assert time.monotonic() - begun < 4


def test_a_token_is_not_megabytes_long(serve: Serve) -> None:
    with pytest.raises(CatalogUnavailableError, match="more than 1 MB"):
        client(serve(packed("200 OK", bomb(30)))).token()


@pytest.mark.parametrize(
    "url", ["", "ftp://h/token", "https:///token", "https://me:pw@h/token", "http://login.example.org/token"]
)
def test_where_no_secret_is_sent(url: str) -> None:
    with pytest.raises(ConfigurationError, match="token_url"):
        ClientCredentials(url, "mlgov", SECRET)


def test_mutual_tls(serve: Serve, tmp_path: Path) -> None:
    server_pem, client_pem, other_pem = (
        certificate_for(tmp_path / f"{name}.pem") for name in ("server", "client", "other")
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server_pem)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(client_pem)
    url = serve(ENTITY, tls=context).url.replace("http://127.0.0.1", "https://localhost")
    with opened(url, verify=str(server_pem), cert=(str(client_pem), str(client_pem))) as catalog:
        assert catalog.get("hive_table", "a")
    for cert in (None, (str(other_pem), str(other_pem))):
        assert isinstance(failure(url, verify=str(server_pem), cert=cert), CatalogUnavailableError)
