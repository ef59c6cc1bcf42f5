"""The shapes: loads that a notification broker has to carry, and Tocsin's goals for each."""

from ..house import Scale
from ..servers.server import CENTRIFUGE, SSE
from .ceiling import Ceiling
from .connections import Churn, Connections
from .fan_out import FanOut
from .gateways import Gateways
from .group_send import GroupSend
from .instructions import Instructions
from .logins import Logins
from .private import Private
from .shape import Shape

# Goals: docs/decisions.md, "The bench". Ratios at or below those of the best peer of any kind on the same machine.
NEAR, FAR = 1.15, 1.75  # CPU ÷ wsload's, for 1,000 and for 10,000 clients
NEAR_TOO, FAR_TOO = 1.44, 2.19  # a quarter more, for other forms of the same
TEN = {"clients": 10_000, "rate": 5}
LOGGED = {"history": True, "reference": True}
SPOKEN = {"protocol": CENTRIFUGE, "history": True, "reference": True}
STREAMED = {"protocol": SSE, "reference": True}


def all_shapes(scale: Scale) -> list[Shape]:
    return [
        FanOut("fan-out-1000", "Fan-out, 1,000 clients, 64 B", scale, goal=NEAR),
        FanOut("fan-out-1000-512", "Fan-out, 1,000 clients, 512 B", scale, size=512, goal=NEAR),
        FanOut("fan-out-10000", "Fan-out, 10,000 clients, 64 B", scale, **TEN, goal=FAR),
        FanOut("fan-out-10000-512", "Fan-out, 10,000 clients, 512 B", scale, **TEN, size=512, goal=FAR),
        FanOut("history", "Fan-out by group_send, 1,000 clients, 64 B", scale, **LOGGED, goal=NEAR_TOO),
        FanOut("history-10000", "Fan-out by group_send, 10,000 clients, 64 B", scale, **LOGGED, **TEN, goal=FAR_TOO),
        FanOut("receipts", "Fan-out by group_send with receipts, 1,000 clients, 64 B", scale, history=True, receipts=True),
        FanOut("centrifuge", "Fan-out to centrifuge clients, 1,000, 64 B", scale, **SPOKEN, goal=NEAR_TOO),
        FanOut("centrifuge-10000", "Fan-out to centrifuge clients, 10,000, 64 B", scale, **SPOKEN, **TEN, goal=FAR_TOO),
        FanOut("sse", "Fan-out as server-sent events, 1,000 clients, 64 B", scale, **STREAMED, goal=NEAR_TOO),
        FanOut("sse-10000", "Fan-out as server-sent events, 10,000 clients, 64 B", scale, **STREAMED, **TEN, goal=FAR_TOO),
        Ceiling("ceiling", "Ceiling: deliveries a second to 1,000 clients, 64 B, p99 at most 250 ms", scale, goal=3e6),
        Connections(
            "connections", "Connections, 10,000 in one group", scale, goal_memory=5, goal_connect=15, goal_idle=0.2
        ),
        Churn("churn", "Close and open again, 300 a second, 1,000 clients", scale, goal=80),
        Private("private", "A group per user, 10,000 users, 2,000 messages a second", scale, goal=20),
        Private("private-history", "The same by group_send, history 100", scale, history=True, reference=True, goal=25),
        GroupSend("group-send", "group_send: what one Redis accepts", scale),
        Gateways("gateways", "Two gateways in place of one, the load of the first table by group_send", scale),
        Logins("logins", "Handshakes with each kind of login, 2,000 clients", scale),
        Instructions("instructions", "User-space instructions per delivery", scale),
    ]


def chosen(names: list[str], scale: Scale) -> list[Shape]:
    """The shapes with these names. A name that is not a shape's whole name selects all shapes that begin with it."""
    shapes, found = all_shapes(scale), []
    for name in names or [""]:
        name = ALIASES.get(name, name)
        some = [shape for shape in shapes if shape.name == name]
        some = some or [shape for shape in shapes if shape.name.startswith(name)]
        if not some:
            raise ValueError(f"no shape is called {name!r}; there are {', '.join(shape.name for shape in shapes)}")
        found += [shape for shape in some if shape not in found]
    return found


ALIASES = {"idle": "connections", "memory": "connections", "handshake": "connections", "latency": "fan-out-1000"}
