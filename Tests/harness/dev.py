"""`tocsin dev` with the processes that it starts, on ports of the test's own."""

import os
import signal
from pathlib import Path

from .free_port import free_port, free_ports
from .gateway import Gateway, binary
from .process import Process
from .waiting import wait_until

# Distances from the first gateway's port to the second gateway's, both admin ports and Redis' port.
SECOND, ADMIN, SECOND_ADMIN, REDIS = 1, 1000, 1001, 6390 - 8001


def command_line(pid) -> str:
    """The command line of a process; empty once it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except (FileNotFoundError, ProcessLookupError):
        return ""


class Dev(Process):
    """Two gateways and a Redis.

    arguments: further arguments. redis_port: None, a free one; False, the default relative to the first gateway's port.
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
        """The processes started by it, even after it has ended: those whose command line has one of its ports."""
        marks = [f"127.0.0.1:{port} " for port in self.ports]
        pids = [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit()]
        return [pid for pid in pids if any(mark in command_line(pid) + " " for mark in marks)]

    def close(self):
        # First it ends its own processes, then the rest is killed, so that a test leaves none in whatever state it ended.
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
