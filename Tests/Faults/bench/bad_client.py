"""Clients that do not keep to the rules: requests and frames written by hand, and what was answered to them.

What they bring along that nobody else may know (cookies, tokens, payloads) is marked: no log, metric and answer may show
the mark (site.py looks).
"""

import contextlib
import socket
import struct
from dataclasses import dataclass

from harness.clients import RawSocket
from harness.gateway import ORIGIN

MARK = "marked-7c1f"
COOKIE = f"sessionid={MARK}-cookie; theme=dark"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
UPGRADE = {
    "Host": "site.example", "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY, "Origin": ORIGIN, "Cookie": COOKIE,
}  # fmt: skip


def handshake(path="/ws/a", *lines: str, request_line=None, without=(), **fields) -> bytes:
    """A handshake's bytes: the usual fields, some of them otherwise (Sec_WebSocket_Key="…") or not there, and more lines."""
    named = UPGRADE | {name.replace("_", "-"): value for name, value in fields.items()}
    head = [request_line or f"GET {path} HTTP/1.1"]
    head += [f"{name}: {value}" for name, value in named.items() if name not in without]
    return "\r\n".join([*head, *lines, "", ""]).encode("utf-8", "surrogateescape")


@dataclass
class Reply:
    """Everything that came until the other side ended the connection, or there was a whole answer."""

    raw: bytes
    ended: bool  # by the other side

    @property
    def status(self) -> int | None:
        """None: it ended without a word."""
        return int(self.raw.split(b" ", 2)[1]) if self.raw.startswith(b"HTTP/1.1 ") else None

    @property
    def headers(self) -> dict[str, str]:
        lines = self.raw.split(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
        return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}

    @property
    def body(self) -> bytes:
        return self.raw.partition(b"\r\n\r\n")[2]

    @property
    def answers(self) -> int:
        """How many answers there are in it: a smuggled second request would have one of its own."""
        return self.raw.count(b"HTTP/1.1 ")


def connect(port, source=None, timeout=10) -> socket.socket:
    """source: the address to come from."""
    tcp = socket.socket()
    tcp.settimeout(timeout)
    if source:
        # The port is chosen when it is known where to: so one address has 28,000 for each server.
        tcp.setsockopt(socket.IPPROTO_IP, getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24), 1)
        tcp.bind((source, 0))
    tcp.connect(("127.0.0.1", port))
    return tcp


def ask(port, data: bytes, source=None, timeout=10) -> Reply:
    """Sends a request, however much of it is taken, and reads the answer to its end."""
    with connect(port, source, timeout) as tcp:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            tcp.sendall(data)  # who is refused early need not have sent all
        return read(tcp)


def read(tcp) -> Reply:
    raw = b""
    while not _is_switch(raw):
        try:
            part = tcp.recv(65536)
        except ConnectionResetError:
            part = b""
        if not part:
            return Reply(raw, ended=True)
        raw += part
    return Reply(raw, ended=False)


def _is_switch(raw: bytes) -> bool:
    """101, or a stream that goes on: there is no end to wait for."""
    head, found, _ = raw.partition(b"\r\n\r\n")
    return bool(found) and (head.startswith(b"HTTP/1.1 101 ") or b"text/event-stream" in head)


def first_status(port, data) -> int:
    """A proxy may go on with the connection: only the first answer is read."""
    with connect(port) as tcp:
        tcp.sendall(data)
        raw = b""
        while b"\r\n" not in raw and (part := tcp.recv(65536)):
            raw += part
    return int(raw.split(b" ", 2)[1])


class BadSocket(RawSocket):
    """A WebSocket that was let in, by a client that is about to misbehave."""

    def __init__(self, port, path, *lines: str, source=None, **fields):
        self.tcp = connect(port, source)
        self.tcp.sendall(handshake(path, *lines, **fields))
        self._buffer = b""
        self.head = self._read_head()
        self.status = int(self.head.split(b" ", 2)[1])
        assert self.status == 101, self.head
        self.reason = ""

    def end(self) -> tuple[int | None, str]:
        """Reads on to the close frame: its code and reason. (None, "") when the stream ends without one."""
        while (frame := self.frame()) is not None:
            opcode, payload = frame
            if opcode == 8:
                code = struct.unpack(">H", payload[:2])[0] if payload else 1005
                return code, payload[2:].decode()
        return None, ""

    def flood(self, data: bytes):
        """Sends what the gateway may stop to take."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.tcp.sendall(data)
