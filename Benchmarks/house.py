"""The environment of a run: a fresh Redis and server, and the size of the load."""

import contextlib
from dataclasses import dataclass

from harness.redis_server import RedisServer

from .machine import before_others
from .servers import Server

REDIS_OPTIONS = ("--maxclients", "15000", "--client-output-buffer-limit", "pubsub 0 0 0")


@dataclass(frozen=True)
class Scale:
    """quick: the same shapes, so small that they only show that the bench works."""

    quick: bool = False

    def clients(self, number) -> int:
        return max(20, number // 100) if self.quick else number

    def seconds(self, number) -> float:
        return min(1.0, number) if self.quick else number

    @property
    def settling(self) -> list[str]:
        """wsload's pause between the connects and the next phase."""
        return ["--settle", "0.2"] if self.quick else []


def private_redis() -> RedisServer:
    """Without persistence, not started."""
    return RedisServer(conf=False, args=REDIS_OPTIONS, wrapper=before_others())


@contextlib.contextmanager
def house(*servers: type[Server]):
    """A fresh Redis and a fresh process of each server on it: (redis, servers)."""
    with contextlib.ExitStack() as stack:
        redis = stack.enter_context(private_redis())
        yield redis, [stack.enter_context(server(redis)) for server in servers]
