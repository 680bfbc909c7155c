"""The real Atlas that MLGOV_TEST_ATLAS names, such as http://admin:admin@localhost:21000."""

from __future__ import annotations

from urllib.parse import urlsplit


def place_of(url: str) -> tuple[str, tuple[str, str]]:
    """The address without the login, and the login."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}:{parts.port}", (parts.username or "", parts.password or "")
