"""Parses a stream of server-sent events. WHATWG HTML, "9.2.6 Interpreting an event stream".

Lines end with LF here: the gateway writes no others, and if it did, the clients' silence would reveal it.
"""


class Stream:
    """feed() bytes as they arrive; it calls the functions passed to it.

    message(data, id)   an event without a name; id is None where the block has none
    event(name, data)   one with a name
    cursor(id)          a block that has an id and no data
    retry(milliseconds)
    """

    def __init__(self, message, event, cursor, retry):
        self._message, self._event, self._cursor, self._retry = message, event, cursor, retry
        self._rest = b""

    def feed(self, data: bytes):
        blocks = (self._rest + data).split(b"\n\n")
        self._rest = blocks.pop()
        for block in blocks:
            self._block(block)

    def _block(self, block: bytes):
        id = data = name = None
        for line in block.split(b"\n"):
            key, _, value = line.partition(b": ")
            if key == b"data":
                data = value
            elif key == b"id":
                id = value.decode()
            elif key == b"event":
                name = value.decode()
            elif key == b"retry":
                self._retry(int(value))
        if name is not None:
            self._event(name, data)
            if id is not None:
                self._cursor(id)
        elif data is not None:
            self._message(data, id)
        elif id is not None:
            self._cursor(id)


class Chunks:
    """Decodes HTTP/1.1 chunks in a body, which a proxy makes of a response without a length. RFC 9112, 7.1."""

    def __init__(self):
        self._rest = b""
        self._left = 0  # bytes of the chunk still to come, including its CRLF

    def feed(self, data: bytes) -> bytes:
        self._rest += data
        body = []
        while self._rest:
            if self._left:
                part = self._rest[: self._left]
                self._rest = self._rest[self._left :]
                body.append(part[: max(0, self._left - 2)])
                self._left -= len(part)
                continue
            size, found, rest = self._rest.partition(b"\r\n")
            if not found:
                break
            self._left, self._rest = int(size.split(b";")[0], 16) + 2, rest
        return b"".join(body)
