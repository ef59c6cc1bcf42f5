"""Frames that RFC 6455 forbids, and oversized messages: S14 to S20 and S23. The parser's own tests are in Swift
(Tests/Gateway/WebSocket) and in the Autobahn suite; here they arrive over a socket, at a gateway that has other work."""

import random
import socket
import struct

import pytest
from harness.clients import frame
from harness.waiting import wait_until

from .bench.memory import resident

pytestmark = pytest.mark.quick

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
LARGEST = 65536  # gateway.max_message_bytes


@pytest.fixture
def closes(target, attack):
    """closes(code, cases): each of these ends its own connection with the code, and is counted."""

    def all_of(code, cases):
        before = target.cut("protocol")

        def check(data):
            assert target.closed_by(data)[0] == code

        attack(cases, check)
        assert target.cut("protocol") >= before + len(cases)

    return all_of


def test_s14_an_unmasked_frame_closes_with_1002(closes):
    opcodes = {"a text": TEXT, "a binary": BINARY, "a ping": PING, "a close": CLOSE}
    closes(1002, {name: frame(opcode, b"hi", masked=False) for name, opcode in opcodes.items()})


def test_s15_reserved_bits_close_with_1002(closes):
    """RSV1 too: this client has not offered compression."""
    cases = {f"RSV {bits:03b}": frame(TEXT, b"hi", rsv=bits) for bits in range(1, 8)}
    cases["RSV1 on a continuation"] = frame(TEXT, b"a", fin=False) + frame(CONTINUATION, b"b", rsv=4)
    cases["RSV1 on a ping"] = frame(PING, rsv=4)
    closes(1002, cases)


def test_s16_opcodes_that_are_none_close_with_1002(closes):
    closes(1002, {f"opcode {opcode}": frame(opcode, b"hi") for opcode in (*range(3, 8), *range(11, 16))})


def close_frame(code, reason=b""):
    return frame(CLOSE, struct.pack(">H", code) + reason)


def test_s17_control_frames_that_are_none_close_with_1002(closes):
    cases = {f"code {code}": close_frame(code) for code in (0, 999, 1004, 1005, 1006, 1015, 1100, 2999, 5000, 65535)}
    cases |= {f"{name} in fragments": frame(opcode, b"hi", fin=False) for name, opcode in (("ping", PING), ("close", CLOSE))}
    cases |= {
        "a ping of 126 bytes": frame(PING, b"x" * 126),
        "a pong of 64 KiB": frame(PONG, b"x" * LARGEST),
        "a close of one byte": frame(CLOSE, b"\x03"),
    }
    closes(1002, cases)


def test_s17_a_closing_reason_that_is_no_utf_8_closes_with_1007(closes):
    closes(1007, {"a byte": close_frame(1000, b"\xff"), "cut short": close_frame(1000, "é".encode()[:1])})


def test_s17_closing_codes_that_may_be_sent_are_echoed(target):
    for code in (1000, 1001, 1003, 1011, 3000, 4401, 4999):
        assert target.closed_by(close_frame(code, b"bye"))[0] == code


def test_s18_what_is_too_large_closes_with_1009_at_its_announcement(target, closes):
    """Before a single byte of the message has arrived."""
    cases = {f"{length} bytes": frame(TEXT, length=length) for length in (LARGEST + 1, 33 << 20, 1 << 31, 1 << 62, 1 << 63)}
    before = resident(target.pid)
    closes(1009, cases)
    assert resident(target.pid) - before < 1 << 20
    closes(1009, {
        "in fragments": frame(TEXT, b"x" * 60_000, fin=False) + frame(CONTINUATION, length=6000),
        "all of it": frame(TEXT, b"x" * (LARGEST + 1)),
    })  # fmt: skip


def test_s18_a_message_of_the_largest_size_is_taken(target):
    with target.socket("/mirror/bad") as good:
        good.send(frame(TEXT, b"x" * LARGEST))
        assert good.frame() == (TEXT, b"x" * LARGEST)


NOT_UTF_8 = {
    "overlong": b"\xc0\xaf",
    "overlong, three bytes": b"\xe0\x80\xaf",
    "a surrogate": b"\xed\xa0\x80",
    "beyond U+10FFFF": b"\xf4\x90\x80\x80",
    "a byte that never occurs": b"\xfe",
    "a continuation first": b"\x80",
    "in a long text": b"x" * 5000 + b"\xff" + b"x" * 5000,
}


def test_s19_text_that_is_no_utf_8_closes_with_1007(closes):
    cases = {name: frame(TEXT, data) for name, data in NOT_UTF_8.items()}
    cases["cut short at the end"] = frame(TEXT, "é".encode()[:1])
    cases["split between fragments"] = frame(TEXT, b"\xe2", fin=False) + frame(CONTINUATION, b"\x28\xa1")
    closes(1007, cases)


def test_s19_it_is_closed_as_soon_as_that_can_be_told(closes):
    """The frame announces 100 bytes, and the second of them is already invalid."""
    closes(1007, {name: frame(TEXT, data, fin=False, length=100) for name, data in list(NOT_UTF_8.items())[:6]})


def test_s20_a_binary_frame_closes_with_1003_where_only_text_is_spoken(closes):
    closes(1003, {"some": frame(BINARY, b"hi"), "none": frame(BINARY), "much": frame(BINARY, b"x" * LARGEST)})


def test_s23_fragments_without_a_beginning_or_an_end_close_with_1002(closes):
    closes(1002, {
        "a continuation of nothing": frame(CONTINUATION, b"hi"),
        "a last one of nothing": frame(CONTINUATION, b"hi", fin=False),
        "a text inside a text": frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"),
        "a binary inside a text": frame(TEXT, b"a", fin=False) + frame(BINARY, b"b"),
        "a continuation after the end": frame(TEXT, b"a") + frame(CONTINUATION, b"b"),
    })  # fmt: skip


# And other bytes ------------------------------------------------------------------------------------------------------


def test_s48_random_bytes_end_that_connection_only(target, attack):
    """A few of those that the fuzzers try by the million (scripts/fuzz, Tests/Gateway/WebSocket/FrameFuzzTests.swift)."""
    source = random.Random(7)

    def action():
        with target.socket() as bad:
            bad.flood(source.randbytes(2000))
            bad.tcp.shutdown(socket.SHUT_WR)  # in case they are the beginning of something longer
            assert bad.end()[0] in (None, 1002, 1003, 1007, 1009)

    for _ in range(50):
        action()
    attack.once(action)


def test_who_vanishes_in_the_middle_of_a_frame_is_forgotten(target):
    for ending in "reset", "end":
        bad = target.socket("/ws/vanishing")
        bad.send(frame(TEXT, b"x" * 100)[:50])
        if ending == "reset":
            bad.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        bad.tcp.close()
    wait_until(lambda: target.store.hlen("tocsin:roster:vanishing") == 0, 10, "an empty roster")
