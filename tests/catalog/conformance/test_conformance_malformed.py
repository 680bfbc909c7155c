"""What is no call of Atlas's: a plain 500, whose body is text that may call itself JSON."""

from __future__ import annotations

import base64
import urllib.error
import urllib.request

import pytest

from airflow_provider_mlgov.catalog.atlas import AtlasCatalog
from airflow_provider_mlgov.catalog.catalog import Catalog

BULK = "v2/entity/bulk"
SEARCH = "v2/search/basic"


@pytest.mark.parametrize(
    ("method", "path", "body", "kind"),
    [
        ("POST", BULK, b"{", "application/json"),
        ("POST", BULK, b"[]", "application/json"),
        ("POST", BULK, b"", "application/json"),
        ("POST", BULK, b'{"entities": null}', "application/json"),
        ("POST", BULK, b'{"entities": [{"x": NaN}]}', "application/json"),
        ("POST", BULK, b'{"entities": []}', "text/plain"),
        ("POST", BULK, b"[" * 100_000, "application/json"),
        ("GET", "v2/nothing", None, "application/json"),
        ("DELETE", "admin/status", None, "application/json"),
        ("GET", "v2/lineage/x?depth=abc", None, "application/json"),
        ("GET", "v2/lineage/x?direction=UP", None, "application/json"),
        ("GET", f"{SEARCH}?typeName=Asset&limit=abc", None, "application/json"),
    ],
)
def test_what_is_no_call(catalog: Catalog, method: str, path: str, body: bytes | None, kind: str) -> None:
    if not isinstance(catalog, AtlasCatalog):
        pytest.skip("the embedded catalogue is not spoken to by HTTP")
    login = base64.b64encode(b"admin:admin").decode()
    request = urllib.request.Request(
        f"{catalog.identity}/api/atlas/{path}",
        data=body,
        method=method,
        headers={"Content-Type": kind, "Authorization": f"Basic {login}"},
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=30)
    with caught.value as answer:
        assert answer.code == 500
        assert answer.read().startswith(b"There was an error processing your request. It has been logged (ID ")
