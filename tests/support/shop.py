"""Events of one schema of its own, sent through a spool to a catalogue that is there already."""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from typing import Any

from airflow_provider_mlgov.catalog.catalog import Catalog, Json
from airflow_provider_mlgov.delivery.clean import CleanOptions
from airflow_provider_mlgov.delivery.outbox import Outbox
from airflow_provider_mlgov.delivery.sender import Sender
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.translate.options import TranslateOptions
from airflow_provider_mlgov.translate.rules import FacetRule, Rules, TagRule

RULES = Rules(
    "rules.toml",
    tags=(TagRule(1, "pii", classification="mlgov_test_pii"), TagRule(2, "odd", classification="mlgov_test_absent")),
    facets=(FacetRule(3, "acme_cost", "cost", "centre"),),
)


class Shop:
    """Events of one schema of its own, sent to a catalogue."""

    def __init__(self, catalog: Catalog, spool: Path) -> None:
        self.catalog = catalog
        self.at = f"t{uuid.uuid4().hex[:12]}"
        self.options = TranslateOptions(self.at, self.at, self.at, rules=RULES)
        self.spool = Spool(spool)
        self._begun = time.time()

    def dataset(self, name: str, *columns: str, **facets: Any) -> Json:
        if columns:
            facets["schema"] = {"fields": [{"name": column, "type": "int"} for column in columns]}
        return {"namespace": "hive://meta:9083", "name": f"shop.{name}", "facets": facets}

    def event(self, job: str, inputs: list[Json], outputs: list[Json], *, ago: float = 0, **more: Any) -> Json:
        moment = self._begun - ago if ago else time.time()  # a slow catalogue must not change what was before what
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)) + f".{int(moment % 1 * 1000):03d}Z"
        return {
            "eventTime": stamp,
            "eventType": "COMPLETE",
            "run": {"runId": str(uuid.uuid4()), "facets": more.pop("run", {})},
            "job": {"namespace": "spark", "name": job, "facets": more.pop("job_facets", {})},
            "inputs": inputs,
            "outputs": outputs,
            **more,
        }

    def send(self, *events: Json) -> None:
        outbox = Outbox(self.spool, options=CleanOptions(facets=RULES.facet_names))
        for event in events:
            outbox.put(event)
        catalog = self.catalog
        result = Sender(self.spool, lambda: _Kept(catalog), self.options, breaker_interval=0.0).send()
        assert not self.spool.waiting(), result
        assert not self.spool.dead_letters()

    def get(self, type_name: str, name: str, *, relationships: bool = False) -> Json | None:
        return self.catalog.get(type_name, f"{name}@{self.at}", relationships=relationships)


class _Kept:
    """The catalogue of the session, which a sender must not close."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def __getattr__(self, name: str) -> Any:
        return getattr(self._catalog, name)

    def close(self) -> None:
        pass


def hooked(shop: Shop) -> dict[str, str]:
    """A table with two columns and its storage descriptor, as Atlas's Hive hook writes them; their guids."""
    at = shop.at
    table = {"guid": "-2", "typeName": "hive_table"}
    answer = shop.catalog.write(
        [
            {
                "typeName": "hive_db",
                "guid": "-1",
                "attributes": {"qualifiedName": f"shop@{at}", "name": "shop", "clusterName": at, "ownerType": "USER"},
            },
            {
                "typeName": "hive_table",
                "guid": "-2",
                "attributes": {
                    "qualifiedName": f"shop.a@{at}",
                    "name": "a",
                    "owner": "hive",
                    "description": "by the hook",
                    "tableType": "EXTERNAL_TABLE",
                    "parameters": {"numRows": "3"},
                    "temporary": False,
                },
                "relationshipAttributes": {"db": {"guid": "-1", "typeName": "hive_db"}},
            },
            *(
                {
                    "typeName": "hive_column",
                    "guid": f"-{3 + position}",
                    "attributes": {
                        "qualifiedName": f"shop.a.{name}@{at}",
                        "name": name,
                        "type": "bigint",
                        "position": position,
                        "owner": "hive",
                        "comment": "of the hook",
                    },
                    "relationshipAttributes": {"table": {**table, "relationshipType": "hive_table_columns"}},
                }
                for position, name in enumerate(("id", "mail"))
            ),
            {
                "typeName": "hive_column",
                "guid": "-8",
                "attributes": {"qualifiedName": f"shop.a.dt@{at}", "name": "dt", "type": "date", "position": 2},
                "relationshipAttributes": {"table": {**table, "relationshipType": "hive_table_partitionkeys"}},
            },
            {
                "typeName": "hive_storagedesc",
                "guid": "-9",
                "attributes": {
                    "qualifiedName": f"shop.a@{at}_storage",
                    "location": "hdfs://nn/warehouse/a",
                    "inputFormat": "orc",
                    "compressed": True,
                },
                "relationshipAttributes": {"table": table},
            },
        ]
    )
    return answer["guidAssignments"]
