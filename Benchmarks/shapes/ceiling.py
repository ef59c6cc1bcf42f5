"""How many deliveries per second a server sustains."""

from dataclasses import dataclass

from .load import Load
from .shape import Figure

P99_MS = 250
# For a server that takes longer than that for one message to 1,000 clients.
FEW, FEW_START = 200, 5


@dataclass
class Ceiling(Load):
    """The rate rises by 30 % every two seconds until a message is lost or the 99th percentile exceeds 250 ms."""

    start: float = 50
    goal: float | None = None

    def __post_init__(self):
        self.figures = (
            Figure("deliveries", "deliveries per s", better="higher", digits=0, headline=True, goal=self.goal),
            Figure("server_ns", "CPU ns per delivery there", digits=0),
            Figure("frames", "frames per delivery there", digits=2),
            Figure("p99_ms", "p99 ms there"),
        )
        self.estimate = 6 if self.scale.quick else 38

    def clients_for(self, server):
        return min(super().clients_for(server), FEW if server.pace < 1 else self.clients)

    def phases(self, server, publisher):
        start = 500 if self.scale.quick else FEW_START if server.pace < 1 else self.start
        factor, seconds = (3, 0.5) if self.scale.quick else (1.3, 2)
        return ["--ramp", f"{start:g},{factor:g},{seconds:g},{P99_MS}", *publisher()]

    def measured(self, raw):
        steps = [step for name, step in raw.items() if name.startswith("ramp") and name != "ramp"]
        sustained = [step for step in steps if self.holds(step)]
        last = sustained[-1] if sustained else {}
        return {
            "deliveries": raw["ramp"]["best_deliveries_per_s"],
            "server_ns": last.get("server_cpu_ns_per_delivery"),
            "frames": last["frames"] / last["delivered"] if last else None,
            "p99_ms": last.get("p99_ms"),
        }

    @staticmethod
    def holds(step) -> bool:
        return not step["lost"] and step["p99_ms"] <= P99_MS
