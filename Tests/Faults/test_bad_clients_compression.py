"""permessage-deflate, offered wrongly, used as a bomb, and used to guess secrets: S25 to S27."""

import struct
import time
import zlib

import pytest
from harness.clients import frame
from harness.gateway import Gateway, config

from .bench.bad_client import ask, handshake
from .bench.memory import processor, resident

pytestmark = pytest.mark.quick

CONTINUATION, TEXT = 0, 1
OFFER = "Sec-WebSocket-Extensions: permessage-deflate"
COMPRESSED = 4  # RSV1
LARGEST = 65536  # gateway.max_message_bytes, after inflation too
# The gateway's response to an offer that it accepts.
WITHOUT_CONTEXT = "server_no_context_takeover; client_no_context_takeover"


def deflated(data: bytes, level=9) -> bytes:
    """As in RFC 7692 section 7.2.1: without the empty block at the end."""
    compressor = zlib.compressobj(level, zlib.DEFLATED, -15)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


DECLINED = {
    "a window of 7 bits": "; server_max_window_bits=7",
    "a window of 16 bits": "; server_max_window_bits=16",
    "a window of 8 bits, which zlib cannot": "; server_max_window_bits=8",
    "a window of 09 bits": "; server_max_window_bits=09",
    "a window without its size": "; server_max_window_bits",
    "a parameter twice": "; client_max_window_bits; client_max_window_bits",
    "a flag with a value": "; server_no_context_takeover=1",
    "a parameter nobody knows": "; window=12",
    "a thousand of them": "; window" + ", x" * 999,
}
MALFORMED = {"a parameter without a name": "; =15", "an offer cut short": ";", "a quote without an end": '; a="b'}


def test_s25_an_offer_that_cannot_be_taken_goes_without_compression(target, attack):
    def check(parameters):
        reply = target.handshake("/echo/bad", OFFER + parameters)
        assert reply.status == 101 and "sec-websocket-extensions" not in reply.headers

    attack(DECLINED, check)


def test_s25_an_offer_that_is_none_is_400(target, attack):
    def check(parameters):
        assert target.handshake("/echo/bad", OFFER + parameters).status in (400, 101)

    attack(MALFORMED, check)


def test_s25_a_thousand_offers_cost_less_than_a_millisecond(target):
    """8 KiB of unacceptable offers: the time of the whole handshake, including what the gateway does for others meanwhile."""
    offers = f"{OFFER}; a" + ", permessage-deflate; b" * 350
    data = handshake("/ws/bad", offers, without=("Cookie",))
    assert len(data) > 8000
    before, rounds = processor(target.pid), 200
    for _ in range(rounds):
        assert target.ask(data).status == 101
    assert (processor(target.pid) - before) / rounds < 0.002


def test_s26_a_bomb_closes_with_1009_and_takes_no_memory(target, attack):
    stored = b"".join(b"\x00" + struct.pack("<HH", 0, 0xFFFF) for _ in range(200))  # 1 KB of empty blocks
    bombs = {
        "60 KB of zeros' 60 MB": (deflated(b"\0" * (60 << 20)), 1009),
        "one byte more than allowed": (deflated(b"x" * (LARGEST + 1)), 1009),
        "a bomb inside of a bomb": (deflated(deflated(b"\0" * (60 << 20)) * 2), 1009),
        "not deflate": (b"\xff" * 100, 1007),
        "cut short": (deflated(b"hello" * 1000)[:-10], 1007),
        "a block of a kind that is none": (b"\x07", 1007),
        "a distance before the beginning": (b"\x4b\x04\x12\x00", 1007),
        "inflated to what is no UTF-8": (deflated(b"\xff\xfe"), 1007),
        "empty blocks, then none": (stored + b"\x07", 1007),
    }
    before = resident(target.pid)

    def check(bomb):
        data, code = bomb
        with target.socket("/mirror/bad", OFFER) as bad:
            bad.flood(data)
            assert bad.end()[0] == code

    attack({name: (frame(TEXT, data, rsv=COMPRESSED), code) for name, (data, code) in bombs.items()}, check)
    # An event loop keeps one window for all of its clients, which may hold the largest allowed message.
    assert resident(target.pid) - before < 1 << 20


def test_s26_a_bomb_in_fragments_is_one_too(target, attack):
    data = deflated(b"\0" * (60 << 20))
    parts = [data[n : n + 4000] for n in range(0, len(data), 4000)]
    frames = [frame(TEXT if n == 0 else CONTINUATION, part, fin=n == len(parts) - 1, rsv=COMPRESSED if n == 0 else 0)
              for n, part in enumerate(parts)]  # fmt: skip

    def action():
        with target.socket("/mirror/bad", OFFER) as bad:
            bad.flood(b"".join(frames))
            assert bad.end()[0] == 1009

    attack.once(action)


def test_s27_compression_is_off_unless_it_is_switched_on(target):
    with Gateway(target.redis.url, "plain", config()) as gateway:
        assert "sec-websocket-extensions" not in ask(gateway.port, handshake("/ws/a", OFFER)).headers


def test_s27_where_it_is_on_no_message_is_compressed_with_what_another_said(target):
    """Each message by itself, in both directions, so that no guess makes another's secret shorter. An echo contains only itself."""
    for wish in "", "; client_max_window_bits", "; server_no_context_takeover":
        extensions = target.handshake("/echo/bad", OFFER + wish).headers["sec-websocket-extensions"]
        assert extensions.startswith(f"permessage-deflate; {WITHOUT_CONTEXT}"), extensions
    secret, lengths = "0123456789abcdef" * 20, []
    with target.socket("/mirror/guess", OFFER) as client:
        for _ in range(3):
            client.send(frame(TEXT, secret.encode()))
            lengths.append(len(client.frame()[1]))
    assert len(set(lengths)) == 1, "the second time it was found in the first"
