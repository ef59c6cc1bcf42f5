"""Clients that break the rules: hand-written requests and frames, and the responses to them.

Their secrets (cookies, tokens, payloads) contain a mark, which must not appear in any log, metric or response (checked by
site.py).
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
    """The bytes of a handshake: the usual fields, some changed (Sec_WebSocket_Key="…") or omitted, and additional lines."""
    named = UPGRADE | {name.replace("_", "-"): value for name, value in fields.items()}
    head = [request_line or f"GET {path} HTTP/1.1"]
    head += [f"{name}: {value}" for name, value in named.items() if name not in without]
    return "\r\n".join([*head, *lines, "", ""]).encode("utf-8", "surrogateescape")


@dataclass
class Reply:
    """Everything received until the other side ended the connection, or the response was complete."""

    raw: bytes
    ended: bool  # by the other side

    @property
    def status(self) -> int | None:
        """None: the connection ended without a response."""
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
        """The number of responses: a smuggled second request would have its own."""
        return self.raw.count(b"HTTP/1.1 ")


def connect(port, source=None, timeout=10) -> socket.socket:
    """source: the address to connect from."""
    tcp = socket.socket()
    tcp.settimeout(timeout)
    if source:
        # Choose the port only when the destination is known: then one address has 28,000 for each server.
        tcp.setsockopt(socket.IPPROTO_IP, getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24), 1)
        tcp.bind((source, 0))
    tcp.connect(("127.0.0.1", port))
    return tcp


def ask(port, data: bytes, source=None, timeout=10) -> Reply:
    """Sends a request, however much of it is accepted, and reads the response to its end."""
    with connect(port, source, timeout) as tcp:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            tcp.sendall(data)  # an early refusal may come before everything was sent
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
    """101, or a stream that continues: there is no end to wait for."""
    head, found, _ = raw.partition(b"\r\n\r\n")
    return bool(found) and (head.startswith(b"HTTP/1.1 101 ") or b"text/event-stream" in head)


def first_status(port, data) -> int:
    """The first response only: a proxy may keep the connection open."""
    with connect(port) as tcp:
        tcp.sendall(data)
        raw = b""
        while b"\r\n" not in raw and (part := tcp.recv(65536)):
            raw += part
    return int(raw.split(b" ", 2)[1])


class BadSocket(RawSocket):
    """An accepted WebSocket of a client that is about to misbehave."""

    def __init__(self, port, path, *lines: str, source=None, **fields):
        self.tcp = connect(port, source)
        self.tcp.sendall(handshake(path, *lines, **fields))
        self._buffer = b""
        self.head = self._read_head()
        self.status = int(self.head.split(b" ", 2)[1])
        assert self.status == 101, self.head
        self.reason = ""

    def end(self) -> tuple[int | None, str]:
        """Reads up to the close frame: its code and reason. (None, "") when the stream ends without one."""
        while (frame := self.frame()) is not None:
            opcode, payload = frame
            if opcode == 8:
                code = struct.unpack(">H", payload[:2])[0] if payload else 1005
                return code, payload[2:].decode()
        return None, ""

    def flood(self, data: bytes):
        """Sends data that the gateway may stop accepting."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.tcp.sendall(data)
