"""A shape that consists of one run of wsload against one server."""

from dataclasses import dataclass
from functools import partial

from ..house import house
from ..servers import Server
from ..servers.server import PLAIN
from ..wsload import shown, wsload
from .shape import Row, Run, Shape

ROOM, USER = "news", "user.{u:5}"  # the channel of all clients, or one for each of them
TRACKED = "news.tracked"  # all clients are one user's devices, and confirm what they get


@dataclass
class Load(Shape):
    """Subclasses define what wsload does once the clients are connected (phases) and which results count (measured)."""

    clients: int = 1000
    size: int = 64
    private: bool = False
    protocol: str = PLAIN
    history: bool = False
    receipts: bool = False  # what each client has is proven and recorded
    reference: bool = False  # the floor is measured too, although it has neither history nor other protocols

    def fits(self, server: type[Server]) -> bool:
        return (
            self.protocol in server.protocols
            and (server.keeps_history or not self.history)
            and (server.keeps_receipts or not self.receipts)
        )

    def rows(self, servers) -> list[Row]:
        rows = []
        for server in servers:
            if self.fits(server):
                fewer = self.clients_for(server) < self.scale.clients(self.clients)
                title = f"{server.title} ({self.clients_for(server):,} clients)" if fewer else server.title
                run = partial(self.run, server, self.protocol, self.history)
                rows.append(Row(server.name, title, run))
            elif self.reference and server.name == "floor":
                title = f"{server.title}, WebSocket and PUBLISH"
                rows.append(Row(server.name, title, partial(self.run, server, PLAIN, False)))
        return rows

    def clients_for(self, server: type[Server]) -> int:
        return min(self.scale.clients(self.clients), server.most_clients or self.clients)

    def run(self, server_class, protocol, history) -> Run:
        with house(server_class) as (redis, (server,)):
            arguments = self.arguments(server, redis, protocol, history)
            raw = wsload(arguments, 4 * self.estimate + 60)
        figures = self.measured(raw)
        if server_class.pace < 1:
            figures.pop("ratio", None)  # with so few deliveries the generator's own idling dominates its cost
        if not server_class.uses_redis:
            figures = {key: value for key, value in figures.items() if not key.startswith("redis")}
        return Run(figures, shown(arguments), raw)

    def arguments(self, server, redis, protocol, history) -> list[str]:
        channel = USER if self.private else TRACKED if self.receipts else ROOM
        clients = self.clients_for(type(server))
        users = clients if self.private else 1
        return [
            "-n", str(clients), *(["--users", str(users)] if self.private else []),
            *server.client(channel, protocol), "--size", str(self.size), *self.scale.settling,
            *self.phases(server, lambda: server.publisher(channel, self.size, users, history)),
            "--server-pid", ",".join(map(str, server.pids)), "--pid", f"redis={redis.pid}",
            server.address,
        ]  # fmt: skip

    def phases(self, server, publisher) -> list[str]:
        raise NotImplementedError

    def measured(self, raw) -> dict[str, float | None]:
        raise NotImplementedError


def per_delivery(raw) -> dict[str, float | None]:
    """The results of a fan-out. The ratio cancels the machine's speed, because wsload's work is always the same."""
    fanout = raw["fanout"]
    server, own = fanout.get("server_cpu_ns_per_delivery"), fanout["wsload_cpu_ns_per_delivery"]
    delivered, published = fanout["delivered"], fanout["published"]
    redis = fanout.get("redis_cpu_ns_per_delivery")
    return {
        "ratio": server / own if server and own else None,
        "server_ns": server,
        "wsload_ns": own,
        "redis_us": redis * delivered / published / 1000 if redis is not None and published else None,
        "p50_ms": fanout.get("p50_ms"),
        "p99_ms": fanout.get("p99_ms"),
        "delivered": delivered,
        "lost": fanout["lost"],
        "duplicates": fanout["duplicates"],
    }
