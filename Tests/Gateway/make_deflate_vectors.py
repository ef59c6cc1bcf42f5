"""Writes Compression/DeflateVectors.swift: messages compressed by Python's zlib for permessage-deflate.

    python3 Tests/Gateway/make_deflate_vectors.py

A different zlib may produce different bytes for the same message; the tests only inflate them.
"""

import random
import zlib
from pathlib import Path

TAIL = b"\x00\x00\xff\xff"
source = random.Random(7692)

MESSAGES = {
    "empty": b"",
    "Hello": b"Hello",
    "characters of one to four bytes": "aë€𝄞".encode() * 20,
    "an object": b'{"type":"balance","user":42,"amount":"12.50","currency":"EUR"}' * 4,
    "zeros": bytes(300),
    "random bytes": source.randbytes(100),
    "words": b" ".join(source.choice([b"tocsin", b"rings", b"for", b"every", b"client"]) for _ in range(60)),
}


def sync(message, level=6, window=15, strategy=zlib.Z_DEFAULT_STRATEGY):
    """RFC 7692 section 7.2.1: flushed to a byte boundary, without the last four bytes."""
    stream = zlib.compressobj(level, zlib.DEFLATED, -window, 8, strategy)
    data = stream.compress(message) + stream.flush(zlib.Z_SYNC_FLUSH)
    assert data.endswith(TAIL)
    return data[:-4]


def finished(message):
    """Section 7.2.3.4: the last block is marked as the last one, and a zero byte follows."""
    stream = zlib.compressobj(6, zlib.DEFLATED, -15)
    return stream.compress(message) + stream.flush(zlib.Z_FINISH) + b"\x00"


def blocks(message, count=5):
    """Section 7.2.3.5: several blocks, flushed one by one."""
    stream = zlib.compressobj(6, zlib.DEFLATED, -15)
    size = len(message) // count + 1
    data = b"".join(
        stream.compress(message[at : at + size]) + stream.flush(zlib.Z_SYNC_FLUSH) for at in range(0, max(len(message), 1), size)
    )
    return data[:-4]


WAYS = {
    "level 1": lambda message: sync(message, level=1),
    "level 9": lambda message: sync(message, level=9),
    "stored": lambda message: sync(message, level=0),
    "window 9": lambda message: sync(message, window=9),
    "fixed codes": lambda message: sync(message, strategy=zlib.Z_FIXED),
    "Huffman only": lambda message: sync(message, strategy=zlib.Z_HUFFMAN_ONLY),
    "last block": finished,
    "several blocks": blocks,
}


def main():
    lines = [
        "// Written by make_deflate_vectors.py: do not edit.",
        "",
        "/// Messages and what Python's zlib makes of them, in hexadecimal digits.",
        "enum DeflateVectors {",
        "    static let all: [(message: String, name: String, compressed: [(way: String, payload: String)])] = [",
    ]
    for name, message in MESSAGES.items():
        assert all(zlib.decompressobj(-15).decompress(way(message) + TAIL) == message for way in WAYS.values())
        digits = message.hex()
        lines.append(f'        ("{digits}", "{name}", [')
        lines += [f'            ("{way}", "{make(message).hex()}"),' for way, make in WAYS.items()]
        lines.append("        ]),")
    lines += ["    ]", "}", ""]
    (Path(__file__).parent / "Compression" / "DeflateVectors.swift").write_text("\n".join(lines))


main()
