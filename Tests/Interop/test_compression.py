"""permessage-deflate with another implementation of it: the websockets library."""

import json
import time

import pytest
from harness.gateway import ORIGIN, Gateway, config
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, PerMessageDeflate
from websockets.sync.client import connect

LONG = json.dumps({"text": "all the bells " * 200})


@pytest.fixture(scope="module")
def gateway(redis_server):
    settings = config(
        gateway={"compression": {"enabled": True, "threshold": 100}},
        routes=[
            {"path": "/ws/{room}", "groups": ["{room}"]},
            {"path": "/mirror", "groups": ["mirror"], "receive": "mirror"},
        ],
    )
    with Gateway(redis_server.url, "squeeze", settings) as gateway:
        yield gateway


def extension(socket):
    (negotiated,) = socket.protocol.extensions
    assert isinstance(negotiated, PerMessageDeflate)
    return negotiated


def test_what_is_sent_comes_back(gateway):
    with connect(gateway.url("/mirror"), origin=ORIGIN) as socket:
        assert extension(socket).remote_no_context_takeover and extension(socket).local_no_context_takeover
        for text in ["", "short", LONG, "aë€𝄞" * 1000, LONG]:
            socket.send(text)
            assert socket.recv(timeout=10) == text
        socket.send([LONG[:100], LONG[100:101], LONG[101:]])  # fragments
        assert socket.recv(timeout=10) == LONG
        socket.send(bytes(range(256)) * 20)
        assert socket.recv(timeout=10) == bytes(range(256)) * 20


@pytest.mark.parametrize("bits, answered", [(9, 9), (12, 9), (15, 15)])
def test_a_client_with_a_small_window_gets_what_fits_into_it(gateway, redis, bits, answered):
    offer = ClientPerMessageDeflateFactory(server_max_window_bits=bits, client_max_window_bits=True)
    with connect(gateway.url("/ws/small"), origin=ORIGIN, extensions=[offer], compression=None) as socket:
        assert extension(socket).remote_max_window_bits == answered
        for number in range(20):
            message = json.dumps({"n": number, "text": LONG})
            redis.fcall("group_send", 1, "asgi:group:small", message)
            assert socket.recv(timeout=10) == message


def test_a_bomb_closes_its_own_connection_with_1009(gateway):
    with connect(gateway.url("/mirror"), origin=ORIGIN) as bomber, connect(gateway.url("/mirror"), origin=ORIGIN) as other:
        began = time.monotonic()
        bomber.send("\0" * (32 << 20))  # 32 KiB on the wire
        with pytest.raises(Exception) as ended:
            bomber.recv(timeout=10)
        assert ended.value.rcvd.code == 1009
        assert time.monotonic() - began < 10
        other.send(LONG)
        assert other.recv(timeout=10) == LONG
