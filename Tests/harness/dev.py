"""`tocsin dev`: the processes that it starts, on ports of the test's own."""

import os
import signal
from pathlib import Path

from .free_port import free_port, free_ports
from .gateway import Gateway, binary
from .process import Process
from .waiting import wait_until

# From the first gateway's port to all that follow from it: the second gateway's, both admin ports, Redis' own.
SECOND, ADMIN, SECOND_ADMIN, REDIS = 1, 1000, 1001, 6390 - 8001


def command_line(pid) -> str:
    """Its words; empty where it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except (FileNotFoundError, ProcessLookupError):
        return ""


class Dev(Process):
    """Two gateways and a Redis.

    arguments: what else it is told. redis_port: None, a free one; False, what follows from the first gateway's port.
    """

    name = "dev"
    environment = Gateway.environment
    _environment: dict[str, str] = {}

    def __init__(self, *arguments, port=None, redis_port=None):
        super().__init__()
        self.port = port or free_ports(0, SECOND, ADMIN, SECOND_ADMIN, REDIS)
        self.redis_port = self.port + REDIS if redis_port is False else redis_port or free_port()
        self._arguments = [] if redis_port is False else ["--redis-port", str(self.redis_port)]
        self._arguments += map(str, arguments)

    def command(self):
        return [binary(), "dev", "--port", str(self.port), *self._arguments]

    def ready(self):
        return "Ctrl-C ends everything" in self.log

    @property
    def ports(self) -> list[int]:
        return [self.port, self.port + SECOND, self.port + ADMIN, self.port + SECOND_ADMIN, self.redis_port]

    def children(self) -> list[int]:
        """The processes that it has started, whether it still runs or not: those that name one of its ports."""
        marks = [f"127.0.0.1:{port} " for port in self.ports]
        pids = [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit()]
        return [pid for pid in pids if any(mark in command_line(pid) + " " for mark in marks)]

    def close(self):
        # It ends what it has started, and is then looked after: a test's end leaves nothing, whatever state it is in.
        try:
            if self.popen:
                self.stop()
        except TimeoutError:
            pass
        super().close()
        for pid in self.children():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        wait_until(lambda: not self.children(), 10, "the end of what it has started")
