"""Consumers of Django's pub/sub layer share their channel with gateways and anybody else who subscribes to it.

A process of that layer can read nothing but its serializer, so what is published changes as soon as there is one: gateways
get the message as it was sent on a channel of their own, and everybody else a copy with a marked stamp.
"""

import contextlib
import json

import msgpack
import pytest

from harness.consumers import CoreLayer
from harness.names import STAMP, live_channel

EVENT = {"type": "receive", "balance": 3.5}
TEXT = json.dumps(EVENT)
CHANNEL = "asgispecific." + "a" * 32


@pytest.fixture
def layer(redis, server):
    """The library is fresh, before and after: it remembers a channel of a pub/sub layer."""
    server.load_library()
    yield CoreLayer(redis)
    server.load_library()


@pytest.fixture
def subscribe(server, redis):
    """subscribe(channel, …) → a function that gives what has come since the last call: (channel, bytes) pairs"""
    with contextlib.ExitStack() as stack:

        def subscribe(*channels):
            pubsub = stack.enter_context(server.client(db=0).pubsub())
            pubsub.subscribe(*channels)
            for _ in channels:
                assert pubsub.get_message(timeout=5)["type"] == "subscribe"

            def take():
                pubsub.ping()
                came = []
                while (message := pubsub.get_message(timeout=5))["type"] != "pong":
                    came.append((message["channel"].decode(), message["data"]))
                return came

            return take

        yield subscribe


@pytest.fixture
def gateway(subscribe):
    """What a gateway hears of the group: each in one command subscribes to both."""
    return subscribe(live_channel("g"), "asgi__gateways__g")


@pytest.fixture
def django(subscribe):
    """What a process of the pub/sub layer hears, which has one consumer."""
    return subscribe(CHANNEL, live_channel("g"))


def position(redis):
    m = redis.hgetall("tocsin:pos:g")
    return b"%s.%s:%s" % (m[b"epoch"], m[b"history"], m[b"offset"])


def stamped(redis, suffix=b""):
    return b'{"%s":"%s%s",' % (STAMP.encode(), position(redis), suffix) + TEXT[1:].encode()


def marked(redis, suffix=" copy", event=EVENT):
    return {STAMP: position(redis).decode() + suffix, **event}


def test_a_plain_subscriber_keeps_the_bytes_as_they_were_sent(redis, layer, gateway, subscribe):
    plain = subscribe(live_channel("g"))
    assert layer.send(TEXT) == [2]
    assert plain() == gateway() == [(live_channel("g"), stamped(redis))]
    packed = msgpack.packb(EVENT)
    assert layer.send(packed) == [2]
    assert [msgpack.unpackb(data) for _, data in plain()] == [{STAMP: position(redis).decode(), **EVENT}]


def test_beside_django_gateways_have_the_original_and_django_a_marked_copy(redis, layer, gateway, django):
    assert layer.send(TEXT) == [1, 1, 0]
    copy = msgpack.packb(marked(redis))
    assert django() == [(live_channel("g"), copy)]
    assert gateway() == [("asgi__gateways__g", stamped(redis)), (live_channel("g"), copy)]


def test_django_alone_is_told_too(redis, layer, django):
    assert layer.send(TEXT) == [0, 1, 0]
    assert msgpack.unpackb(django()[0][1]) == marked(redis)


def test_a_copy_of_msgpack_keeps_its_bytes_behind_the_stamp(redis, layer, gateway, django):
    packed = b"\xde\x00\x02\xd9\x01x\xc4\x01y\xa4type\xd9\x07receive"
    assert layer.send(packed) == [1, 1, 0]
    copy = b"\x83" + msgpack.packb(STAMP) + msgpack.packb(position(redis).decode() + " copy") + packed[3:]
    assert django() == [(live_channel("g"), copy)]


def test_processes_are_counted_and_not_their_consumers(layer, gateway, django, subscribe):
    subscribe(*(f"asgispecific.{number:032x}" for number in range(5)), live_channel("g"))
    subscribe("asgispecific." + "f" * 32)  # of another group
    assert layer.send(TEXT) == [1, 2, 0]


def test_without_a_type_gateways_have_it_and_django_hears_nothing(redis, layer, gateway, django):
    assert layer.send('{"balance":1}') == [1, 0, 1]
    assert django() == []
    assert [channel for channel, _ in gateway()] == ["asgi__gateways__g"]


def test_a_message_that_is_not_logged_says_so_in_both(redis, layer, gateway, django):
    assert layer.send(TEXT, "SIZE", 0) == [1, 1, 0]
    assert msgpack.unpackb(django()[0][1]) == marked(redis, " live copy")
    assert gateway()[0][1] == stamped(redis, b" live")


def test_a_layer_in_json_has_json(redis, layer, gateway, django):
    layer.configure(serializer="json")
    for message in TEXT, msgpack.packb(EVENT):
        assert layer.send(message) == [1, 1, 0]
        assert json.loads(django()[0][1]) == marked(redis)


def test_consumers_of_both_layers_are_counted_together(redis, layer, gateway, django):
    layer.join("specific.core!1", "specific.core!2")
    assert layer.send(TEXT) == [1, 3, 0]
    assert layer.send("{}") == [1, 0, 3]
    assert len(django()) == redis.zcard("asgispecific.core!") == 1


def test_a_prefix_with_characters_of_patterns_finds_its_own_processes_alone(redis, server, subscribe):
    server.load_library()
    layer = CoreLayer(redis, "a*[b]?")
    theirs = subscribe("a*[b]?specific.1", "a*[b]?__group__g")
    assert layer.send(TEXT) == [0, 1, 0]
    assert msgpack.unpackb(theirs()[0][1])["type"] == "receive"
    server.load_library()
    layer = CoreLayer(redis, "a*")
    other = subscribe("a*__group__g")
    assert layer.send(TEXT) == [1], "a plain subscriber: the processes are of another prefix"
    assert other()[0][1].endswith(TEXT[1:].encode())


def test_one_consumer_is_published_its_message_without_an_address(redis, layer, django):
    assert redis.fcall("channel_send", 1, f"asgi:channel:{CHANNEL}", TEXT) == 1
    assert django() == [(CHANNEL, msgpack.packb(EVENT))]
    assert redis.keys("asgi*") == []


def test_a_hundred_messages_keep_their_order_in_both_channels(layer, gateway, django):
    for number in range(100):
        layer.send(json.dumps({"type": "receive", "n": number}))
    assert [msgpack.unpackb(data)["n"] for _, data in django()] == list(range(100))
    heard = [data for channel, data in gateway() if channel == "asgi__gateways__g"]
    assert [json.loads(data)["n"] for data in heard] == list(range(100))


def test_a_repeated_key_tells_nobody_again(layer, gateway, django):
    for _ in range(2):
        assert layer.send(TEXT, "KEY", "k") == [1, 1, 0], "the first answer, also the second time"
    assert len(django()) == 1 and len(gateway()) == 2
