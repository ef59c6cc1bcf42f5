"""TCP ports on which nobody listens."""

import random
import socket

# Below the kernel's ephemeral range (32768 and up), so that none of a test's thousand outgoing connections takes the
# port between this call and the server's bind, or while a restarted server is down.
LOWEST, HIGHEST = 12000, 30000
_given: set[int] = set()


def free_port() -> int:
    """A free port on 127.0.0.1; never the same one twice within one process."""
    return free_ports(0)


def free_ports(*distances) -> int:
    """A port for which the ports at these distances are free too, for a program that listens on several."""
    for _ in range(1000):
        port = random.randint(LOWEST, HIGHEST)
        wanted = {port + distance for distance in distances}
        if not wanted & _given and all(map(_is_free, wanted)):
            _given.update(wanted)
            return port
    raise RuntimeError("no free port")


def _is_free(port) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
