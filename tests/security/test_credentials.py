"""Where credentials come from, and that they go nowhere else."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlgov.catalog.atlas_auth import Bearer
from airflow_provider_mlgov.delivery.forward import Forwarder
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.errors import CatalogUnavailableError
from airflow_provider_mlgov.hooks.atlas import AtlasHook
from fake_atlas import ENTITY, SECRET, FakeServer, Handler, answer, opened

pytestmark = pytest.mark.filterwarnings("default")
KNOX = "/gateway/cdp-proxy-api/atlas"


@pytest.fixture
def serve() -> Iterator[Callable[..., FakeServer]]:
    servers: list[FakeServer] = []

    def start(*handlers: Handler, tls: ssl.SSLContext | None = None) -> FakeServer:
        servers.append(FakeServer(*handlers, tls=tls))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
@pytest.mark.parametrize("auth", [("user", SECRET), Bearer("secret-token")], ids=["basic", "bearer"])
def test_no_redirect_is_followed(serve: Callable[..., FakeServer], status: str, auth: Any) -> None:
    elsewhere = serve(ENTITY)
    first = serve(answer(status, "", Location=f"{elsewhere.url}/login?originalUrl=x&token=secret-token"))
    with opened(first.url, auth=auth) as catalog, pytest.raises(CatalogUnavailableError, match="redirect") as caught:
        catalog.get("hive_table", "a")
    assert len(first.requests) == 1
    assert elsewhere.connections == 0
    assert "secret-token" not in str(caught.value)


def test_the_token_of_a_receiver_goes_nowhere_else(serve: Callable[..., FakeServer], tmp_path: Path) -> None:
    elsewhere = serve(answer("200 OK", "{}"))
    first = serve(answer("307 Temporary", "{}", Location=f"{elsewhere.url}/x", Set_Cookie="a=b; Path=/"))
    spool = Spool(tmp_path)
    spool.append({"eventTime": "2026-01-01T00:00:00Z"})
    for _ in range(2):
        report = Forwarder(spool, first.url, "secret-token", breaker_interval=0.001).send(despite_breaker=True)
        assert report.outcome == "unavailable"
    assert elsewhere.connections == 0
    assert len(first.requests) == 2
    assert "cookie:" not in "".join(first.requests).lower()
    assert "secret-token" not in str(report.reason)


def test_knox(serve: Callable[..., FakeServer]) -> None:
    server = serve(ENTITY)
    with opened(server, KNOX) as catalog:
        assert catalog.get("hive_table", "a")
        assert catalog.get("hive_table", "a")
    assert all(request.startswith(f"GET {KNOX}/api/atlas/v2/entity/") for request in server.requests)
    assert "cookie:" not in "".join(server.requests).lower()


@pytest.mark.parametrize(
    ("handler", "says"),
    [
        (answer("302 Found", "", Location="https://knox/gateway/knoxsso/api/v1/websso?originalUrl=x"), "redirect"),
        (answer("200 OK", "<html><title>Log in</title></html>", "text/html"), "login page"),
        (answer("404 Not Found", "<html><title>No such service</title></html>", "text/html"), "base path"),
        (answer("401 Unauthorized", "<html>", "text/html"), "refused the login"),
    ],
)
def test_what_knox_answers_instead(serve: Callable[..., FakeServer], handler: Handler, says: str) -> None:
    with opened(serve(handler), KNOX) as catalog, pytest.raises(CatalogUnavailableError, match=says) as caught:
        catalog.get("hive_table", "a")
    assert SECRET not in str(caught.value)
    assert "originalUrl" not in str(caught.value)


def test_a_connection_from_a_secrets_backend(airflow_home: object, tmp_path: Path) -> None:
    """In a process of its own, since Airflow reads its backends once."""
    (tmp_path / "my_vault.py").write_text(
        "import json\n"
        "try:\n    from airflow.sdk.bases.secrets_backend import BaseSecretsBackend\n"
        "except ImportError:\n    from airflow.secrets import BaseSecretsBackend\n"
        "class Vault(BaseSecretsBackend):\n"
        "    def __init__(self, prefix=''):\n        super().__init__()\n        self.prefix = prefix\n"
        "    def get_conn_value(self, conn_id, *args, **kwargs):\n"
        "        if conn_id == self.prefix + 'atlas':\n"
        "            return json.dumps({'conn_type': 'atlas', 'host': 'https://atlas.example.org',\n"
        "                               'password': 'from-the-vault', 'extra': {'auth': 'bearer'}})\n"
    )
    backend = {
        "AIRFLOW__SECRETS__BACKEND": "my_vault.Vault",
        "AIRFLOW__SECRETS__BACKEND_KWARGS": '{"prefix": "secret-"}',
        "AIRFLOW__WORKERS__SECRETS_BACKEND": "my_vault.Vault",
        "AIRFLOW__WORKERS__SECRETS_BACKEND_KWARGS": '{"prefix": "secret-"}',
        "_AIRFLOW_PROCESS_CONTEXT": "server",
        "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]),
        "PYTHONWARNINGS": "ignore",
    }
    script = (
        "from airflow_provider_mlgov.hooks.atlas import AtlasHook\n"
        "found = AtlasHook('secret-atlas')._arguments()\n"
        "print(found['url'], found['auth'].token, AtlasHook('secret-atlas').get_catalog())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, **backend}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[-1] == (
        "https://atlas.example.org from-the-vault AtlasCatalog('https://atlas.example.org')"
    )


def test_a_login_in_the_address_is_in_no_message(
    monkeypatch: pytest.MonkeyPatch, airflow_home: object, serve: Callable[..., FakeServer]
) -> None:
    server = serve(answer("401 Unauthorized", ""))
    host = server.url.replace("://", "://ann:hunter2@")
    monkeypatch.setenv(
        "AIRFLOW_CONN_ATLAS_LOGIN", json.dumps({"conn_type": "atlas", "host": host, "password": "token-1"})
    )
    hook = AtlasHook("atlas_login")
    assert hook._arguments()["auth"] == ("ann", "hunter2")
    assert "hunter2" not in repr(hook.get_catalog()) + hook.test_connection()[1] + hook.receiver()["url"]
    assert hook.get_conn().endpoint_url == f"{server.url}/api/atlas/v2"
