"""AtlasCatalog over TLS."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_mlgov.errors import CatalogBusyError, CatalogError, CatalogUnavailableError
from certificates import certificate_for
from fake_atlas import ENTITY, FakeServer, answer, drip, failure, opened


def test_no_tls_there(serve: Callable[..., FakeServer]) -> None:
    server = serve(answer("200 OK", "{}"))
    error = failure(server.url.replace("http:", "https:"), deadline=2.0)
    assert isinstance(error, CatalogError)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for localhost, with its key."""
    return certificate_for(tmp_path_factory.mktemp("tls") / "cert.pem")


def test_tls(serve: Callable[..., FakeServer], certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = serve(ENTITY, tls=context)
    url = server.url.replace("http://127.0.0.1", "https://localhost")
    with opened(url, verify=str(certificate)) as catalog:
        assert catalog.get("hive_table", "a")
    with opened(url, verify=False) as catalog, pytest.warns(match="Unverified HTTPS request"):
        assert catalog.get("hive_table", "a")
    error = failure(url)
    assert isinstance(error, CatalogUnavailableError)
    assert "TLS failed" in str(error)
    assert "CERTIFICATE_VERIFY_FAILED" in str(error)


def test_dripping_server_with_tls(serve: Callable[..., FakeServer], certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    url = serve(drip, tls=context).url.replace("http://127.0.0.1", "https://localhost")
    started = time.monotonic()
    assert isinstance(failure(url, verify=str(certificate), deadline=0.5), CatalogBusyError)
    assert time.monotonic() - started < 2


def test_a_ca_file_that_is_not_there(serve: Callable[..., FakeServer]) -> None:
    url = serve(ENTITY).url.replace("http:", "https:")
    error = failure(url, verify="/nowhere/ca.pem")
    assert isinstance(error, CatalogUnavailableError)
    assert "/nowhere/ca.pem" in str(error)
