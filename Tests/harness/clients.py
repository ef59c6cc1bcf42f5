"""Many WebSocket clients that record what they receive: plain functions over one event loop in a thread.

with Clients() as clients:
    sockets = clients.open(gateway.url("/ws/room"), count=4)
    ...
    sockets[0].until(marker)      the messages before the one that contains marker
"""

import asyncio
import base64
import json
import os
import socket
import struct
import threading
import time

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from .gateway import ORIGIN
from .waiting import Listener


class Socket:
    """One open WebSocket. `messages` are the data frames received so far, str or bytes; `times` has the time of each."""

    def __init__(self, clients, url, connection):
        self.url = url
        self.messages: list[str | bytes] = []
        self.times: list[float] = []
        self.close_code: int | None = None
        self.close_reason = ""
        self.closed_at: float | None = None
        self._clients, self._connection = clients, connection

    @property
    def open(self) -> bool:
        return self.closed_at is None

    def send(self, message):
        self._clients._run(self._connection.send(message))

    def close(self):
        self._clients._run(self._connection.close())

    def abort(self):
        """Disconnects without a close frame: the TCP connection is reset or ended."""
        self._clients._loop.call_soon_threadsafe(self._connection.transport.abort)

    def wait(self, count, timeout=10) -> list:
        """Waits for count messages and returns the first count."""
        self._clients.wait_for(
            lambda: len(self.messages) >= count, timeout, lambda: f"{count} messages, has {self.messages}"
        )
        return self.messages[:count]

    def until(self, marker: str, timeout=10) -> list:
        """Waits for a message that contains marker and returns all messages before it.

        A message sent before the marker by the same sender to the same group arrives before the marker, so the result is
        complete, duplicates included, without waiting for silence.
        """

        def place():
            return next(
                (i for i, message in enumerate(self.messages) if isinstance(message, str) and marker in message), None
            )

        self._clients.wait_for(
            lambda: place() is not None, timeout, lambda: f"the marker {marker} at {self.url}, has {self.messages[-5:]}"
        )
        return self.messages[: place()]

    def wait_closed(self, timeout=10) -> int | None:
        """Waits until the connection has ended and returns the close code."""
        self._clients.wait_for(lambda: not self.open, timeout, lambda: f"{self.url} closed")
        return self.close_code

    def clear(self):
        self.messages, self.times = [], []


class Clients(Listener):
    def __init__(self):
        super().__init__()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="clients", daemon=True)
        self._tasks: list[asyncio.Task] = []
        self.sockets: list[Socket] = []
        self.heard = 0  # messages at all sockets together

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def open(self, *urls, count=1, timeout=30, at_once=32, **handshake) -> list[Socket]:
        """Opens count sockets to each url and returns them all, in order. For the handshake options see _connect."""
        return self._run(self._open([url for url in urls for _ in range(count)], at_once, handshake), timeout)

    def status(self, url, **handshake) -> int:
        """The HTTP status of the handshake's response: 101 is success."""
        return self._run(self._status(url, handshake))

    def quiet(self, seconds=0.5, timeout=30):
        """Waits until no socket has received anything for so long. Only where there is no marker: prefer Socket.until."""
        deadline = time.monotonic() + timeout
        with self._news:
            while self._news.wait(seconds):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"still not quiet after {timeout:g} s")

    def _run(self, coroutine, timeout=30):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout)

    @staticmethod
    async def _connect(url, *, cookie=None, origin=ORIGIN, headers=None, open_timeout=20, tls=None):
        """origin=None sends no Origin. Pings are the server's: the client only answers them.

        tls: the ssl.SSLContext for a wss:// URL.
        """
        fields = dict(headers or {})
        if cookie:
            fields["Cookie"] = cookie
        return await connect(
            url, origin=origin, additional_headers=fields, open_timeout=open_timeout, ping_interval=None,
            compression=None, max_size=None, proxy=None, user_agent_header="tocsin-tests", close_timeout=2,
            ssl=tls,
        )  # fmt: skip

    async def _open(self, urls, at_once, handshake):
        gate = asyncio.Semaphore(at_once)

        async def one(url):
            async with gate:
                return Socket(self, url, await self._connect(url, **handshake))

        sockets = await asyncio.gather(*map(one, urls))
        self.sockets += sockets
        self._tasks += [asyncio.create_task(self._listen(each)) for each in sockets]
        return sockets

    async def _status(self, url, handshake):
        try:
            connection = await self._connect(url, **handshake)
        except InvalidStatus as refusal:
            return refusal.response.status_code
        await connection.close()
        return 101

    async def _listen(self, one: Socket):
        try:
            while True:
                message = await one._connection.recv()
                with self._hearing():
                    one.messages.append(message)
                    one.times.append(time.monotonic())
                    self.heard += 1
        except ConnectionClosed as end:
            with self._hearing():
                # 1006 where no close frame came, as in a browser.
                one.close_code = end.rcvd.code if end.rcvd else 1006
                one.close_reason = end.rcvd.reason if end.rcvd else ""
                one.closed_at = time.monotonic()

    async def _end(self):
        for task in self._tasks:
            task.cancel()
        for one in self.sockets:
            one._connection.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def exactly(text: str):
    """Parses JSON without losing anything it can express: key order, 12 and 12.0, -0.0, big integers."""
    return json.loads(
        text,
        object_pairs_hook=lambda pairs: ("object", tuple(pairs)),
        parse_int=lambda digits: ("int", int(digits)),
        parse_float=lambda digits: ("float", repr(float(digits))),
    )


class RawSocket:
    """A WebSocket by hand, for frames that no well-behaved client sends."""

    def __init__(self, port, path, origin=ORIGIN, headers=()):
        self.tcp = socket.create_connection(("127.0.0.1", port), 5)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Upgrade: websocket", "Connection: Upgrade",
                 f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", f"Origin: {origin}", *headers]  # fmt: skip
        self.tcp.sendall("\r\n".join([*lines, "", ""]).encode())
        self._buffer = b""
        head = self._read_head()
        self.status = int(head.split(b" ", 2)[1])

    def _read_head(self):
        while b"\r\n\r\n" not in self._buffer:
            data = self.tcp.recv(65536)
            if not data:
                raise ConnectionError(f"the handshake was not answered: {self._buffer!r}")
            self._buffer += data
        head, self._buffer = self._buffer.split(b"\r\n\r\n", 1)
        return head

    def send(self, data: bytes):
        self.tcp.sendall(data)

    def frame(self) -> tuple[int, bytes] | None:
        """The next frame, (opcode, payload); None at the end of the stream."""
        header = self._take(2)
        if header is None:
            return None
        length = header[1] & 127
        if length == 126:
            length = struct.unpack(">H", self._take(2))[0]
        elif length == 127:
            length = struct.unpack(">Q", self._take(8))[0]
        return header[0] & 15, self._take(length)

    def _take(self, count):
        while len(self._buffer) < count:
            try:
                data = self.tcp.recv(65536)
            except ConnectionResetError:
                return None
            if not data:
                return None
            self._buffer += data
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken

    def close_code(self, timeout=10) -> int | None:
        """Reads up to the close frame and returns its code. None when the stream ends without one."""
        self.tcp.settimeout(timeout)
        while (frame := self.frame()) is not None:
            opcode, payload = frame
            if opcode == 8:
                return struct.unpack(">H", payload[:2])[0] if payload else 1005
        return None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.tcp.close()


def frame(opcode, payload=b"", fin=True, masked=True, rsv=0, length=None) -> bytes:
    """One frame, valid or not. length: the length claimed in the header, if not the true one."""
    claimed = len(payload) if length is None else length
    first = (0x80 if fin else 0) | (rsv << 4) | opcode
    mask = 0x80 if masked else 0
    if claimed < 126:
        header = struct.pack(">BB", first, mask | claimed)
    elif claimed < 65536:
        header = struct.pack(">BBH", first, mask | 126, claimed)
    else:
        header = struct.pack(">BBQ", first, mask | 127, claimed)
    if not masked:
        return header + payload
    key = os.urandom(4)
    return header + key + bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))
