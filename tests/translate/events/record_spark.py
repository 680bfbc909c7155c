"""Records what Spark's OpenLineage listener sends: a real local Spark reads and writes files and tables.

    python3 tests/translate/events/record_spark.py tests/translate/events/spark.ndjson

Needs a JDK and Maven. Spark and the listener are kept in .cache/recording, which may be removed. Paths, hosts and users of the
recording machine are replaced; nothing else is.
"""

from __future__ import annotations

import getpass
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from recording import ROOT, command_line, fetch, java_transport, save

PYSPARK = "pyspark==3.5.9"
LISTENER = "io.openlineage:openlineage-spark_2.12:1.53.0"
SQLITE = "org.xerial:sqlite-jdbc:3.47.1.0"
ICEBERG = "org.apache.iceberg:iceberg-spark-runtime-3.5_2.12:1.7.1"
PARENT = "01900000-0000-7000-8000-000000000001"
ROOT_RUN = "01900000-0000-7000-8000-0000000000aa"
"""Run ids of the Airflow task and DAG run that the application would be started by."""


def main() -> None:
    """Run the command line."""
    arguments = command_line(__doc__).parse_args()
    python, jars = prepare(arguments.cache.absolute())
    with tempfile.TemporaryDirectory(prefix="spark-") as folder:
        work = Path(folder)
        run_spark(python, jars, work, arguments.url, arguments.token)
        if not arguments.url:
            text = (work / "events.ndjson").read_text(encoding="utf-8")
            machine = ((str(work), "/data"), (str(ROOT), "/project"), (str(Path.home()), "/home/user"))
            save(arguments.output, without_user(text), (*machine, (socket.gethostname(), "host")))


def prepare(cache: Path) -> tuple[Path, list[Path]]:
    """Spark in an environment of its own, and the jars; fetched once."""
    python = cache / "spark" / "bin" / "python"
    if not python.exists():
        venv.create(cache / "spark", with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", PYSPARK], check=True)
    jars = []
    for artifact in (LISTENER, SQLITE, ICEBERG):
        _, name, version = artifact.split(":")
        jars.append(cache / "jars" / f"{name}-{version}.jar")
        if not jars[-1].exists():
            fetch(artifact, cache / "jars")
    return python, jars


def run_spark(python: Path, jars: list[Path], work: Path, url: str | None, token: str) -> None:
    """Run the application below with the listener."""
    transport = java_transport(work / "events.ndjson", url, token)
    options = {
        "spark.master": "local[1]",
        "spark.app.name": "shop",
        "spark.ui.enabled": "false",
        "spark.driver.memory": "1g",
        "spark.sql.shuffle.partitions": "1",
        "spark.sql.warehouse.dir": str(work / "warehouse"),
        "spark.hadoop.javax.jdo.option.ConnectionURL": f"jdbc:derby:;databaseName={work}/metastore;create=true",
        "spark.sql.catalog.ice": "org.apache.iceberg.spark.SparkCatalog",
        "spark.sql.catalog.ice.type": "hadoop",
        "spark.sql.catalog.ice.warehouse": str(work / "ice"),
        "spark.jars": ",".join(map(str, jars)),
        "spark.extraListeners": "io.openlineage.spark.agent.OpenLineageSparkListener",
        "spark.openlineage.namespace": "spark",
        "spark.openlineage.parentJobNamespace": "air",
        "spark.openlineage.parentJobName": "shop.submit",
        "spark.openlineage.parentRunId": PARENT,
        "spark.openlineage.rootParentJobNamespace": "air",
        "spark.openlineage.rootParentJobName": "shop",
        "spark.openlineage.rootParentRunId": ROOT_RUN,
        **{f"spark.openlineage.transport.{name}": value for name, value in transport.items()},
    }
    (work / "in").mkdir()
    (work / "in" / "orders.csv").write_text("id,mail,total,day\n1,a@x.org,10,d1\n2,b@x.org,20,d2\n3,c@x.org,30,d1\n")
    (work / "in" / "people.csv").write_text("mail,city\na@x.org,Rome\nb@x.org,Oslo\n")
    (work / "log4j2.properties").write_text("rootLogger.level = error\n")
    submit = python.parent / "spark-submit"
    command = [
        submit,
        *(part for item in options.items() for part in ("--conf", "=".join(item))),
        __file__,
        "--application",
    ]
    log = f"-Dlog4j2.configurationFile={work / 'log4j2.properties'} -Dderby.system.home={work}"
    command[1:1] = ["--driver-java-options", log]
    environment = {**os.environ, "PYSPARK_PYTHON": str(python), "SPARK_LOCAL_IP": "127.0.0.1", "WORK": str(work)}
    subprocess.run(command, check=True, cwd=work, env=environment)


def application() -> None:
    """What the recorded Spark does. One job after another; some fail."""
    from pyspark.sql import SparkSession, functions

    work = os.environ["WORK"]
    spark = SparkSession.builder.enableHiveSupport().getOrCreate()
    orders = spark.read.option("header", "true").option("inferSchema", "true").csv(f"{work}/in/orders.csv")
    people = spark.read.option("header", "true").csv(f"{work}/in/people.csv")
    orders.write.mode("overwrite").parquet(f"{work}/lake/orders")
    orders.write.mode("overwrite").partitionBy("day").parquet(f"{work}/lake/by_day")
    spark.read.parquet(f"{work}/lake/by_day/day=d1").write.mode("overwrite").parquet(f"{work}/lake/one_day")
    people.write.saveAsTable("people")
    spark.read.parquet(f"{work}/lake/orders").write.saveAsTable("orders")
    spark.sql(
        "CREATE TABLE totals AS SELECT p.city, sum(o.total) AS total, max(sha2(o.mail, 256)) AS who "
        "FROM orders o JOIN people p ON o.mail = p.mail WHERE o.total > 5 GROUP BY p.city"
    )
    spark.sql("CREATE TABLE days (id INT, total INT) PARTITIONED BY (dt STRING) STORED AS PARQUET")
    spark.sql("INSERT OVERWRITE TABLE days PARTITION (dt = '2026-01-31') SELECT id, total FROM orders")
    spark.sql("INSERT INTO days PARTITION (dt = '2026-02-01') SELECT id, total FROM orders WHERE id = 1")
    spark.sql("ALTER TABLE totals RENAME TO city_totals")
    spark.sql("TRUNCATE TABLE people")
    spark.sql("DROP TABLE people")
    url = f"jdbc:sqlite:{work}/shop.db"
    orders.drop("day").write.format("jdbc").options(url=url, dbtable="orders", driver="org.sqlite.JDBC").save()
    read = spark.read.format("jdbc").options(url=url, dbtable="orders", driver="org.sqlite.JDBC").load()
    read.select("id", "total").write.mode("overwrite").parquet(f"{work}/lake/from_jdbc")
    spark.sql("CREATE TABLE ice.db.orders USING iceberg AS SELECT id, total FROM orders")
    spark.sql("INSERT INTO ice.db.orders SELECT id + 10, total FROM ice.db.orders")
    try:
        broken = functions.udf(lambda _: 1 / 0, "int")
        orders.select(broken("id").alias("x")).write.mode("overwrite").parquet(f"{work}/lake/broken")
    except Exception as error:  # noqa: BLE001 - it has to fail
        sys.stdout.write(f"failed as it should: {type(error).__name__}\n")
    stream = (
        spark.readStream.schema("id INT, mail STRING, total INT, day STRING")
        .option("header", "true")
        .csv(f"{work}/in/ord*.csv")
    )
    query = (
        stream.writeStream.format("parquet")
        .option("path", f"{work}/lake/stream")
        .option("checkpointLocation", f"{work}/check")
        .trigger(availableNow=True)
        .start()
    )
    query.awaitTermination()
    spark.stop()


def without_user(text: str) -> str:
    """The events without the name of who recorded them."""
    return re.sub(rf'("(?:user|userName|sparkUser)": ?)"{re.escape(getpass.getuser())}"', r'\1"user"', text)


if __name__ == "__main__":
    if "--application" in sys.argv:
        application()
    else:
        if shutil.which("mvn") is None:
            sys.exit("Maven is missing: install it, or put the jars into .cache/recording/jars")
        main()
