"""Clients that never give up. One for server-sent events keeps its cursor and resumes from it; a WebSocket has none.

What it sees is written to its fleet's log, one line per event (logs.py).
"""

import asyncio
import json
import os
import random
import socket
import time

from . import logs
from .sse import Chunks, Stream
from .websocket import Frames, pong

# A connection without a byte for this long is dead: the server sends a comment every 15 s.
SILENCE = 45.0
CONNECT_TIMEOUT = 10.0
# Full jitter (Brooker, "Exponential Backoff And Jitter"): up to this much more than the server asked for.
LONGEST_BACKOFF = 5.0
FIRST_RETRY = 1.0  # roughly what an EventSource waits if not told otherwise
# The kernel must not buffer for a reader that should be slow. TCP_MAXSEG, because loopback's segments of 64 KiB make the
# sender's buffer megabytes.
SLOW_RECEIVE_BUFFER, SLOW_SEGMENT = 4096, 1400


class Client(asyncio.Protocol):
    accepted = 200  # the status of a response that accepts it

    def __init__(self, fleet, number, path, groups):
        self.fleet, self.number, self.path, self.groups = fleet, number, path, groups
        self.name = f"{fleet.name}-{number}"
        self.cursor: str | None = None
        self.last: dict[str, int] = {}  # publisher/group → the highest number shown
        self.opens = 0
        self.is_open = False
        self.transport: asyncio.Transport | None = None
        self._wanted = False
        self._retry = FIRST_RETRY
        self._failures = 0
        self._turn = 0  # which target is next
        self._reading: asyncio.TimerHandle | None = None
        self._heard = 0.0
        self._reset()
        self.write(logs.JOINED, ",".join(groups))

    def write(self, kind, *fields):
        self.fleet.log.write("\t".join((f"{time.monotonic():.6f}", self.name, kind, *fields)) + "\n")

    # Called by its fleet

    def start(self, turn: int):
        self._wanted, self._turn = True, turn
        self._connect_soon(0)

    def drop(self):
        """Disconnects abruptly; reconnects when it is started again."""
        self._wanted = False
        if self.transport:
            self.transport.abort()

    def flip(self):
        """Disconnects and reconnects immediately."""
        if self.transport and self.is_open:
            self.transport.abort()
            self.transport = None
            self._ended("flip", wait=0)

    def crawl(self):
        """Reads one byte per second from now on."""
        if self._reading is None and self.transport:
            self.transport.pause_reading()
            self._crawl()

    def read(self):
        """Reads as fast as it can again."""
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None
            self.transport.resume_reading()

    def _crawl(self):
        loop = asyncio.get_running_loop()
        self._reading = loop.call_later(1.0, self._crawl)
        # asyncio reads all or nothing; a single byte can be read past it, from its socket.
        fd = self.transport.get_extra_info("socket").fileno()
        try:
            data = os.read(fd, 1)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self.data_received(data)
        else:
            self.transport.abort()

    # Connecting

    def _connect_soon(self, delay):
        asyncio.get_running_loop().call_later(delay, self.fleet.spawn, self._connect())

    async def _connect(self):
        if not self._wanted or self.transport:
            return
        targets = self.fleet.targets
        host, port = targets[self._turn % len(targets)]
        self._turn += 1
        self._reset()
        loop = asyncio.get_running_loop()
        opened = None
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                opened = socket.socket(socket.AF_INET)
                opened.setblocking(False)
                if self.fleet.sources:
                    opened.bind((self.fleet.sources[self.number % len(self.fleet.sources)], 0))
                if self.fleet.slow:
                    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SLOW_RECEIVE_BUFFER)
                    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SLOW_SEGMENT)
                await loop.sock_connect(opened, (host, port))
                await loop.create_connection(lambda: self, sock=opened)
        except (OSError, TimeoutError) as error:
            if opened:
                opened.close()
            self.write(logs.REFUSED, type(error).__name__)
            self._again()

    def _again(self, wait=None):
        if not self._wanted:
            return
        if wait is None:
            wait = self._retry
            if self._failures:
                wait += random.uniform(0, min(LONGEST_BACKOFF, 0.25 * 2**self._failures))
        self._failures += 1
        self._connect_soon(wait)

    # asyncio.Protocol

    def connection_made(self, transport):
        self.transport = transport
        self._heard = time.monotonic()
        if not self._wanted:
            transport.abort()
            return
        transport.write(
            f"GET {self.path} HTTP/1.1\r\nHost: site.example\r\nOrigin: http://site.example\r\n{self._fields()}\r\n".encode()
        )

    def _fields(self) -> str:
        """The header fields that define its kind."""
        resume = f"Last-Event-ID: {self.cursor}\r\n" if self.cursor and not self.fleet.forgetful else ""
        return f"Accept: text/event-stream\r\n{resume}"

    def data_received(self, data):
        self._heard = time.monotonic()
        if self.is_open:
            self._feed(data)
            return
        self._head += data
        head, found, body = self._head.partition(b"\r\n\r\n")
        if not found:
            return
        status = int(head.split(b" ", 2)[1])
        if status != self.accepted:
            self.write(logs.REFUSED, str(status))
            self.transport.abort()
            return
        self.is_open = True
        self.opens += 1
        self._failures = 0
        self._chunks = Chunks() if b"transfer-encoding: chunked" in head.lower() else None
        self.write(logs.OPEN)
        self.fleet.heard()
        if body:
            self.data_received(body)

    def _feed(self, data):
        self._stream.feed(self._chunks.feed(data) if self._chunks else data)

    def connection_lost(self, error):
        if self.transport is not None:
            self.transport = None
            self._ended(type(error).__name__ if error else "end")

    def _ended(self, why, wait=None):
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None
        if self.is_open:
            self.write(logs.CLOSED, why)
        self.is_open = False
        self._again(wait)

    def look(self, now):
        """The fleet's periodic check for a server that has been silent for too long."""
        if self.transport and self._reading is None and now - self._heard > SILENCE:
            self.transport.abort()

    # The stream

    def _reset(self):
        self._head = b""
        self._chunks: Chunks | None = None
        self._stream = Stream(self._message, self._event, self._cursor, self._set_retry)
        self.is_open = False

    def _message(self, data, id):
        if id is not None:
            self.cursor = id
        message = json.loads(data)
        name = message["id"]
        publisher_group, _, number = name.rpartition("/")
        position = id or ""
        if len(self.groups) > 1 and id:
            position = id.split(",")[self.groups.index(publisher_group.split("/")[1])]
        self.write(logs.MESSAGE, name, position)
        number = int(number)
        if number > self.last.get(publisher_group, 0):
            self.last[publisher_group] = number
        self.fleet.heard(message.get("at"))

    def _event(self, name, data):
        told = json.loads(data) if data else {}
        self.write(logs.NOTICE, told.get("group", ""), told.get("reason", name))
        self.fleet.heard()

    def _cursor(self, id):
        self.cursor = id
        self.write(logs.CURSOR, id)

    def _set_retry(self, milliseconds):
        self._retry = milliseconds / 1000


class WebSocketClient(Client):
    """The same over a WebSocket: without a cursor, so messages sent while it is away are lost."""

    accepted = 101

    def _fields(self):
        return (
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        )

    def _reset(self):
        super()._reset()
        self._frames = Frames(lambda text: self._message(text, None), self._pong)

    def _feed(self, data):
        self._frames.feed(data)

    def _pong(self, payload):
        self.transport.write(pong(payload))


KINDS = {"events": Client, "websocket": WebSocketClient}
