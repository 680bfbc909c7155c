"""A receiver in a process of its own, as a user starts it."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cli_runs import environment, mlgov


@dataclass
class Receiver:
    """Where it is, and what it wants to see."""

    url: str
    token: str
    home: Path


@contextmanager
def receiving(home: Path, *arguments: str, more: Mapping[str, str] | None = None) -> Iterator[Receiver]:
    """``mlgov receive`` on a free port, until the block ends; then it has sent all it received."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = home / "receiver.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "airflow_provider_mlgov", "receive", "--port", str(port), *arguments],
            env=environment(home, **(more or {})),
            stdout=output,
            stderr=output,
        )
    try:
        end = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert server.poll() is None, log.read_text()
                assert time.monotonic() < end, log.read_text()
                time.sleep(0.1)
        shown = mlgov(home, "token", "show", "default")
        assert shown.returncode == 0, shown.stderr
        yield Receiver(f"http://127.0.0.1:{port}", shown.stdout.strip(), home)
    finally:
        server.terminate()
        assert server.wait(60) in (0, -15), log.read_text()
