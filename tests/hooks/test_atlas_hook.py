"""The connection to Atlas."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from airflow_provider_mlgov.errors import ConfigurationError
from airflow_provider_mlgov.hooks.atlas import AtlasHook

pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch, airflow_home: object) -> Any:
    def make(**connection: Any) -> AtlasHook:
        monkeypatch.setenv("AIRFLOW_CONN_ATLAS_TEST", json.dumps({"conn_type": "atlas", **connection}))
        return AtlasHook("atlas_test")

    return make


@pytest.mark.parametrize(
    ("connection", "url"),
    [
        ({"host": "atlas", "port": 21000}, "http://atlas:21000"),
        ({"host": "http://atlas:21000/"}, "http://atlas:21000"),
        ({"host": "https://knox/gateway/cdp/atlas"}, "https://knox/gateway/cdp/atlas"),
        (
            {"host": "knox", "extra": {"scheme": "https", "base_path": "/gateway/cdp/atlas/"}},
            "https://knox/gateway/cdp/atlas",
        ),
        ({"host": "http://atlas:21000/api/atlas/v2"}, "http://atlas:21000"),
        ({"host": "atlas", "port": 1, "schema": "https"}, "https://atlas:1"),
        ({"host": "http://[::1]", "port": 21000}, "http://[::1]:21000"),
    ],
)
def test_the_address(connect: Any, connection: dict[str, Any], url: str) -> None:
    assert connect(**connection).get_catalog().identity == url


@pytest.mark.parametrize(
    ("connection", "says"),
    [
        ({}, "has no host"),
        ({"host": "ftp://atlas"}, "has scheme 'ftp'"),
        ({"host": "atlas", "extra": {"verify": "perhaps"}}, "has verify 'perhaps'"),
        ({"host": "atlas", "extra": {"read_timeout": "long"}}, "has read_timeout 'long'"),
        ({"host": "atlas", "extra": {"connect_timeout": 0}}, "has connect_timeout 0"),
        ({"host": "atlas", "extra": {"auth": "magic"}}, "has auth 'magic'; wanted basic, bearer, oauth2 or kerberos"),
        ({"host": "atlas", "extra": {"auth": "bearer"}}, "the bearer token is empty"),
        ({"host": "atlas", "login": "me", "extra": {"auth": "oauth2"}}, "id or secret is missing"),
        ({"host": "atlas", "login": "me", "password": "x", "extra": {"auth": "oauth2"}}, "token_url is no address"),
        ({"host": "atlas", "extra": {"client_key": "/k.pem"}}, "client_key without client_cert"),
        ({"host": "atlas", "extra": {"client_cert": "/nowhere.pem"}}, "names /nowhere.pem, which cannot be read"),
    ],
)
def test_a_wrong_connection(connect: Any, connection: dict[str, Any], says: str) -> None:
    hook = connect(**connection)
    with pytest.raises(ConfigurationError, match=says):
        hook.get_catalog()
    ok, message = hook.test_connection()
    assert not ok
    assert says in message


def test_a_missing_connection(airflow_home: object) -> None:
    ok, message = AtlasHook("nowhere_to_be_found").test_connection()
    assert not ok
    assert "does not exist" in message


class Handler(BaseHTTPRequestHandler):
    answer: tuple[int, str, bytes] = (200, "application/json", b"{}")

    def do_GET(self) -> None:
        status, kind, body = self.answer
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{made.server_address[1]}"
    made.shutdown()
    made.server_close()


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((401, "text/plain", b""), "401"),
        ((200, "text/html", b"<html>log in</html>"), "HTML|JSON|no Atlas"),
        ((404, "text/html", b"<html>not here</html>"), "404|HTML|no Atlas"),
        ((200, "application/json", b"{}"), "no Atlas"),
    ],
    ids=["password", "html", "wrong-url", "no-atlas"],
)
def test_the_button_says_what_is_wrong(
    connect: Any, server: str, monkeypatch: pytest.MonkeyPatch, answer: tuple[int, str, bytes], says: str
) -> None:
    import re

    monkeypatch.setattr(Handler, "answer", answer)
    ok, message = connect(host=server, login="admin", password="hunter2").test_connection()
    assert not ok
    assert re.search(says, message), message
    assert "hunter2" not in message


def test_the_button_with_nothing_there(connect: Any) -> None:
    ok, message = connect(host="http://127.0.0.1:9").test_connection()
    assert not ok
    assert "127.0.0.1:9" in message


@pytest.mark.parametrize(
    ("connection", "kind"),
    [
        ({"extra": {"auth": "bearer"}}, "Bearer"),
        ({"login": "id", "extra": {"auth": "oauth2", "token_url": "https://login/token"}}, "ClientCredentials"),
        ({"login": "admin"}, "tuple"),
    ],
)
def test_the_login(connect: Any, connection: dict[str, Any], kind: str) -> None:
    hook = connect(host="https://atlas", password="hunter2", **connection)
    auth = hook._arguments()["auth"]
    assert type(auth).__name__ == kind
    if kind == "Bearer":
        assert hook.get_conn().authentication.get_authentication_headers() == {"Authorization": "Bearer hunter2"}


@pytest.mark.atlas
def test_a_real_atlas(connect: Any, atlas_url: str) -> None:
    from urllib.parse import urlsplit

    parts = urlsplit(atlas_url)
    hook = connect(
        host=f"{parts.scheme}://{parts.hostname}:{parts.port}", login=parts.username, password=parts.password
    )
    ok, message = hook.test_connection()
    assert ok, message
    assert "is ACTIVE" in message
    assert hook.get_conn().get_all_typedefs()["entityDefs"]
    bad = connect(host=f"{parts.scheme}://{parts.hostname}:{parts.port}", login=parts.username, password="wrong")
    assert not bad.test_connection()[0]


def test_the_form_of_2_11() -> None:
    pytest.importorskip("flask_appbuilder")
    assert set(AtlasHook.get_connection_form_widgets()) >= {"base_path", "verify", "ca_path", "read_timeout"}
    assert AtlasHook.get_ui_field_behaviour()["hidden_fields"] == ["schema"]
