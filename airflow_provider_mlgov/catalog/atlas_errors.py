"""What an answer that is not success means for the caller: wait, try again, or give this call up.

Atlas's own errors are JSON with an ``errorCode`` ``ATLAS-…``. All else comes from something else (a proxy, another server, a
wrong path, the servlet container), except the plain-text 500 that Atlas gives for deadlocks. So a 404 alone does not
mean "absent".
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from airflow_provider_mlgov.errors import (
    CatalogBusyError,
    CatalogError,
    CatalogRefusedError,
    CatalogUnavailableError,
    EntityNotFoundError,
    ForeignAnswerError,
)
from airflow_provider_mlgov.masking import shown

GUID_NOT_FOUND = "ATLAS-404-00-005"
NAME_NOT_FOUND = "ATLAS-404-00-009"
TYPE_NOT_FOUND = "ATLAS-404-00-001"
TYPE_EXISTS = "ATLAS-409-00-001"
ATTRIBUTE_LEFT_OUT = "ATLAS-400-00-00D"
SUPER_TYPE_LEFT_OUT = "ATLAS-400-00-00E"
RELATIONSHIP_EXISTS = "ATLAS-409-00-004"

_ABSENT = {GUID_NOT_FOUND, NAME_NOT_FOUND}
_GATEWAY_GAVE_UP = {408, 502, 504}
"""What is said by one who stands before Atlas, while Atlas may be at work on the call still."""
_SHOWN = 300
"""So many characters of a foreign answer are shown."""


def error_for_answer(base: str, what: str, status: int, headers: Mapping[str, str], content: bytes) -> CatalogError:
    """The error for an answer whose status is not 2xx."""
    where = f"Atlas at {base}"
    code, message = _atlas_error(content)
    if status in (408, 425, 429) or status >= 500:
        detail = f"{code} {message}" if code else _excerpt(content)
        text = f"{where} could not do {what} now: {status} {detail}; try again later"
        wait = retry_after(headers.get("Retry-After"))
        # A 503 that says when to come again was given before Atlas began; else a gateway may have lost patience with it.
        gave_up = code is None and (status in _GATEWAY_GAVE_UP or (status == 503 and wait is None))
        return CatalogBusyError(text, retry_after=wait, unanswered=gave_up)
    if status == 401:
        return CatalogUnavailableError(
            f"{where} refused the login (401) for {what}; check user and password of the connection"
        )
    if code is not None:
        kind = EntityNotFoundError if code in _ABSENT else CatalogRefusedError
        return kind(f"{where} refused {what}: {status} {code} {message}", error_code=code, status=status)
    if status in (413, 414):  # a proxy's limit: smaller calls get through
        text = f"{where}: {what} is too large for what stands before it ({status}); send less at once"
        return CatalogRefusedError(text, error_code=f"HTTP-{status}", status=status)
    if 300 <= status < 400:
        location = _without_secrets(headers.get("Location", "nowhere"))
        return ForeignAnswerError(
            f"{where} answered {what} with a redirect ({status}) to {location}; wanted JSON: check the URL, and whether"
            " a proxy wants another login"
        )
    if status == 403:
        return ForeignAnswerError(
            f"{where} forbade {what} (403: {_excerpt(content)}), and not in Atlas's words; check the rights of the user"
            " and what stands before Atlas"
        )
    return ForeignAnswerError(
        f"{where} answered {what} with {status} ({_excerpt(content)}), which is not Atlas's; wanted JSON: check"
        " host, port and base path of the URL"
    )


def error_for_failure(base: str, what: str, error: Exception, *, read_timeout: float) -> CatalogError:
    """The error for a call that got no whole answer."""
    import requests

    where = f"Atlas at {base}"
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return CatalogUnavailableError(
            f"{where} cannot be reached: no connection in time; check the URL, the network and whether Atlas runs"
        )
    if isinstance(error, requests.exceptions.Timeout):
        text = f"{where} did not answer {what} within {read_timeout:.3g} s; try again later"
        return CatalogBusyError(text, unanswered=True)
    cause = _innermost(error)
    if isinstance(error, requests.exceptions.SSLError):
        return CatalogUnavailableError(
            f"{where}: TLS failed ({cause}); check the certificate and the CA file of the connection"
        )
    if isinstance(error, requests.exceptions.ProxyError):
        return CatalogUnavailableError(
            f"{where}: the proxy failed ({type(cause).__name__}); check the proxy settings of the environment"
        )
    if isinstance(error, requests.exceptions.InvalidHeader | requests.exceptions.InvalidURL):
        return CatalogUnavailableError(
            f"{where}: the URL or the login cannot be sent ({type(cause).__name__}); check the connection"
        )
    if _after_connecting(error):
        text = f"{where} broke off while answering {what} ({cause}); try again later"
        return CatalogBusyError(text, unanswered=True)
    return CatalogUnavailableError(
        f"{where} cannot be reached ({cause}); check the URL, the network and whether Atlas runs"
    )


def unreadable_answer(base: str, what: str, headers: Mapping[str, str], content: bytes) -> CatalogError:
    """The error for a success that carries no JSON."""
    if not content or ("json" in headers.get("Content-Type", "") and content.lstrip()[:1] in (b"{", b"[")):
        return CatalogBusyError(
            f"Atlas at {base}: the answer to {what} is cut off ({len(content)} bytes); try again later", unanswered=True
        )
    return ForeignAnswerError(
        f"Atlas at {base} answered {what} with {_excerpt(content)}; wanted JSON: check the URL; this looks like another"
        " server or a login page"
    )


def unusable_answer(base: str, what: str, found: str) -> ForeignAnswerError:
    """The error for a success that cannot be Atlas's."""
    return ForeignAnswerError(
        f"Atlas at {base} answered {what} with {found}, which is not Atlas's; wanted JSON: check the URL, and what stands"
        " before Atlas"
    )


def _atlas_error(content: bytes) -> tuple[str | None, str]:
    """The code and the message of Atlas; no code where these are another's words, which may be JSON with a code too."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return None, ""
    code = document.get("errorCode") if isinstance(document, dict) else None
    if not isinstance(code, str) or not code.startswith("ATLAS-"):
        return None, ""
    return code, shown(" ".join(str(document.get("errorMessage", "")).split()))


def _excerpt(content: bytes) -> str:
    text = content[:8000].decode("utf-8", "replace")
    kind = "text"
    if text.lstrip()[:1] == "<":
        title = re.search(r"<title>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
        kind, text = "an HTML page", title[1] if title else ""
    text = shown(" ".join(text.split()))[:_SHOWN]
    return f"{kind} {text!r}" if text else ("an empty answer" if kind == "text" else kind)


def _without_secrets(location: str) -> str:
    """A redirect's target without its query, which may hold tokens, and without credentials."""
    return re.sub(r"//[^/@]*@", "//", re.split(r"[?#;]", location, maxsplit=1)[0])


def retry_after(value: str | None) -> float | None:
    """The seconds that a ``Retry-After`` asks for, as seconds or as a date; None where it says nothing."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, OverflowError):  # a date, a year or a zone may be anything
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _innermost(error: BaseException) -> BaseException:
    seen = error
    while True:
        inner = getattr(seen, "reason", None) or seen.__cause__ or (seen.args[0] if seen.args else None)
        if not isinstance(inner, BaseException) or inner is seen:
            return seen
        seen = inner


def _after_connecting(error: Exception) -> bool:
    """Whether there was a connection: it was reset, or closed before the answer was whole."""
    import requests
    from urllib3.exceptions import NewConnectionError

    if isinstance(_find(error, NewConnectionError), NewConnectionError):
        return False
    return isinstance(
        error,
        requests.exceptions.ChunkedEncodingError | requests.exceptions.ConnectionError | ConnectionError | ValueError,
    )


def _find(error: BaseException, wanted: type[BaseException]) -> BaseException | None:
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, wanted):
        inner = getattr(seen, "reason", None) or (seen.args[0] if seen.args else None)
        seen = inner if isinstance(inner, BaseException) and inner is not seen else None
    return seen
