"""Parses a server's WebSocket frames (RFC 6455 section 5): only those that a gateway writes."""

import struct

TEXT, CLOSE, PING = 1, 8, 9


class Frames:
    """feed() bytes as they arrive; it calls text(data) for each message and ping(payload) for each ping.

    A close frame is ignored, because the end of the connection follows it.
    """

    def __init__(self, text, ping):
        self._text, self._ping = text, ping
        self._rest = b""

    def feed(self, data: bytes):
        self._rest += data
        while len(self._rest) >= 2:
            first, length = self._rest[0], self._rest[1]
            start = 2
            if length == 126:
                start = 4
                length = struct.unpack(">H", self._rest[2:4])[0] if len(self._rest) >= start else 1 << 63
            elif length == 127:
                start = 10
                length = struct.unpack(">Q", self._rest[2:10])[0] if len(self._rest) >= start else 1 << 63
            if len(self._rest) < start + length:
                return
            payload, self._rest = self._rest[start : start + length], self._rest[start + length :]
            # Servers do not mask and this one does not fragment: anything else would be an error of the gateway.
            if first == 0x80 | TEXT:
                self._text(payload)
            elif first == 0x80 | PING:
                self._ping(payload)
            elif first != 0x80 | CLOSE:
                raise ValueError(f"a frame that begins with {first:#x}")


def pong(payload: bytes) -> bytes:
    """A client's answer to a ping, with a mask of zeros."""
    return bytes([0x8A, 0x80 | len(payload)]) + bytes(4) + payload
