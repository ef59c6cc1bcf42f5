"""Thousands of connections of one process, all at once: those that never finish their handshake, and those that do."""

import resource
import select
import socket
import time

from .bad_client import Reply, connect, handshake, read

# An address has 28,000 ports for one server, and the gateway's own limits may count addresses.
PER_SOURCE = 150
BATCH = 250


def raise_file_limit(count):
    """This process may open so many files, if the machine allows that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(count, soft), max(count, hard)))


def source(number) -> str:
    """The address that connection comes from."""
    return f"127.3.{number // PER_SOURCE // 250}.{number // PER_SOURCE % 250 + 1}"


class SlowHandshakes:
    """Connections that send a byte a second, from now on, and never come to an end."""

    def __init__(self, port, count):
        raise_file_limit(count + 1000)
        self.count = count
        self.statuses: list[int | None] = []  # what those were answered that have ended
        self.seconds: list[float] = []  # and how long that took
        self._bytes = handshake("/ws/slow", f"X-Slow: {'x' * 1000}")
        self._sent = len(b"GET /ws/slow HTTP/1.1\r\n")
        self._poll = select.epoll()
        self._open: dict[int, tuple[socket.socket, float]] = {}
        for number in range(count):
            tcp = connect(port, source(number))
            tcp.sendall(self._bytes[: self._sent])
            self._open[tcp.fileno()] = (tcp, time.monotonic())
            self._poll.register(tcp, select.EPOLLIN)

    @property
    def all_ended(self) -> bool:
        return not self._open

    def drip(self):
        """One byte more of each; who has been answered meanwhile is read."""
        for descriptor, _ in self._poll.poll(0, self.count):
            tcp, began = self._open.pop(descriptor)
            with tcp:
                self.statuses.append(read(tcp).status)
            self.seconds.append(time.monotonic() - began)
        self._sent += 1
        for tcp, _ in self._open.values():
            try:
                tcp.send(self._bytes[self._sent - 1 : self._sent])
            except OSError:
                pass  # its answer is read the next time

    def close(self):
        self._poll.close()
        for tcp, _ in self._open.values():
            tcp.close()


def open_many(port, count, path="/ws/many") -> list[tuple[socket.socket, Reply]]:
    """So many finished handshakes and their answers, a batch of them at a time under way. The sockets are the caller's."""
    raise_file_limit(count + 1000)
    done = []
    for first in range(0, count, BATCH):
        batch = [connect(port, source(number)) for number in range(first, min(first + BATCH, count))]
        for tcp in batch:
            try:
                tcp.sendall(handshake(path))
            except OSError:
                pass  # turned away before it was sent: the answer is there to be read
        done += [(tcp, read(tcp)) for tcp in batch]
    return done
