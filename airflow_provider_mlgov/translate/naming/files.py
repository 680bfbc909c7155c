"""Files: ``file`` ⟂ ``/path`` and ``file://host``, ``sftp://host``, ``ftp://host``, ``dbfs://workspace`` ⟂ ``/path`` → ``fs_path``.

A local path means something on its own hosts only, so its name ends in the Airflow's namespace; with a host, in that
of the platform.
"""

from __future__ import annotations

from airflow_provider_mlgov.model.entity import Entity
from airflow_provider_mlgov.translate.naming.family import Family, segments
from airflow_provider_mlgov.translate.options import TranslateOptions


def entities(namespace: str, name: str, options: TranslateOptions) -> tuple[Entity, ...]:
    """One ``fs_path``. ``file``, ``file:``, ``file://`` and ``file:/dir`` are local; a relative name stays relative."""
    scheme, _, rest = namespace.partition(":")
    scheme = scheme.lower()
    host, slash, base = (
        rest[2:].partition("/") if rest.startswith("//") else ("", "/" if rest.startswith("/") else "", rest)
    )
    parts = segments(base) + segments(name)
    absolute = bool(host or slash or name.startswith("/"))
    path = ("/" if absolute else "") + "/".join(parts)
    if host:
        host = host.rpartition("@")[2].lower()
        qualified = f"{scheme}://{host}{path}@{options.platform_namespace}"
    else:
        qualified = f"{scheme}:{'//' if absolute else ''}{path}@{options.airflow_namespace}"
    return (Entity("fs_path", qualified, {"name": parts[-1] if parts else "/", "path": path or "/"}),)


FAMILY = Family(schemes=("file", "sftp", "ftp", "dbfs"), entities=entities, has_paths=True)
