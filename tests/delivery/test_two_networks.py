"""Workers on two other hosts forward over a network, with TLS, to one receiver, which is killed and comes back meanwhile."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlgov.catalog.atlas import AtlasCatalog
from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from airflow_provider_mlgov.delivery.sender import Sender
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.translate.options import TranslateOptions
from certificates import certificate_for
from cli_runs import environment, mlgov
from namespaces import Host, star
from searching import names_of

NAMES, WORKERS, PORT = 200, 4, 5000

WORKER = """
import json, os, sys, time
from pathlib import Path
from airflow_provider_mlgov.delivery.forward import Forwarder
from airflow_provider_mlgov.delivery.outbox import Outbox
from airflow_provider_mlgov.delivery.spool import Spool
from delivery_events import dataset, task_event

told = json.loads(sys.argv[1])
spool, name = Spool(told["root"]), told["name"]
forwarder = Forwarder(spool, told["url"], told["token"], verify=told["ca"], breaker_interval=0.3, breaker_cap=1.0)

def work(worker):
    for index in range(worker, told["names"], told["workers"]):
        table = dataset(f"{name}.s.t{index}", f"postgres://{name}.test:5432")
        task = f"{told['host']}_{index}"
        Outbox(spool).put(task_event("COMPLETE", task=task, dag=name, outputs=[table]))
        forwarder.send(5.0)

children = []
for worker in range(told["workers"]):
    child = os.fork()
    if not child:
        work(worker)
        os._exit(0)
    children.append(child)
for child in children:
    assert os.waitpid(child, 0)[1] == 0
end = time.monotonic() + 400
while spool.has_waiting():
    assert time.monotonic() < end, forwarder.send(5.0, despite_breaker=True)
    forwarder.send(5.0)
    time.sleep(0.1)
assert not spool.dead_letters()
"""


class Receiver:
    """``mlgov receive`` on the hub, which only keeps; it may be killed and started again."""

    def __init__(self, home: Path, hub: Host, certificate: Path) -> None:
        self.home, self._hub, self._certificate = home, hub, certificate
        self.spool = Spool(home / "mlgov" / "spool")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it is there when it answers."""
        pem = str(self._certificate)
        command = [*self._hub.inside, sys.executable, "-m", "airflow_provider_mlgov", "receive", "--no-send"]
        command += ["--host", "0.0.0.0", "--port", str(PORT)]  # noqa: S104 - its network is one of its own
        command += ["--certificate", pem, "--key", pem]
        with (self.home / "receiver.log").open("ab") as log:
            self._process = subprocess.Popen(command, env=environment(self.home), stdout=log, stderr=log)

    def kill(self) -> None:
        """SIGKILL, in the midst of whatever it does."""
        assert self._process is not None
        assert self._process.poll() is None, (self.home / "receiver.log").read_text()
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(30)


@pytest.fixture
def catalog_of(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    if request.param == "atlas":
        request.getfixturevalue("atlas")  # its types
        url = request.getfixturevalue("atlas_url")
        return lambda: AtlasCatalog(url)
    return lambda: EmbeddedCatalog(tmp_path / "catalog.db")


@pytest.fixture
def network() -> Iterator[tuple[Host, list[Host]]]:
    with star(2) as made:
        yield made


def wait_for_events(receiver: Receiver, count: int) -> None:
    end = time.monotonic() + 400
    while receiver.spool.counts().waiting < count:
        assert time.monotonic() < end, (receiver.home / "receiver.log").read_text()
        time.sleep(0.05)


@pytest.mark.parametrize(
    "catalog_of", ["embedded", pytest.param("atlas", marks=[pytest.mark.atlas, pytest.mark.long])], indirect=True
)
def test_nothing_is_lost_and_no_name_is_made_twice(
    tmp_path: Path, network: tuple[Host, list[Host]], catalog_of: Any
) -> None:
    hub, hosts = network
    home, name = tmp_path / "home", f"d{uuid.uuid4().hex[:12]}"
    home.mkdir()
    certificate = certificate_for(tmp_path / "ca.pem", *(host.hub for host in hosts))
    made = mlgov(home, "token", "add", "workers", "--airflow", "--own-facets")
    assert made.returncode == 0, made.stderr
    receiver = Receiver(home, hub, certificate)
    receiver.start()
    workers = []
    for number, host in enumerate(hosts):
        told = {
            "root": str(tmp_path / f"spool{number}"),
            "url": f"https://{host.hub}:{PORT}",
            "token": made.stdout.strip(),
            "ca": str(certificate),
            "name": name,
            "names": NAMES,
            "workers": WORKERS,
            "host": f"h{number}",
        }
        command = [*host.inside, sys.executable, "-c", WORKER, json.dumps(told)]
        more = {"PYTHONPATH": str(Path(__file__).parent.parent / "support")}
        workers.append(subprocess.Popen(command, env={**os.environ, **more}))
    try:
        for count in (NAMES // 4, NAMES):
            wait_for_events(receiver, count)
            receiver.kill()
            receiver.start()
        assert [worker.wait(500) for worker in workers] == [0, 0]
    finally:
        for worker in workers:
            worker.kill()
        receiver.kill()
    sender = Sender(receiver.spool, catalog_of, TranslateOptions(airflow_namespace="test"))
    assert sender.send(300).outcome == "done"
    counts = receiver.spool.counts()
    assert (counts.waiting, counts.dead, counts.odd) == (0, 0, 0)
    catalog = catalog_of()
    for type_name, wanted in (("rdbms_table", NAMES), ("mlgov_task_run", 2 * NAMES), ("rdbms_instance", 1)):
        found = names_of(catalog, type_name, name, wanted)
        assert (len(found), set(found.values())) == (wanted, {1})
    catalog.close()
