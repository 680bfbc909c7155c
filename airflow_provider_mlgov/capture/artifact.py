"""What an artefact is made of: digest and size of a file or folder."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

_BLOCK = 1 << 20


@dataclass(frozen=True)
class Artifact:
    """Where an artefact is, and what is known of its content."""

    uri: str
    digest: str | None = None
    """``sha256:…`` of a file; of a folder, that of the sorted lines ``<sha256>  <path>``."""
    size: int | None = None
    """Bytes."""


def artifact(location: str | Path) -> Artifact:
    """The artefact at a local path, a ``file:`` URI (both are read) or any other URI (only its name is kept).

    Raises `FileNotFoundError` for a local path where nothing is.
    """
    parts = urlsplit(str(location))
    if parts.scheme and parts.scheme != "file":
        return Artifact(str(location))
    path = Path(unquote(parts.path) if parts.scheme else str(location)).absolute()
    if path.is_dir():
        digest, size = _folder(path)
    else:
        digest, size = _file(path), path.stat().st_size
    return Artifact(path.as_uri(), f"sha256:{digest}", size)


def _file(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _folder(path: Path) -> tuple[str, int]:
    files = sorted((file.relative_to(path).as_posix(), file) for file in path.rglob("*") if file.is_file())
    lines = "".join(f"{_file(file)}  {name}\n" for name, file in files)
    return hashlib.sha256(lines.encode()).hexdigest(), sum(file.stat().st_size for _, file in files)
