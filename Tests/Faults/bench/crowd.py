"""A thousand good clients next to whatever a test does: they must get every message in order, and none may lose its
connection. Half of them are WebSockets, half server-sent events; each group has one of both."""

import contextlib
import time
from dataclasses import dataclass

from .checker import Verdict, check
from .fleet import Fleet
from .publishers import Publishers

CLIENTS = 1000
# They use several addresses, because they count towards the limit per address too.
SOURCES = [f"127.0.1.{n}" for n in range(1, 21)]
JOIN_SECONDS = 2.0
SETTLE_SECONDS = 20


@dataclass(frozen=True)
class Delays:
    """How late messages were during a period, from the moment before they were sent; milliseconds."""

    count: int
    p50: float
    p99: float
    max: float


class Crowd:
    def __init__(self, redis, gateway, rate):
        groups = [f"good-{n}" for n in range(CLIENTS // 2)]
        targets = [(gateway.host, gateway.port)]
        clients = [(f"/ws/{group}", [group]) for group in groups]
        self._fleets: list[Fleet] = []
        self._publishers = Publishers(redis, groups, rate)
        with contextlib.ExitStack() as stack:
            stack.callback(self.close)
            for kind in ("websocket", "events"):
                self._fleets.append(Fleet(kind, targets, clients, kind=kind, sources=SOURCES))
            for fleet in self._fleets:
                fleet.start(JOIN_SECONDS)
            self._publishers.start()
            stack.pop_all()

    def assert_nobody_was_cut(self):
        for fleet in self._fleets:
            (status,) = fleet.tell("status")
            assert status["open"] == status["opens"] == status["clients"], status

    def delays_during(self, action) -> Delays:
        """action: seconds to wait, or what to do meanwhile."""
        self._heard()
        time.sleep(action) if isinstance(action, int | float) else action()
        found = self._heard()
        count = sum(each["count"] for each in found)
        assert count, "the good clients heard nothing"
        # Both kinds have the same number: the later of the two percentiles is the one that matters.
        return Delays(count, **{name: max(each[name] for each in found) * 1000 for name in ("p50", "p99", "max")})

    def _heard(self) -> list[dict]:
        """The delays of messages since the last call, for each kind of clients."""
        return [answer["delays"] for fleet in self._fleets for answer in fleet.tell("delays")]

    def verdict(self) -> Verdict:
        """Ends them all; compares what they were shown with what was sent."""
        last = self._publishers.stop()["last"]
        for fleet in self._fleets:
            fleet.await_shown(last, SETTLE_SECONDS)
        planned = self._publishers.status["planned"]
        self.assert_nobody_was_cut()
        logs = {name: log for fleet in self._fleets for name, log in fleet.finish().items()}
        return check(self._publishers.finish(), logs, planned)

    def close(self):
        for helper in (*self._fleets, self._publishers):
            helper.close()
