"""Thousands of concurrent connections of one process: some that never finish their handshake, and some that do."""

import resource
import select
import socket
import time

from .bad_client import Reply, connect, handshake, read

# An address has 28,000 ports for one server, and the gateway's limits may count addresses.
PER_SOURCE = 150
BATCH = 250


def raise_file_limit(count):
    """Lets this process open so many files, if the machine allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(count, soft), max(count, hard)))


def source(number) -> str:
    """The address to connect from."""
    return f"127.3.{number // PER_SOURCE // 250}.{number // PER_SOURCE % 250 + 1}"


class SlowHandshakes:
    """Connections that send one byte per second from now on, and never finish."""

    def __init__(self, port, count):
        raise_file_limit(count + 1000)
        self.count = count
        self.statuses: list[int | None] = []  # the responses of those that have ended
        self.seconds: list[float] = []  # and how long they took
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
        """Sends one more byte on each; reads the responses of those that have been answered."""
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
                pass  # its response will be read the next time

    def close(self):
        self._poll.close()
        for tcp, _ in self._open.values():
            tcp.close()


def open_many(port, count, path="/ws/many") -> list[tuple[socket.socket, Reply]]:
    """Opens connections in batches, with complete handshakes; returns their responses. The caller closes the sockets."""
    raise_file_limit(count + 1000)
    done = []
    for first in range(0, count, BATCH):
        batch = [connect(port, source(number)) for number in range(first, min(first + BATCH, count))]
        for tcp in batch:
            try:
                tcp.sendall(handshake(path))
            except OSError:
                pass  # turned away before it was sent: the response can be read
        done += [(tcp, read(tcp)) for tcp in batch]
    return done
