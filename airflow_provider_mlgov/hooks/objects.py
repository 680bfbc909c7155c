"""Object storages by Airflow's own paths (``s3://conn_id@bucket/…``): where events are handed over."""

from __future__ import annotations

import posixpath
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_provider_mlgov.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow_provider_mlgov.delivery.handover import Objects

_WHOLE = frozenset({"abfs", "abfss", "adl", "az", "gcs", "gs", "memory", "oss", "r2", "s3", "s3a"})
"""Storages where an object is there when all of it is; elsewhere it gets its name when it is whole."""


def open_objects(text: str) -> Objects:
    """The folder, or the object storage, that an option names. `ConfigurationError` if there can be none."""
    parts = urlsplit(text)
    if not parts.scheme or parts.scheme == "file":
        from airflow_provider_mlgov.delivery.handover import FolderObjects

        path = Path(parts.path if parts.scheme else text).expanduser()
        if not path.is_absolute():
            raise ConfigurationError(
                f"{text!r} is no absolute path; wanted one, or a URL such as s3://conn_id@bucket/path"
            )
        return FolderObjects(path)
    from airflow_provider_mlgov._compat import ObjectStoragePath

    try:
        place = ObjectStoragePath(text)
        return StoredObjects(place.fs, place.path, shown=text, whole=parts.scheme in _WHOLE)
    except (ImportError, ValueError) as error:
        raise ConfigurationError(
            f"{text!r} cannot be used: {error}; wanted a URL that Airflow's ObjectStoragePath knows, with its provider installed "
            "(for s3: apache-airflow-providers-amazon[s3fs])"
        ) from error


class StoredObjects:
    """`Objects` in an fsspec file system."""

    def __init__(self, fs: Any, root: str, *, shown: str, whole: bool) -> None:
        self._fs = fs
        self._root = root.rstrip("/")
        self._shown = shown
        self._whole = whole

    def __repr__(self) -> str:
        return self._shown

    def put(self, name: str, content: bytes) -> None:
        """See `Objects`."""
        if self._whole:
            self._fs.pipe_file(self._path(name), content)
            return
        temporary = self._path(f"tmp/{posixpath.basename(name)}.{secrets.token_hex(4)}")
        for path in (temporary, self._path(name)):
            self._fs.makedirs(posixpath.dirname(path), exist_ok=True)
        self._fs.pipe_file(temporary, content)
        self._fs.mv(temporary, self._path(name))

    def list(self, folder: str) -> list[tuple[str, int]]:
        """See `Objects`."""
        self._fs.invalidate_cache()
        try:
            entries = self._fs.ls(self._path(folder), detail=True)
        except FileNotFoundError:
            return []
        return [
            (posixpath.basename(str(entry["name"])), int(entry.get("size") or 0))
            for entry in entries
            if entry.get("type") == "file" and posixpath.basename(str(entry["name"]))
        ]

    def get(self, name: str) -> bytes | None:
        """See `Objects`."""
        try:
            return bytes(self._fs.cat_file(self._path(name)))
        except FileNotFoundError:
            return None

    def move(self, name: str, to: str) -> None:
        """See `Objects`."""
        if not self._whole:
            self._fs.makedirs(posixpath.dirname(self._path(to)), exist_ok=True)
        self._fs.mv(self._path(name), self._path(to))

    def remove(self, name: str) -> None:
        """See `Objects`."""
        try:
            self._fs.rm_file(self._path(name))
        except FileNotFoundError:
            return

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"
