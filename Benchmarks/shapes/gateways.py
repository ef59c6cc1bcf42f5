"""Two gateways instead of one, under the same load."""

from dataclasses import dataclass
from functools import partial

from ..house import house
from ..servers import Tocsin
from ..servers.server import PLAIN
from ..wsload import shown, wsload
from .load import ROOM, Load, per_delivery
from .shape import Figure, Row, Run


@dataclass
class Gateways(Load):
    """The cost of each gateway and of Redis: the gateways' should halve, Redis' should hardly grow."""

    clients: int = 1000
    rate: float = 50
    duration: float = 8

    def __post_init__(self):
        self.figures = (
            Figure("redis_us", "Redis µs per message", headline=True),
            Figure("first", "CPU % of the first"),
            Figure("second", "CPU % of the second"),
            Figure("gateways_ns", "CPU ns per delivery, all gateways", digits=0),
            Figure("p99_ms", "p99 ms"),
            Figure("lost", "lost", digits=0),
        )
        self.against = "one"
        self.estimate = self.scale.seconds(self.duration) + 3

    def rows(self, servers):
        if Tocsin not in servers:
            return []
        return [
            Row("one", "1 gateway", partial(self.run_with, 1)),
            Row("tocsin", "2 gateways", partial(self.run_with, 2)),
        ]

    def run_with(self, count) -> Run:
        with house(*[Tocsin] * count) as (redis, gateways):
            arguments = [
                "-n", str(self.scale.clients(self.clients)), *gateways[0].client(ROOM, PLAIN),
                "--rate", f"{self.rate:g}", "--messages", str(round(self.rate * self.scale.seconds(self.duration))),
                *gateways[0].publisher(ROOM, self.size, history=True),
                "--server-pid", ",".join(str(gateway.pid) for gateway in gateways), "--pid", f"redis={redis.pid}",
                *(word for number, gateway in enumerate(gateways) for word in ("--pid", f"g{number}={gateway.pid}")),
                ",".join(gateway.address for gateway in gateways),
            ]  # fmt: skip
            raw = wsload(arguments, 4 * self.estimate + 60)
        figures = per_delivery(raw)
        kept = {key: figures[key] for key in ("redis_us", "p99_ms", "lost", "delivered")}
        seconds = {"second": raw["fanout"]["g1_cpu_percent"]} if count == 2 else {}
        kept |= {"gateways_ns": figures["server_ns"], "first": raw["fanout"]["g0_cpu_percent"], **seconds}
        return Run(kept, shown(arguments), raw)
