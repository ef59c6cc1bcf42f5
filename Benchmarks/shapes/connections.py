"""The cost of a connection: of opening it, keeping it, and closing and reopening it."""

from dataclasses import dataclass

from .load import Load
from .shape import Figure


@dataclass
class Connections(Load):
    """All join one group; after that there are only pings."""

    clients: int = 10_000
    idle: float = 30
    goal_memory: float | None = None
    goal_connect: float | None = None
    goal_idle: float | None = None

    def __post_init__(self):
        self.figures = (
            Figure("kib", "KiB per connection", digits=2, headline=True, goal=self.goal_memory),
            Figure("empty_mib", "MiB without any"),
            Figure("connect_ms", "CPU ms per 1,000 connects", goal=self.goal_connect),
            Figure("connects", "connects per s", better="higher", digits=0),
            Figure("redis_ms", "Redis ms per 1,000 connects"),
            Figure("idle", "idle CPU %", digits=2, goal=self.goal_idle),
        )
        self.note = (
            "What remains of a plain client once it has joined: its socket with an empty queue, the WebSocket's parser and"
            " state, the session with one membership, a place in the loop's table of descriptors, in the clock's wheel and in"
            " the list of its group, and its entries in the tables of open clients and of members. No buffer, timer, task or"
            " closure. Bytes received lie in one buffer of the loop until they are a whole frame."
        )
        self.against = ""  # nothing is kept per connection there, so every quotient would be huge
        self.estimate = self.scale.seconds(self.idle) + 3 + self.scale.clients(self.clients) / 2000

    def phases(self, server, publisher):
        return [*(self.scale.settling or ["--settle", "2"]), "--idle", f"{self.scale.seconds(self.idle):g}"]

    def measured(self, raw):
        connect, idle = raw["connect"], raw["idle"]
        return {
            "kib": connect["server_pss_bytes_per_client"] / 1024,
            "empty_mib": connect["server_pss_mib_before"],
            "connect_ms": connect["server_cpu_ms_per_1000"],
            "connects": connect["connects_per_s"],
            "redis_ms": connect["redis_cpu_ms_per_1000"],
            "idle": idle["server_cpu_percent"],
            "pings": idle["pings"],
        }


@dataclass
class Churn(Load):
    """Clients leave with a close handshake and reconnect, in turn."""

    rate: float = 300
    duration: float = 10
    goal: float | None = None

    def __post_init__(self):
        self.figures = (
            Figure("cycle_us", "CPU µs per close and open", headline=True, goal=self.goal),
            Figure("redis_us", "Redis µs"),
            Figure("ready_p99_ms", "p99 ms until joined"),
            Figure("failed", "failed", digits=0),
        )
        self.estimate = self.scale.seconds(self.duration) + 3

    def phases(self, server, publisher):
        return ["--churn", f"{self.rate:g}", "--churn-for", f"{self.scale.seconds(self.duration):g}"]

    def measured(self, raw):
        churn = raw["churn"]
        cycle, redis = churn.get("server_cpu_ns_per_cycle"), churn.get("redis_cpu_ns_per_cycle")
        return {
            "cycle_us": cycle / 1000 if cycle is not None else None,
            "redis_us": redis / 1000 if redis is not None else None,
            "ready_p99_ms": churn.get("ready_p99_ms"),
            "cycles": churn["reopened"],
            "failed": churn["failed"],
        }
