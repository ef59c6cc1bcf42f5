"""What a shape needs to know about a server under test."""

import contextlib
import os
import shutil
import signal
import socket

from harness.free_port import free_port
from harness.process import Process
from harness.redis_server import RedisServer

from ..machine import before_others

# The client protocols. Plain: the server's native one over WebSocket.
PLAIN, CENTRIFUGE, SSE = "plain", "centrifuge", "sse"


class Server(Process):
    """One server on loopback. A channel is one name for all of them, in which {u:5} is replaced by a user's number."""

    name = "server"
    title = ""
    own_session = True  # its own autogroup for the scheduler; Ctrl-C reaches only the bench, which ends it
    protocols = {PLAIN}
    keeps_history = False
    keeps_receipts = False  # whether it knows which client has which message
    uses_redis = True
    # Its capacity, if lower than the shape's load: its figures are then those of the smaller load.
    most_clients: int | None = None
    pace = 1.0  # of the message rate to a group of all
    private_pace = 1.0  # of the message rate to groups of one

    def __init__(self, redis: RedisServer):
        super().__init__()
        self.redis = redis
        self.port = free_port()

    @classmethod
    def missing(cls) -> str | None:
        """Why it cannot be run here; None if it can."""
        return None

    @classmethod
    def version(cls) -> str:
        return ""

    def program(self) -> list[str]:
        """The command line; defined by subclasses."""
        raise NotImplementedError

    def command(self):
        return [*before_others(), *self.program()]

    def ready(self):
        with socket.create_connection(("127.0.0.1", self.port), 1):
            return True

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def pids(self) -> list[int]:
        """The processes whose CPU time and memory count as the server's."""
        return [self.pid]

    def client(self, channel: str, protocol: str) -> list[str]:
        """wsload's arguments for a client of the channel."""
        raise NotImplementedError

    def publisher(self, channel: str, size: int, users: int = 1, history: bool = False) -> list[str]:
        """wsload's arguments for a publisher to the channel."""
        raise NotImplementedError

    def close(self):
        # Including its children: a server that forks is a process group in its own session.
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        super().close()


def absent(program) -> str | None:
    """The result of missing() for a server that is a single program."""
    return None if shutil.which(program) else f"{program} is not installed"
