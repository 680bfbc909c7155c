"""Records what OpenLineage's listener in Flink sends: a real Flink reads and writes files, Kafka topics and tables.

    python3 tests/translate/events/record_flink.py tests/translate/events/flink.ndjson

Needs a JDK, Maven and the programs of PostgreSQL. The jobs are in FlinkJobs.java. The list of jars is kept in .cache/recording,
which may be removed. Paths, hosts and ports of the recording machine are replaced; nothing else is.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from recording import MAVEN_DEPENDENCY, command_line, java_transport, save

FLINK = "2.2.0"
ARTIFACTS = (
    *(f"org.apache.flink:flink-{name}:{FLINK}" for name in ("clients", "connector-files", "csv", "json")),
    *(f"org.apache.flink:flink-table-{name}:{FLINK}" for name in ("api-java-bridge", "planner-loader", "runtime")),
    "org.apache.flink:flink-connector-kafka:5.0.0-2.2",
    "org.apache.flink:flink-connector-jdbc-core:4.0.0-2.0",
    "org.apache.flink:flink-connector-jdbc-postgres:4.0.0-2.0",
    "org.postgresql:postgresql:42.7.5",
    "org.apache.kafka:kafka_2.13:4.2.0",
    "io.openlineage:openlineage-flink:1.53.0",
)
OPENED = ("lang", "net", "nio", "time", "util", "util.concurrent")
"""Packages of the JDK that Flink looks into, as its own start scripts let it."""
CLUSTER = "MkU3OEVBNTcwNTJENDM2Qg"


def main() -> None:
    """Run the command line."""
    arguments = command_line(__doc__).parse_args()
    jars = prepare(arguments.cache.absolute())
    with tempfile.TemporaryDirectory(prefix="flink-") as folder:
        work = Path(folder)
        ports = free_ports(5)
        broker, database = f"localhost:{ports[0]}", f"localhost:{ports[2]}"
        (work / "log4j2.properties").write_text("rootLogger.level = error\n")
        with kafka(jars, work, ports[0], ports[1]), postgres(work, ports[2]):
            run_jobs(jars, work, (broker, database), ports[3:], arguments.url, arguments.token)
        if not arguments.url:
            text = (work / "events.ndjson").read_text(encoding="utf-8")
            save(arguments.output, text, ((str(work), "/data"), (broker, "kafka:9092"), (database, "db:5432")))


def prepare(cache: Path) -> str:
    """The class path of Flink, its connectors, the listener and a broker; looked up once."""
    project = cache / "flink"
    jars = project / f"{FLINK}.classpath"
    if not jars.exists():
        project.mkdir(parents=True, exist_ok=True)
        needed = "".join(
            "<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>".format(
                *artifact.split(":")
            )
            for artifact in ARTIFACTS
        )
        (project / "pom.xml").write_text(
            '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion><groupId>tests</groupId>'
            f"<artifactId>flink</artifactId><version>1</version><dependencies>{needed}</dependencies></project>"
        )
        command = ["mvn", "-q", "-B", f"{MAVEN_DEPENDENCY}:build-classpath", f"-Dmdep.outputFile={jars}"]
        subprocess.run(command, check=True, cwd=project)
    return jars.read_text().strip()


def run_jobs(jars: str, work: Path, servers: tuple[str, str], ports: list[int], url: str | None, token: str) -> None:
    """Compile the jobs and run them with the listener."""
    transport = java_transport(work / "events.ndjson", url, token)
    (work / "in").mkdir()
    (work / "in" / "orders.csv").write_text("1,a@x.org,10\n2,b@x.org,20\n3,c@x.org,30\n")
    (work / "in" / "people.csv").write_text("a@x.org,Rome\nb@x.org,Oslo\n")
    jobs = Path(__file__).with_name("FlinkJobs.java")
    subprocess.run(["javac", "-nowarn", "-cp", jars, "-d", work / "classes", jobs], check=True)
    command = [
        *java(f"{work / 'classes'}{os.pathsep}{jars}", work),
        *(f"--add-opens=java.base/java.{name}=ALL-UNNAMED" for name in OPENED),
        *(f"-Dopenlineage.transport.{name}={value}" for name, value in transport.items()),
        "FlinkJobs",
        str(work),
        servers[0],
        f"jdbc:postgresql://{servers[1]}/shop",
        "postgres",
        *map(str, ports),
    ]
    subprocess.run(command, check=True, cwd=work, timeout=600)


@contextlib.contextmanager
def kafka(jars: str, work: Path, port: int, controller: int) -> Iterator[None]:
    """A broker that is its own controller."""
    folder = work / "kafka"
    folder.mkdir()
    settings = folder / "server.properties"
    settings.write_text(
        "process.roles=broker,controller\nnode.id=1\ncontroller.listener.names=CONTROLLER\n"
        f"controller.quorum.bootstrap.servers=localhost:{controller}\n"
        f"listeners=PLAINTEXT://localhost:{port},CONTROLLER://localhost:{controller}\n"
        f"advertised.listeners=PLAINTEXT://localhost:{port}\nlog.dirs={folder / 'logs'}\n"
        "offsets.topic.replication.factor=1\ntransaction.state.log.replication.factor=1\n"
        "transaction.state.log.min.isr=1\n"
    )
    form = ["kafka.tools.StorageTool", "format", "--standalone", "-t", CLUSTER, "-c", str(settings)]
    with (folder / "out").open("w") as out:
        subprocess.run([*java(jars, work), *form], check=True, stdout=out, stderr=out)
        running = subprocess.Popen([*java(jars, work), "kafka.Kafka", str(settings)], stdout=out, stderr=out)
        try:
            reachable(port)
            yield
        finally:
            running.terminate()
            running.wait()


@contextlib.contextmanager
def postgres(work: Path, port: int) -> Iterator[None]:
    """A database of its own. The server refuses to run as root: then it is the user postgres who starts it."""
    programs = Path(
        subprocess.run(["pg_config", "--bindir"], check=True, capture_output=True, text=True).stdout.strip()
    )
    folder = work / "postgres"
    folder.mkdir()
    before: list[str] = []
    if os.geteuid() == 0:
        before = ["runuser", "-u", "postgres", "--"]
        work.chmod(0o755)
        shutil.chown(folder, "postgres")
    run = {"check": True, "cwd": folder, "stdout": subprocess.DEVNULL}
    control = [*before, str(programs / "pg_ctl"), "-D", "data", "-w", "-l", "log"]
    subprocess.run([*before, str(programs / "initdb"), "-D", "data", "-A", "trust", "-U", "postgres"], **run)
    options = f"-p {port} -k {folder} -c listen_addresses=localhost"
    subprocess.run([*control, "-o", options, "start"], **run)
    try:
        ask = [str(programs / "psql"), "-h", "localhost", "-p", str(port), "-U", "postgres", "-q"]
        subprocess.run([*ask, "-c", "CREATE DATABASE shop"], **run)
        columns = "(id int, mail text, total int)"
        tables = f"CREATE TABLE orders {columns}; CREATE TABLE copies {columns}"
        subprocess.run([*ask, "-d", "shop", "-c", tables], **run)
        yield
    finally:
        subprocess.run([*control, "-m", "fast", "stop"], **run)


def java(jars: str, work: Path) -> list[str]:
    """The start of a command that runs a class."""
    return ["java", "-Xmx1g", f"-Dlog4j2.configurationFile={work / 'log4j2.properties'}", "-cp", jars]


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("localhost", 0))
        return [each.getsockname()[1] for each in sockets]


def reachable(port: int) -> None:
    """Wait until somebody listens."""
    for _ in range(120):
        with contextlib.suppress(OSError), socket.create_connection(("localhost", port), timeout=1):
            return
        time.sleep(0.5)
    raise TimeoutError(port)


if __name__ == "__main__":
    for program in ("mvn", "javac", "pg_config"):
        if shutil.which(program) is None:
            sys.exit(f"{program} is missing: Maven, a JDK and PostgreSQL are needed")
    main()
