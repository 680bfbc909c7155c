"""Records what Trino's OpenLineage event listener sends: a real Trino makes, fills, changes and drops tables of two catalogues.

    python3 tests/translate/events/record_trino.py tests/translate/events/trino.ndjson

Needs Maven, and a JDK of version 24 or later in JAVA_HOME. Trino is kept in .cache/recording, which may be removed. Paths, hosts
and addresses of the recording machine are replaced, and long texts of Trino's own facets (plans and statistics of queries) cut;
nothing else is.
"""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from recording import command_line, fetch, save

TRINO = "476"
PLUGINS = ("openlineage", "tpch", "iceberg", "hive")
"""All of them would be three gigabytes."""
MOST = 100
"""Characters of a text in Trino's own facets that are kept."""
CATALOGS = {
    "sample": {"connector.name": "tpch"},
    "lake": {
        "connector.name": "iceberg",
        "iceberg.catalog.type": "TESTING_FILE_METASTORE",
        "hive.metastore.catalog.dir": "local:///lake",
        "fs.native-local.enabled": "true",
        "local.location": "{data}",
    },
    "house": {
        "connector.name": "hive",
        "hive.metastore": "file",
        "hive.metastore.catalog.dir": "local:///house",
        "fs.native-local.enabled": "true",
        "local.location": "{data}",
    },
}
QUERIES = (
    "CREATE SCHEMA lake.shop",
    "CREATE SCHEMA house.shop",
    "CREATE TABLE lake.shop.orders AS SELECT orderkey, custkey, totalprice, orderdate FROM sample.tiny.orders",
    (
        "CREATE TABLE house.shop.customers WITH (format = 'PARQUET') AS "
        "SELECT c.custkey, c.name, c.phone, n.name AS nation FROM sample.tiny.customer c JOIN sample.tiny.nation n "
        "ON c.nationkey = n.nationkey"
    ),
    "CREATE TABLE lake.shop.totals (nation varchar COMMENT 'Where the customers live', total double, orders bigint)",
    (
        "INSERT INTO lake.shop.totals SELECT c.nation, sum(o.totalprice), count(*) FROM lake.shop.orders o "
        "JOIN house.shop.customers c ON o.custkey = c.custkey WHERE o.totalprice > 1000 GROUP BY c.nation"
    ),
    "INSERT INTO lake.shop.totals (orders, nation) SELECT count(*), nation FROM house.shop.customers GROUP BY nation",
    "CREATE VIEW lake.shop.big AS SELECT nation, total * 2 AS doubled FROM lake.shop.totals WHERE total > 100000",
    'CREATE TABLE lake.shop.top AS SELECT nation AS "Nation", doubled FROM lake.shop.big',
    "INSERT INTO house.shop.customers VALUES (0, 'Nobody', '0', 'NOWHERE')",
    "UPDATE lake.shop.totals SET total = total + 1 WHERE nation = 'FRANCE'",
    "DELETE FROM lake.shop.orders WHERE orderdate < DATE '1993-01-01'",
    (
        "MERGE INTO lake.shop.totals t USING (SELECT nation, count(*) AS n FROM house.shop.customers GROUP BY nation) c "
        "ON t.nation = c.nation WHEN MATCHED THEN UPDATE SET orders = c.n "
        "WHEN NOT MATCHED THEN INSERT (nation, total, orders) VALUES (c.nation, 0, c.n)"
    ),
    "INSERT INTO lake.shop.totals SELECT nation, 1 / (total - total), 0 FROM lake.shop.totals WHERE 1 / (orders - orders) = 1",
    "CREATE TABLE lake.shop.never AS SELECT * FROM lake.shop.missing",
    "ALTER TABLE lake.shop.top RENAME TO lake.shop.best",
    "DROP TABLE lake.shop.best",
)


def main() -> None:
    """Run the command line."""
    arguments = command_line(__doc__, sends=False).parse_args()
    home = prepare(arguments.cache.absolute())
    with tempfile.TemporaryDirectory(prefix="trino-") as folder, receiving() as (url, events):
        work = Path(folder)
        with running(home, work, url) as server:
            while ask(server, "SELECT count(*) FROM sample.tiny.nation"):
                time.sleep(1)  # it answers before it knows that it is a worker, too; what only reads is not told
            failed = [error for query in QUERIES if (error := ask(server, query))]
            time.sleep(5)
        if failed != ["DIVISION_BY_ZERO", "TABLE_NOT_FOUND"]:
            sys.exit(f"other queries failed than should: {failed}")
        text = "".join(json.dumps(short(event), ensure_ascii=False) + "\n" for event in events)
        machine = ((str(work), "/data"), (str(home), "/opt/trino"), (socket.gethostname(), "host"))
        save(arguments.output, text, (*machine, (server, "localhost:8080")))


def prepare(cache: Path) -> Path:
    """The folder of Trino with the plugins that are needed; fetched once."""
    home = cache / f"trino-server-{TRINO}"
    if not home.exists():
        fetch(f"io.trino:trino-server:{TRINO}:tar.gz", cache)
        archive = cache / f"{home.name}.tar.gz"
        wanted = (*(f"plugin/{name}/" for name in PLUGINS), "lib/", "bin/", "secrets-plugin/")
        with tarfile.open(archive) as packed:
            members = (item for item in packed if item.name.partition("/")[2].startswith(wanted))
            packed.extractall(cache, members, filter="tar")
        archive.unlink()
    return home


@contextlib.contextmanager
def receiving() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """An endpoint, and the events that it got."""
    events: list[dict[str, Any]] = []

    class Endpoint(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            events.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(201)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", events
    finally:
        server.shutdown()


@contextlib.contextmanager
def running(home: Path, work: Path, url: str) -> Iterator[str]:
    """A Trino of one node; where it listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (work / "data").mkdir()
    files = {
        "config": {
            "coordinator": "true",
            "node-scheduler.include-coordinator": "true",
            "http-server.http.port": str(port),
            "discovery.uri": f"http://localhost:{port}",
        },
        "node": {"node.environment": "shop", "node.id": "one", "node.data-dir": str(work / "var")},
        "event-listener": {
            "event-listener.name": "openlineage",
            "openlineage-event-listener.trino.uri": "http://trino.example.org:8080",
            "openlineage-event-listener.transport.type": "HTTP",
            "openlineage-event-listener.transport.url": url,
            "openlineage-event-listener.transport.endpoint": "/api/v1/lineage",
        },
        **{f"catalog/{name}": options for name, options in CATALOGS.items()},
    }
    for name, options in files.items():
        path = work / "etc" / f"{name}.properties"
        path.parent.mkdir(parents=True, exist_ok=True)
        text = "".join(f"{key}={value}\n" for key, value in options.items())
        path.write_text(text.format(data=work / "data"), encoding="utf-8")
    (work / "etc" / "jvm.config").write_text("-Xmx2G\n-XX:+UseG1GC\n", encoding="utf-8")
    with (work / "log").open("w") as log:
        command = [home / "bin" / "launcher", "run", "--etc-dir", work / "etc"]
        process = subprocess.Popen(command, cwd=work, stdout=log, stderr=log)
    server = f"localhost:{port}"
    try:
        for _ in range(240):
            time.sleep(1)
            if process.poll() is not None:
                sys.exit((work / "log").read_text()[-4000:])
            with (
                contextlib.suppress(OSError, http.client.HTTPException),
                urllib.request.urlopen(f"http://{server}/v1/info") as answer,
            ):
                if not json.load(answer)["starting"]:
                    break
        yield server
    finally:
        process.terminate()
        process.wait(60)


def ask(server: str, query: str) -> str:
    """One query, to its end; the name of its error, or an empty text."""
    headers = {"X-Trino-User": "ann", "X-Trino-Source": "shop", "X-Trino-Client-Tags": "nightly"}
    request = urllib.request.Request(f"http://{server}/v1/statement", query.encode(), headers)
    while True:
        with urllib.request.urlopen(request) as answer:
            found = json.load(answer)
        if "nextUri" not in found:
            break
        request = urllib.request.Request(found["nextUri"], headers=headers)
    return found["error"]["errorName"] if "error" in found else ""


def short(event: dict[str, Any]) -> dict[str, Any]:
    """The event with the first words of its plan and statistics, which are twenty times as long as all the rest."""
    for name, facet in event["run"]["facets"].items():
        if name.startswith("trino_"):
            for key, value in facet.items():
                if key == "server_address":
                    facet[key] = "192.0.2.1"
                elif not key.startswith("_") and len(value) > MOST:
                    facet[key] = f"{value[:MOST]}…"
    return event


if __name__ == "__main__":
    if shutil.which("mvn") is None or "JAVA_HOME" not in os.environ:
        sys.exit("Maven and JAVA_HOME are needed")
    main()
