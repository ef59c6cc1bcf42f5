"""The shapes: loads that a notification broker meets, and the goals that Tocsin has under each."""

from ..house import Scale
from ..servers.server import CENTRIFUGE, SSE
from .connections import Churn, Connections
from .fan_out import FanOut
from .private import Private
from .shape import Shape

# Goals: docs/decisions.md, "The bench". Ratios at or below what the best peer of any kind reaches on the same machine.
NEAR, FAR = 1.2, 1.9  # CPU ÷ wsload's, for 1,000 and for 10,000 clients
TEN = {"clients": 10_000, "rate": 5}


def all_shapes(scale: Scale) -> list[Shape]:
    return [
        FanOut("fan-out-1000", "Fan-out, 1,000 clients, 64 B", scale, goal=NEAR),
        FanOut("fan-out-1000-512", "Fan-out, 1,000 clients, 512 B", scale, size=512, goal=NEAR),
        FanOut("fan-out-10000", "Fan-out, 10,000 clients, 64 B", scale, **TEN, goal=FAR),
        FanOut("fan-out-10000-512", "Fan-out, 10,000 clients, 512 B", scale, **TEN, size=512, goal=FAR),
        Connections("connections", "Connections, 10,000 in one group", scale, goal_memory=6, goal_connect=15, goal_idle=1),
        Churn("churn", "Close and open again, 300 a second, 1,000 clients", scale, goal=100),
        Private("private", "A group per user, 10,000 users, 2,000 messages a second", scale, goal=25),
    ]


def chosen(names: list[str], scale: Scale) -> list[Shape]:
    """The shapes of these names. A name stands for all that begin with it, and for what others call it."""
    shapes, found = all_shapes(scale), []
    for name in names or [""]:
        some = [shape for shape in shapes if shape.name.startswith(ALIASES.get(name, name))]
        if not some:
            raise ValueError(f"no shape is called {name!r}; there are {', '.join(shape.name for shape in shapes)}")
        found += [shape for shape in some if shape not in found]
    return found


ALIASES = {"idle": "connections", "memory": "connections", "handshake": "connections", "latency": "fan-out-1000"}
