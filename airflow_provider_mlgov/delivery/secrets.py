"""What counts as a secret: exact names, and credentials inside URLs and texts.

Names are matched whole, never by parts: ``api_key`` is a secret, ``max_tokens`` is a fact.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

HIDDEN = "***"
"""What stands in place of a secret."""

_NAMES = frozenset(
    """
    access_key access_key_id access_token account_key api_key api_secret api_token apikey auth_token authorization
    aws_access_key_id aws_secret_access_key aws_session_token bearer_token client_secret connection_string cookie credential
    credentials id_token keyfile_dict passphrase passwd password private_key proxy_authorization pwd refresh_token sas_token
    secret secret_access_key secret_key secrets session_token set_cookie shared_access_key token x_api_key
    """.replace("_", "").split()
)
_QUERY_NAMES = _NAMES | frozenset(
    {"sig", "signature", "xamzsecuritytoken", "xamzsignature", "xamzcredential", "xgoogsignature"}
)

_USER_AND_PASSWORD = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]*://)[^\s/?#@:]*:[^\s/?#]*@")
_HTTP_USER = re.compile(r"(?P<scheme>\bhttps?://)[^\s/?#@]+@", re.IGNORECASE)
_PARAMETER = re.compile(r"(?P<mark>[?&;])(?P<name>[A-Za-z][\w.\-]*)=[^&;#\s\"']*")
_ASSIGNMENT = re.compile(
    r"(?P<name>(?<![\w\-])[A-Za-z][A-Za-z_\-]*)"
    r"(?P<mark>[\"']?\s*(?:=|(?<=[\"'])\s*:)\s*)"
    r"(?P<value>\"[^\"]*\"|'[^']*'|[^\s,;&\"']+)"
)
_BEARER = re.compile(r"\b(?P<scheme>Bearer|Basic)\s+[A-Za-z0-9+/._~\-]{8,}=*")


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "").replace(".", "")


def is_secret(name: object, more: frozenset[str] = frozenset()) -> bool:
    """Whether a value of this name has to be hidden; ``more`` are names beside the built-in ones, as `plain_names` gives them."""
    return isinstance(name, str) and len(name) < 40 and (_plain(name) in _NAMES or _plain(name) in more)


def plain_names(names: Iterable[str]) -> frozenset[str]:
    """Names in the form in which they are compared: ``Customer-ID`` and ``customer_id`` are one."""
    return frozenset(_plain(name) for name in names)


def strip_url(text: str) -> str:
    """``text`` without the ``user:password@`` of URLs and without their query parameters of secret names."""
    if "://" in text:
        text = _USER_AND_PASSWORD.sub(r"\g<scheme>", text)
        text = _HTTP_USER.sub(r"\g<scheme>", text)
    if "=" in text and ("://" in text or text.startswith("jdbc:")):
        text = _PARAMETER.sub(_parameter, text)
        text = re.sub(r"\?(?=&|$|\s)&?", lambda match: "?" if match[0].endswith("&") else "", text)
    return text


def _parameter(match: re.Match[str]) -> str:
    if _plain(match["name"]) not in _QUERY_NAMES:
        return match[0]
    return "?" if match["mark"] == "?" else ""


def hide_in_text(text: str) -> str:
    """``text`` with the values of ``password=…`` and the like hidden, and the credentials of its URLs removed."""
    text = strip_url(text)
    if "=" in text or ":" in text:
        text = _ASSIGNMENT.sub(_assignment, text)
    if "earer " in text or "asic " in text:
        text = _BEARER.sub(rf"\g<scheme> {HIDDEN}", text)
    return text


def _assignment(match: re.Match[str]) -> str:
    return f"{match['name']}{match['mark']}{HIDDEN}" if is_secret(match["name"]) else match[0]
