"""How many calls a server takes from one caller: a token bucket for each, of which only so many are kept."""

from __future__ import annotations

import ipaddress
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

MOST_CALLERS = 10_000
"""Buckets that are kept: beyond that, who was not heard of for longest begins anew."""


class Rate:
    """``rate`` units a second for each caller, and ``burst`` at once. Infinite: no limit."""

    def __init__(
        self, rate: float, burst: float, *, most: int = MOST_CALLERS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = rate
        self._burst = burst
        self._most = most
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def callers(self) -> int:
        """How many are remembered."""
        return len(self._buckets)

    def wait(self, caller: str, cost: float = 1.0) -> int:
        """0 if ``caller`` may go on, which costs ``cost``; else the seconds after which it may.

        Who has anything left may go on, whatever it costs, and pays for it by a longer wait: a large batch is not refused for ever.
        """
        if math.isinf(self._rate):
            return 0
        now = self._clock()
        with self._lock:
            left, then = self._buckets.pop(caller, (self._burst, now))
            left = min(self._burst, left + max(0.0, now - then) * self._rate)
            allowed = left > 0
            self._buckets[caller] = (left - cost if allowed else left, now)
            if len(self._buckets) > self._most:
                self._buckets.popitem(last=False)
        return 0 if allowed else max(1, math.ceil(-left / self._rate))


def address_of(scope: Any) -> str:
    """Where an ASGI call comes from. Of IPv6 the network: one machine has as many addresses in it as it likes."""
    host = str((scope.get("client") or ("unknown",))[0])
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if address.version == 4:
        return host
    mapped = address.ipv4_mapped
    return str(mapped) if mapped else str(ipaddress.ip_network((int(address), 64), strict=False))
