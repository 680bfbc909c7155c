"""Azure Data Lake: ``abfss://container@account.dfs.core.windows.net`` ⟂ ``path``.

``adls_gen2_account`` → ``adls_gen2_container`` → one ``adls_gen2_directory`` per level, as Atlas's hooks write them: account and
container are lower case, paths are not, and end in no slash. ``wasbs`` is the same storage by its older door.
"""

from __future__ import annotations

from airflow_provider_mlgov.model.entity import Entity
from airflow_provider_mlgov.translate.naming.family import Family, segments
from airflow_provider_mlgov.translate.options import TranslateOptions


def entities(namespace: str, name: str, options: TranslateOptions) -> tuple[Entity, ...] | None:
    """Account, container, and each level of the path."""
    scheme, _, rest = namespace.rstrip("/").partition("://")
    container, _, host = rest.lower().partition("@")
    account = host.partition(".")[0]
    if not container or not account or "/" in rest:
        return None
    scheme = "abfs" if scheme.lower() in ("abfs", "wasb") else "abfss"
    at = options.platform_namespace
    home = Entity("adls_gen2_account", f"{scheme}://{account}@{at}", {"name": account})
    path = f"{scheme}://{container}@{account}"
    chain = [
        home,
        Entity("adls_gen2_container", f"{path}@{at}", {"name": container}, relations={"account": home.ref}),
    ]
    for part in segments(name):
        path += f"/{part}"
        chain.append(Entity("adls_gen2_directory", f"{path}@{at}", {"name": part}, relations={"parent": chain[-1].ref}))
    return tuple(chain)


FAMILY = Family(schemes=("abfss", "abfs", "wasbs", "wasb"), entities=entities, has_paths=True)
