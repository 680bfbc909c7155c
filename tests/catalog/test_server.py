"""The served catalogue: what guards it, and its answers to what it does not understand."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from airflow_provider_mlgov.catalog.server import create_app, serve
from airflow_provider_mlgov.errors import ConfigurationError
from asgi import Client

BULK = "/api/atlas/v2/entity/bulk"
STATUS = "/api/atlas/admin/status"
ENTITY = {"typeName": "hive_table", "attributes": {"qualifiedName": "a", "name": "a"}}


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[EmbeddedCatalog]:
    made = EmbeddedCatalog(tmp_path / "c.db")
    yield made
    made.close()


@pytest.fixture
def call(catalog: EmbeddedCatalog) -> Client:
    return Client(create_app(catalog))


def test_errors_of_atlas_are_json(call: Client) -> None:
    status, headers, text = call("POST", BULK, {"entities": []})
    assert (status, headers["content-type"]) == (400, "application/json; charset=UTF-8")
    assert json.loads(text) == {
        "errorCode": "ATLAS-400-00-01A",
        "errorMessage": "invalid parameters: no entities to create/update.",
    }


def test_an_entity_there_and_back(call: Client) -> None:
    status, _, text = call("POST", BULK, {"entities": [ENTITY]})
    guid = json.loads(text)["mutatedEntities"]["CREATE"][0]["guid"]
    assert status == 200
    for path in (f"guid/{guid}", "uniqueAttribute/type/hive_table?attr:qualifiedName=a", f"guid/{guid}/"):
        assert json.loads(call("GET", f"/api/atlas/v2/entity/{path}")[2])["entity"]["guid"] == guid
    assert call("POST", f"/api/atlas/v2/entity/guid/{guid}/labels", ["a"])[::2] == (204, "")


def test_nothing_of_an_unexpected_error_gets_out(
    call: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise RuntimeError("secret of the inside")

    monkeypatch.setattr(EmbeddedCatalog, "write", fail)
    with caplog.at_level(logging.ERROR):
        status, _, text = call("POST", BULK, {"entities": [ENTITY]})
    assert status == 500
    assert "secret" not in text
    assert "Traceback" not in text
    assert "secret of the inside" in caplog.text  # the log has it, under the number in the answer
    assert text.rpartition("ID ")[2].rstrip(").") in caplog.text


def test_a_catalogue_that_cannot_be_used(call: Client, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "c.db").write_bytes(b"not a database")
    status, headers, text = call("GET", STATUS)
    assert (status, headers["retry-after"]) == (503, "1")
    assert str(tmp_path) not in text
    assert str(tmp_path) in caplog.text


def test_a_body_that_is_too_large(catalog: EmbeddedCatalog) -> None:
    status, _, text = Client(create_app(catalog, body_limit=1000))("POST", BULK, raw=b"x" * 1001)
    assert (status, text) == (413, "The body is larger than 1000 bytes.")


@pytest.mark.parametrize(
    ("host", "expected"),
    [("localhost:21000", 200), ("127.0.0.1", 200), ("[::1]:21000", 200), ("evil.example", 400), ("", 400)],
)
def test_only_its_own_name_is_answered_on_loopback(catalog: EmbeddedCatalog, host: str, expected: int) -> None:
    app = create_app(catalog, hosts=("localhost", "127.0.0.1", "::1"))
    assert Client(app)("GET", STATUS, headers={"host": host})[0] == expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("Basic " + base64.b64encode(b"ann:secret").decode(), 200),
        ("Basic " + base64.b64encode(b"ann:wrong").decode(), 401),
        ("Basic " + base64.b64encode(b"bob:secret").decode(), 401),
        ("Basic !!!", 401),
        ("Bearer secret", 401),
        ("", 401),
    ],
)
def test_login(catalog: EmbeddedCatalog, header: str, expected: int) -> None:
    status, headers, text = Client(create_app(catalog, login=("ann", "secret")))(
        "GET", STATUS, headers={"authorization": header}
    )
    assert status == expected
    if expected == 401:
        assert headers["content-type"].startswith("text/html")
        assert "<html>" in text
        assert "www-authenticate" not in headers


def test_a_web_page_cannot_write(call: Client) -> None:
    browser = {"user-agent": "Mozilla/5.0"}
    status, _, text = call("POST", BULK, {"entities": [ENTITY]}, headers=browser)
    assert (status, list(json.loads(text))) == (400, ["msgDesc"])
    assert call("POST", BULK, {"entities": [ENTITY]}, headers={**browser, "x-xsrf-header": "valid"})[0] == 200
    assert call("GET", STATUS, headers=browser)[0] == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "catalog.example"])  # noqa: S104 - refused
def test_a_host_that_others_reach_needs_a_login(catalog: EmbeddedCatalog, host: str) -> None:
    with pytest.raises(ConfigurationError, match="wanted a login"):
        serve(catalog, host=host)


def test_an_empty_password_is_no_login(catalog: EmbeddedCatalog) -> None:
    with pytest.raises(ConfigurationError, match="empty user or password"):
        serve(catalog, host="0.0.0.0", login=("ann", ""))  # noqa: S104 - refused
