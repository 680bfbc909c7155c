"""Twins on a real Atlas, made as they come about: by several clients that create the same names at once."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Mapping

from airflow_provider_mlgov.catalog.atlas import AtlasCatalog
from airflow_provider_mlgov.catalog.catalog import Json
from airflow_provider_mlgov.errors import CatalogBusyError

ROUNDS = 20


class TwinMaker:
    """A table with a column, another table, and a process between them, in a namespace of its own."""

    def __init__(self, url: str, number: int) -> None:
        self._url = url
        self.catalog = AtlasCatalog(url)
        self.number = number
        self.at = ""

    def name(self, what: str) -> str:
        return f"{what}@{self.at}"

    def make(self) -> None:
        """Until there are at least so many entities of the table, the column and the process."""
        for _ in range(ROUNDS):
            self.at = f"twins-{uuid.uuid4().hex[:10]}"
            barrier = threading.Barrier(self.number + 1)
            threads = [threading.Thread(target=self._create, args=(barrier,)) for _ in range(self.number + 1)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            if all(self.count(*each) >= self.number for each in KINDS.items()):
                return
        raise AssertionError(f"Atlas made no {self.number} twins in {ROUNDS} rounds")

    def _create(self, barrier: threading.Barrier) -> None:
        catalog = AtlasCatalog(self._url)
        barrier.wait(60)
        try:
            catalog.write(self.documents())
        except CatalogBusyError:
            pass  # a deadlock: others made them
        finally:
            catalog.close()

    def documents(self) -> list[Json]:
        def entity(number: int, type_name: str, what: str, relations: Mapping[str, object], **more: object) -> Json:
            attributes = {"qualifiedName": self.name(what), "name": what, **more}
            return {
                "typeName": type_name,
                "guid": f"-{number}",
                "attributes": attributes,
                "relationshipAttributes": dict(relations),
            }

        def to(number: int, type_name: str) -> Json:
            return {"guid": f"-{number}", "typeName": type_name}

        table = "rdbms_table"
        return [
            entity(1, "rdbms_instance", "i", {}, rdbms_type="postgresql"),
            entity(2, "rdbms_db", "i.d", {"instance": to(1, "rdbms_instance")}),
            entity(3, table, "i.d.t", {"db": to(2, "rdbms_db")}),
            entity(4, "rdbms_column", "i.d.t.c", {"table": to(3, table)}, data_type="int"),
            entity(5, table, "i.d.u", {"db": to(2, "rdbms_db")}),
            entity(6, "mlgov_job_process", "p", {"inputs": [to(3, table)], "outputs": [to(5, table)]}),
        ]

    def guids(self, type_name: str, what: str) -> list[str]:
        """Of the active entities of a name, as a search finds them, the one found by name first."""
        found = self.catalog.search(type_name, {"name": what}, limit=10_000)
        guids = [each["guid"] for each in found if each["attributes"]["qualifiedName"] == self.name(what)]
        named = self.catalog.get(type_name, self.name(what))
        return sorted(guids, key=lambda guid: named is None or guid != named["guid"])

    def count(self, what: str, type_name: str) -> int:
        """How many there are, once the index has seen the last write."""
        time.sleep(0.5)
        return len(self.guids(type_name, what))

    def close(self) -> None:
        self.catalog.close()


KINDS = {"i.d.t": "rdbms_table", "i.d.t.c": "rdbms_column", "p": "mlgov_job_process"}
ALL = {"i": "rdbms_instance", "i.d": "rdbms_db", "i.d.u": "rdbms_table", **KINDS}
