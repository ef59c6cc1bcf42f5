"""A TCP port nobody listens on."""

import random
import socket

# Below the kernel's ephemeral range (32768 and up), so that none of the thousand outgoing connections of a test takes
# the port between this answer and the server's bind, or while a restarted server is away.
LOWEST, HIGHEST = 12000, 30000
_given: set[int] = set()


def free_port() -> int:
    """A free port on 127.0.0.1; never the same one twice in one process."""
    for _ in range(1000):
        port = random.randint(LOWEST, HIGHEST)
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port
    raise RuntimeError("no free port")
