"""The tokens of the receiver: who may send events, and for whom they may speak.

One JSON file in the spool folder, readable by its owner only, made at first start with one token::

    {"version": 1, "tokens": [{"name": "default", "token": "…", "jobs": ["*"], "airflow": false, "ownFacets": false}]}
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from airflow_provider_mlgov.errors import ConfigurationError, InvalidInputError
from airflow_provider_mlgov.masking import HIDDEN, strip_url
from airflow_provider_mlgov.model.ml import SCHEME

FILE = "receiver-tokens.json"
_VERSION = 1
_LOCK_SECONDS = 10.0
_OURS = "mlgov_"
_OF_AIRFLOW = ("airflow", "airflowDagRun", "mlgov_airflow")
"""Run facets by which a run is taken for one of Airflow's."""


@dataclass(frozen=True)
class Token:
    """One token and what it may do."""

    name: str
    token: str
    jobs: tuple[str, ...] = ("*",)
    """Patterns of the job namespaces that it may speak for. Dataset events have no job: they need ``*``."""
    airflow: bool = False
    """Whether it may speak for task runs and DAG runs of Airflow."""
    own_facets: bool = False
    """Whether it may send facets of ours (``mlgov_…``) and name our models and deployments."""

    def refusal(self, event: Mapping[str, Any]) -> str | None:
        """Why it may not send ``event`` (as `read_event` gives it), or None if it may."""
        job = event.get("job", {}).get("namespace")
        job = strip_url(job) if isinstance(job, str) else job  # as it will be kept
        if not any(pattern == "*" if job is None else fnmatchcase(job, pattern) for pattern in self.jobs):
            what = "dataset events" if job is None else f"job namespace {job!r}"
            return f"token {self.name!r} may not speak for {what}; wanted one of {', '.join(self.jobs)}"
        facets = event.get("run", {}).get("facets", {})
        found = next((name for name in _OF_AIRFLOW if name in facets), None)
        if found and not self.airflow:
            return f"token {self.name!r} may not speak for runs of Airflow (run facet {found}): make one with --airflow"
        allowed = _OF_AIRFLOW if self.airflow else ()
        own = next((found for found in _own(event) if found not in allowed), None) if not self.own_facets else None
        if own:
            return f"token {self.name!r} may not send {own}: make one with --own-facets"
        return None


def _own(event: Mapping[str, Any]) -> Iterator[str]:
    """Our facets in an event, and our namespaces anywhere in it. A column may be called as it likes."""
    holders = [event.get(part, {}) for part in ("run", "job", "dataset")]
    for holder in (*holders, *event.get("inputs", ()), *event.get("outputs", ())):
        for group in ("facets", "inputFacets", "outputFacets"):
            yield from (name for name in holder.get(group, ()) if name.startswith(_OURS))
    yield from _namespaces(event)


def _namespaces(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "namespace" and isinstance(item, str) and item.strip().lower().startswith(f"{SCHEME}:"):
                yield f"the namespace {item[:100]}"
            else:
                yield from _namespaces(item)
    elif isinstance(value, list):
        for item in value:
            yield from _namespaces(item)


class Tokens:
    """The tokens of one file. What is added or removed there counts at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read: tuple[tuple[int, int], tuple[Token, ...]] | None = None

    def prepare(self) -> Token | None:
        """Make the file with its first token, if there is none; that token. `ConfigurationError` if others may read it."""
        if not self.path.exists():
            with self._alone():
                if not self.path.exists():
                    return self._add(Token("default", secrets.token_hex(32)))
        self.all()
        return None

    def all(self) -> tuple[Token, ...]:
        """All tokens. `ConfigurationError` if the file is not usable: nobody is let in then."""
        try:
            status = self.path.stat()
            if status.st_mode & 0o077:
                raise ConfigurationError(
                    f"{self.path} may be read by others; make it yours alone: chmod 600 {self.path}"
                )
            state = (status.st_mtime_ns, status.st_size)
            if self._read is None or self._read[0] != state:
                self._read = (state, _parsed(self.path.read_text(encoding="utf-8"), self.path))
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise ConfigurationError(f"{self.path} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ConfigurationError(
                f"{self.path} is no file of tokens: it is no UTF-8; remove it to begin with a new one"
            ) from None
        return self._read[1]

    def find(self, header: str) -> Token | None:
        """The token of an ``Authorization`` header. Takes the same time whatever is wrong with it."""
        scheme, _, given = header.partition(" ")
        found = None
        for token in self.all():
            if hmac.compare_digest(token.token.encode(), given.strip().encode("utf-8", "replace")):
                found = token
        return found if scheme.lower() == "bearer" else None

    def hide(self, text: str) -> str:
        """``text`` without the tokens: who sends events may have written its own into one."""
        try:
            tokens = self.all()
        except ConfigurationError:
            return text  # nobody is let in then
        for token in tokens:
            text = text.replace(token.token, HIDDEN)
        return text

    def add(self, name: str, jobs: Sequence[str] = ("*",), *, airflow: bool = False, own_facets: bool = False) -> Token:
        """Make a token. `InvalidInputError` if the name is taken, or if it or a pattern is none."""
        for what, text in (("the name of a token", name), *(("--job-namespace", job) for job in jobs)):
            if not text or text != text.strip() or not text.isprintable():
                raise InvalidInputError(
                    f"{what} is {text!r}; wanted some text without line breaks, control characters or spaces around it"
                )
        with self._alone():
            return self._add(Token(name, secrets.token_hex(32), tuple(jobs), airflow, own_facets))

    def remove(self, name: str) -> None:
        """Remove a token. `InvalidInputError` if there is none of this name."""
        with self._alone():
            kept = [token for token in self.all() if token.name != name]
            if len(kept) == len(self.all()):
                raise InvalidInputError(f"there is no token {name!r}; `mlgov token list` names them")
            self._write(kept)

    def _add(self, token: Token) -> Token:
        if any(known.name == token.name for known in self.all()):
            raise InvalidInputError(f"there is a token {token.name!r} already; remove it first, or give another name")
        self._write([*self.all(), token])
        return token

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else changes the file within: what two read and wrote at once would be the tokens of one of them."""
        from filelock import FileLock, Timeout

        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with FileLock(self.path.with_name(f"{self.path.name}.lock"), timeout=_LOCK_SECONDS):
                self._read = None
                yield
        except Timeout:
            raise ConfigurationError(f"{self.path} is being changed by another process; try again") from None
        except OSError as error:
            raise ConfigurationError(f"{self.path} cannot be changed: {error.strerror or error}") from None

    def _write(self, tokens: Sequence[Token]) -> None:
        items = [_renamed(asdict(token)) for token in tokens]
        temporary = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}")
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump({"version": _VERSION, "tokens": items}, file, indent=1)
        temporary.replace(self.path)
        self._read = None


def _renamed(item: dict[str, Any]) -> dict[str, Any]:
    item["ownFacets"] = item.pop("own_facets")
    return item


def _parsed(text: str, path: Path) -> tuple[Token, ...]:
    try:
        document = json.loads(text)
        if (version := document["version"]) > _VERSION:
            raise ConfigurationError(
                f"{path} has version {version}, of a later version of the package; this one reads up to {_VERSION}. It was left as "
                "it is, and nobody is let in: use that version here too"
            )
        return tuple(
            Token(
                item["name"],
                _long(item["token"]),
                _patterns(item["jobs"]),
                item["airflow"] is True,
                item["ownFacets"] is True,
            )
            for item in document["tokens"]
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{path} is no file of tokens: {error!r}; remove it to begin with a new one") from None


def _patterns(jobs: object) -> tuple[str, ...]:
    if not isinstance(jobs, list) or not all(isinstance(pattern, str) for pattern in jobs):
        raise ValueError("jobs is no list of texts")
    return tuple(jobs)


def _long(token: str) -> str:
    if len(token) < 16:
        raise ValueError("a token has less than 16 characters")
    return token
