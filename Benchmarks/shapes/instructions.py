"""User-space instructions per delivery: what the kernel's share and the machine's speed do not blur."""

import functools
import re
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass

from ..house import house
from ..servers.server import PLAIN
from ..wsload import shown, wsload
from .load import ROOM, Load
from .shape import Figure, Row, Run

COUNTED = ("tocsin", "floor")


@functools.cache
def perf_counts() -> bool:
    """Whether this machine lets perf count instructions; many virtual ones do not."""
    try:
        done = subprocess.run(["perf", "stat", "-x,", "-e", "instructions:u", "true"], capture_output=True, text=True)
    except FileNotFoundError:
        return False
    return done.returncode == 0 and done.stderr[:1].isdigit()


@functools.cache
def countable(server_class) -> bool:
    """Whether perf counts here, or callgrind can run the server: Debian's valgrind cannot run every Swift program."""
    if perf_counts():
        return True
    if server_class.missing() or not shutil.which("valgrind") or not shutil.which("strip"):
        return False
    with tempfile.TemporaryDirectory() as folder:
        program = stripped(server_class.binary(), folder)
        # What the program says of the argument does not matter, only that valgrind brings it so far.
        done = subprocess.run(["valgrind", "-q", "--tool=none", program, "--version"], capture_output=True, text=True)
    return done.returncode >= 0 and "VALGRIND INTERNAL ERROR" not in done.stderr


def stripped(binary, folder) -> str:
    """A copy without debugging information: Debian's valgrind gives up at what newer compilers write there."""
    path = f"{folder}/stripped"
    subprocess.run(["strip", "--strip-debug", "-o", path, binary], check=True)
    return path


@dataclass
class Instructions(Load):
    """Two runs that differ only in how many messages are published; the difference is what deliveries cost."""

    clients: int = 200
    few: int = 20
    many: int = 220
    seconds: float = 5

    def __post_init__(self):
        self.figures = (Figure("instructions", "instructions per delivery", digits=0, headline=True),)
        self.note = (
            "Counted by perf where the machine can, else by callgrind: 200 clients, 64 B. A server that is not in the"
            " table is one that this machine's callgrind cannot run."
        )
        self.estimate = 26 if not self.scale.quick else 20

    def rows(self, servers):
        counted = [server for server in servers if server.name in COUNTED and countable(server)]
        return [Row(server.name, server.title, functools.partial(self.run_both, server)) for server in counted]

    def run_both(self, server_class) -> Run:
        count = by_perf if perf_counts() else by_callgrind
        clients = max(50, self.scale.clients(self.clients))
        commands, instructions = [], []
        for messages in (self.few, self.many):
            arguments, number = count(server_class, lambda server: self.load(server, clients, messages))
            commands.append(shown(arguments))
            instructions.append(number)
        per = (instructions[1] - instructions[0]) / (clients * (self.many - self.few))
        raw = {"few": instructions[0], "many": instructions[1], "by": count.__name__}
        return Run({"instructions": per}, commands[1], raw)

    def load(self, server, clients, messages) -> list[str]:
        seconds = self.scale.seconds(self.seconds) * 2
        return [
            "-n", str(clients), *server.client(ROOM, PLAIN), "--handshake-timeout", "60",
            "--rate", f"{messages / seconds:g}", "--messages", str(messages), "--drain", "30",
            *server.publisher(ROOM, self.size), server.address,
        ]  # fmt: skip


def by_perf(server_class, arguments_for) -> tuple[list[str], int]:
    with house(server_class) as (_, (server,)):
        arguments = arguments_for(server)
        watched = ",".join(map(str, server.pids))
        perf = subprocess.Popen(
            ["perf", "stat", "-x,", "-e", "instructions:u", "-p", watched],
            stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        try:
            wsload(arguments, 120)
        finally:
            perf.send_signal(signal.SIGINT)
            _, counted = perf.communicate(timeout=20)
    return arguments, int(re.search(r"^(\d+),", counted, re.M)[1])


def by_callgrind(server_class, arguments_for) -> tuple[list[str], int]:
    """The server under valgrind: about fifty times slower, and exact."""

    class Watched(server_class):
        start_timeout = 120.0

        def program(self):
            binary, *arguments = super().program()
            out = f"--callgrind-out-file={self.directory}/callgrind.out"
            return ["valgrind", "--tool=callgrind", out, stripped(binary, self.directory), *arguments]

    with house(Watched) as (_, (server,)):
        arguments = arguments_for(server)
        wsload(arguments, 240)
        server.stop(timeout=90)
        collected = re.search(r"Collected : (\d+)", server.log)
    if not collected:
        raise RuntimeError(f"callgrind counted nothing: {server.log[-300:]}")
    return arguments, int(collected[1])
