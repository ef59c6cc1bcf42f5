"""One group per user, messages to random users."""

from dataclasses import dataclass

from .fan_out import LATENCY
from .load import Load, per_delivery
from .shape import Figure


@dataclass
class Private(Load):
    clients: int = 10_000
    private: bool = True
    rate: float = 2000
    duration: float = 8
    goal: float | None = None

    def __post_init__(self):
        self.figures = (
            Figure("server_us", "CPU µs per message", headline=True, goal=self.goal),
            Figure("redis_us", "Redis µs per message"),
            Figure("ratio", "CPU ÷ wsload's", digits=2),
            *LATENCY,
        )
        self.estimate = self.scale.seconds(self.duration) + 2 + self.scale.clients(self.clients) / 2000

    def phases(self, server, publisher):
        rate = self.rate * server.private_pace * (0.1 if self.scale.quick else 1)
        duration = self.scale.seconds(self.duration)
        return ["--rate", f"{rate:g}", "--messages", str(round(rate * duration)), *publisher()]

    def measured(self, raw):
        figures = per_delivery(raw)
        nanoseconds = figures["server_ns"]
        return {**figures, "server_us": nanoseconds / 1000 if nanoseconds is not None else None}
