"""Hosts of their own on this machine: network namespaces, joined by virtual cables. Needs root and iproute2.

Where they cannot be had, the tests that need them are skipped, and the summary says so in red.
"""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest

NOT_TESTED = "no network namespaces"


@dataclass(frozen=True)
class Host:
    """A network namespace."""

    name: str
    address: str
    """Where the hub reaches it; of the hub itself, empty."""
    hub: str
    """Where it reaches the hub."""

    @property
    def inside(self) -> list[str]:
        """What to put before a command to run it there."""
        return ["ip", "netns", "exec", self.name]


def _ip(*words: str) -> None:
    try:
        subprocess.run(["ip", *words], check=True, capture_output=True, text=True, timeout=30)
    except FileNotFoundError:
        pytest.skip(f"{NOT_TESTED}: there is no `ip` (iproute2)")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"{NOT_TESTED}: ip {' '.join(words)}: {error.stderr.strip()}")


@contextmanager
def star(count: int) -> Iterator[tuple[Host, list[Host]]]:
    """A hub and ``count`` hosts, each with a cable to it. None reaches anything else, this machine's own network included."""
    tag = secrets.token_hex(3)
    hub = Host(f"mlgov-{tag}-hub", "", "")
    hosts = [
        Host(f"mlgov-{tag}-{number}", f"198.18.{number}.2", f"198.18.{number}.1") for number in range(1, count + 1)
    ]
    with ExitStack() as stack:
        for host in (hub, *hosts):
            _ip("netns", "add", host.name)
            stack.callback(subprocess.run, ["ip", "netns", "delete", host.name], check=False)
            _ip("-n", host.name, "link", "set", "lo", "up")
        for number, host in enumerate(hosts, 1):
            ends = (f"hub{number}", "eth0")
            _ip(
                *("link", "add", ends[0], "netns", hub.name, "type", "veth"),
                *("peer", "name", ends[1], "netns", host.name),
            )
            for name, end, address in ((hub.name, ends[0], host.hub), (host.name, ends[1], host.address)):
                _ip("-n", name, "address", "add", f"{address}/30", "dev", end)
                _ip("-n", name, "link", "set", end, "up")
        yield hub, hosts


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly what was left out."""
    for report in terminalreporter.stats.get("skipped", ()):
        if isinstance(report.longrepr, tuple) and NOT_TESTED in report.longrepr[2]:
            terminalreporter.write_line(
                f"WARNING: {report.nodeid} did not run. {report.longrepr[2]}", red=True, bold=True
            )
