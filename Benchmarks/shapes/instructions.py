"""User-space instructions per delivery, which neither the kernel's share nor the machine's speed affects."""

import functools
from dataclasses import dataclass

from ..counting import counted, missing
from ..house import house
from ..servers.server import PLAIN
from ..wsload import shown, wsload
from .load import ROOM, Load
from .shape import Figure, Row, Run

COUNTED = ("tocsin", "floor")


@dataclass
class Instructions(Load):
    """Two runs that differ only in the number of messages published; the difference is the cost of deliveries."""

    clients: int = 200
    few: int = 20
    many: int = 220
    seconds: float = 5

    def __post_init__(self):
        self.figures = (
            Figure("instructions", "instructions per delivery", digits=0, headline=True),
            Figure("system_calls", "system calls", digits=2),
        )
        self.note = "Counted by QEMU's user mode (`Benchmarks/instructions.c`): 200 clients, 64 B, each message by itself."
        self.estimate = 26 if not self.scale.quick else 20

    def rows(self, servers):
        if missing():
            return []
        known = [server for server in servers if server.name in COUNTED]
        return [Row(server.name, server.title, functools.partial(self.run_both, server)) for server in known]

    def run_both(self, server_class) -> Run:
        clients = max(50, self.scale.clients(self.clients))
        commands, costs = [], []
        for messages in (self.few, self.many):
            with house(counted(server_class)) as (_, (server,)):
                server.arm()
                arguments = self.load(server, clients, messages)
                wsload(arguments, 120)
                server.settle()
                commands.append(shown(arguments))
                costs.append(server.cost())
        per = (costs[1] - costs[0]).per(clients * (self.many - self.few))
        figures = {"instructions": per.instructions, "system_calls": per.system_calls}
        return Run(figures, commands[1], {"few": costs[0].instructions, "many": costs[1].instructions})

    def load(self, server, clients, messages) -> list[str]:
        seconds = self.scale.seconds(self.seconds) * 2
        return [
            "-n", str(clients), *server.client(ROOM, PLAIN), "--handshake-timeout", "60",
            "--rate", f"{messages / seconds:g}", "--messages", str(messages), "--drain", "30",
            *server.publisher(ROOM, self.size), server.address,
        ]  # fmt: skip
