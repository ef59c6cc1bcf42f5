"""One message to all clients of a group, at 50,000 deliveries a second."""

from dataclasses import dataclass

from .load import Load, per_delivery
from .shape import Figure

LATENCY = (Figure("p50_ms", "p50 ms"), Figure("p99_ms", "p99 ms"), Figure("lost", "lost", digits=0))


@dataclass
class FanOut(Load):
    rate: float = 50
    duration: float = 8
    goal: float | None = None

    def __post_init__(self):
        self.figures = (
            Figure("ratio", "CPU ÷ wsload's", digits=2, headline=True, goal=self.goal),
            Figure("server_ns", "CPU ns per delivery", digits=0),
            Figure("redis_us", "Redis µs per message"),
            *LATENCY,
        )
        self.estimate = self.scale.seconds(self.duration) + 3 + self.scale.clients(self.clients) / 3000

    def fits(self, server):
        return super().fits(server) and self.clients <= (server.most_clients or self.clients)

    def phases(self, server, publisher):
        rate, duration = self.rate * server.pace, self.scale.seconds(self.duration)
        return ["--rate", f"{rate:g}", "--messages", str(max(2, round(rate * duration))), *publisher()]

    def measured(self, raw):
        return per_delivery(raw)
