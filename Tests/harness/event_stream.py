"""Clients of server-sent events. Each reads in its own thread and parses as WHATWG HTML 9.2.6 prescribes for browsers.

with EventStreams() as streams:
    stream = streams.open(gateway, "/ws/room")
    stream.until(marker)      the events before the one that contains marker
"""

import http.client
import socket
import threading
import time
from dataclasses import dataclass

from .gateway import ORIGIN
from .waiting import Listener


@dataclass
class Event:
    """An event as a page's listener receives it. id: the stream's last event id at that time."""

    name: str
    data: str
    id: str


class EventStream(Listener):
    """One request. `status` and `headers` are set immediately; the rest follows while the thread reads."""

    def __init__(self, port, path, last_event_id=None, origin=ORIGIN, headers=None, receive_buffer=None, timeout=10):
        super().__init__()
        fields = {"Accept": "text/event-stream", "Cache-Control": "no-store", **(headers or {})}
        if origin:
            fields["Origin"] = origin
        if last_event_id is not None:
            fields["Last-Event-ID"] = last_event_id
        self.last_event_id = last_event_id or ""
        self.retry: int | None = None
        self.events: list[Event] = []
        self.blocks: list[list[str]] = []  # the lines of every block, events or not, as received
        self.comments: list[float] = []  # when each was received
        self.ended_at: float | None = None
        self._may_read = threading.Event()
        self._may_read.set()
        self._rest = b""
        self._tcp = socket.socket()
        if receive_buffer:
            self._tcp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._tcp.settimeout(timeout)
        self._tcp.connect(("127.0.0.1", port))
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.sock = self._tcp
        connection.request("GET", path, headers=fields)
        self._answer = connection.getresponse()
        self.status, self.headers = self._answer.status, self._answer.headers
        # Silence is not an error: a stream may be idle for long.
        self._tcp.settimeout(None)
        self._thread = threading.Thread(target=self._read, name=f"events {path}", daemon=True)
        self._thread.start()

    @property
    def open(self) -> bool:
        return self.ended_at is None

    @property
    def data(self) -> list[str]:
        """The data of every message, that is, of every event without a name."""
        return [event.data for event in self.events if event.name == "message"]

    def pause(self):
        """Stops reading: the server's output fills the socket buffers, then the server's own buffer."""
        self._may_read.clear()

    def resume(self):
        self._may_read.set()

    def close(self):
        self.resume()
        try:
            self._tcp.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the server closed first
        self._thread.join()
        self._answer.close()  # and the socket, which the connection has handed over to it

    # Waiting

    def wait(self, count, timeout=10) -> list[Event]:
        """Waits for count events and returns the first count."""
        self.wait_for(lambda: len(self.events) >= count, timeout, lambda: f"{count} events, has {self.events[-5:]}")
        return self.events[:count]

    def until(self, marker: str, timeout=10) -> list[Event]:
        """Waits for an event whose data contains marker and returns all events before it."""

        def place():
            return next((i for i, event in enumerate(self.events) if marker in event.data), None)

        self.wait_for(lambda: place() is not None, timeout, lambda: f"the marker {marker}, has {self.events[-5:]}")
        return self.events[: place()]

    def wait_begun(self, timeout=10) -> str:
        """Waits for and returns the cursor with which the stream begins: every later message is received."""
        self.wait_for(lambda: any(block[0].startswith("id:") for block in self.blocks if block), timeout)
        return self.last_event_id

    def wait_ended(self, timeout=10):
        self.wait_for(lambda: not self.open, timeout, lambda: "the end of the stream")

    # Reading

    def _read(self):
        try:
            while self._may_read.wait() and (data := self._answer.read1(65536)):
                with self._hearing():
                    self._feed(data)
        except (OSError, ValueError, http.client.HTTPException):
            pass  # a reset ends the stream just as an orderly end does
        with self._hearing():
            self.ended_at = time.monotonic()

    def _feed(self, data: bytes):
        blocks = (self._rest + data).split(b"\n\n")
        self._rest = blocks.pop()
        for block in blocks:
            self._block(block.decode("utf-8").split("\n"))

    def _block(self, lines: list[str]):
        self.blocks.append(lines)
        name, data = "message", []
        for line in lines:
            assert "\r" not in line, f"a carriage return ends a line too: {line!r}"
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if line.startswith(":"):
                self.comments.append(time.monotonic())
            elif field == "event":
                name = value
            elif field == "data":
                data.append(value)
            elif field == "id" and "\0" not in value:
                self.last_event_id = value
            elif field == "retry" and value.isdecimal():
                self.retry = int(value)
        if data:
            self.events.append(Event(name, "\n".join(data), self.last_event_id))


class EventStreams:
    """Opens streams and closes them all at the end."""

    def __init__(self):
        self.streams: list[EventStream] = []

    def open(self, server, path, **options) -> EventStream:
        """server: a gateway, or a proxy in front of gateways. An accepted stream has begun when this returns."""
        stream = EventStream(server.port, path, **options)
        self.streams.append(stream)
        if stream.status == 200:
            stream.wait_begun()
        return stream

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for stream in self.streams:
            stream.close()
