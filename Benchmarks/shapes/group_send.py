"""What one Redis accepts: group_send with history, compared with the minimum that logs and publishes a message."""

from dataclasses import dataclass
from functools import partial

from harness.names import group_key, live_channel

from ..house import private_redis
from ..pipeline import encode, measure
from .shape import Figure, Row, Run, Shape

GROUPS, KEPT = 100, 100
MESSAGE = b'{"type":"receive","text":"' + b"x" * 36 + b'"}'  # 64 bytes


def group_send(group) -> bytes:
    return encode("FCALL", "group_send", 1, group_key(group), MESSAGE)


def transaction(group) -> bytes:
    log = encode("XADD", f"log:{group}", "MAXLEN", "~", KEPT, "*", "m", MESSAGE)
    return encode("MULTI") + log + encode("PUBLISH", live_channel(group), MESSAGE) + encode("EXEC")


def publish(group) -> bytes:
    return encode("PUBLISH", live_channel(group), MESSAGE)


@dataclass
class GroupSend(Shape):
    """100 groups in turn, batches of 100 on one connection, no subscribers."""

    duration: float = 6
    goal: float | None = None

    def __post_init__(self):
        self.figures = (
            Figure("per_second", "accepted per s", better="higher", digits=0, headline=True, goal=self.goal),
            Figure("cpu_us", "Redis CPU µs each", digits=2),
            Figure("cpu_percent", "Redis CPU %", digits=0),
        )
        self.against = "transaction"
        self.estimate = self.scale.seconds(self.duration) + 1

    def rows(self, servers):
        if not any(server.name == "tocsin" for server in servers):
            return []
        return [
            Row("tocsin", "Tocsin: FCALL group_send, history 100", partial(self.run, "FCALL group_send", group_send)),
            Row("transaction", "MULTI, XADD, PUBLISH, EXEC", partial(self.run, "MULTI XADD PUBLISH EXEC", transaction)),
            Row("publish", "PUBLISH alone", partial(self.run, "PUBLISH", publish)),
        ]

    def run(self, what, encoded) -> Run:
        with private_redis() as server:
            server.load_library()
            batch = [encoded(f"bench-{number}") for number in range(GROUPS)]
            figures = measure(server, batch, self.scale.seconds(self.duration))
        return Run(figures, f"Benchmarks/pipeline.py: {what}, {GROUPS} groups, batches of {GROUPS}", figures)
