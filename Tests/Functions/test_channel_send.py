"""channel_send: one channel of Django's layer, general or of one consumer, or of a gateway's connection."""

import json

import msgpack
import pytest
from redis.exceptions import ResponseError

from harness.consumers import ADDRESS, CoreLayer, consumer, inbox

EVENT = {"type": "x.y", "n": 1}
TEXT = json.dumps(EVENT)


@pytest.fixture
def layer(redis):
    return CoreLayer(redis)


@pytest.fixture
def channel_send(redis):
    return lambda name, message=TEXT, prefix="asgi": redis.fcall("channel_send", 1, f"{prefix}:channel:{name}", message)


def test_a_worker_s_channel_has_no_address_and_expires(redis, channel_send):
    assert channel_send("tasks") == 1
    (entry,) = redis.zrange("asgitasks", 0, -1)
    assert entry[12:] == msgpack.packb(EVENT)
    assert 59 <= redis.ttl("asgitasks") <= 60


def test_a_consumer_s_message_names_it_alone(layer, channel_send):
    assert channel_send(consumer(3)) == 1
    assert layer.in_inbox() == [msgpack.packb({**EVENT, ADDRESS: consumer(3)})]


def test_another_prefix_and_json(redis, channel_send):
    layer = CoreLayer(redis, "shop")
    layer.configure(serializer="json")
    assert channel_send(consumer(), msgpack.packb(EVENT), "shop") == 1
    assert layer.in_inbox() == [json.dumps({**EVENT, ADDRESS: consumer()}).encode()]


def test_messages_are_in_the_order_of_their_sending_and_equal_ones_are_not_one(redis, channel_send):
    for number in range(50):
        channel_send("tasks", json.dumps({"type": "t", "n": number // 2}))
    numbers = [msgpack.unpackb(entry[12:])["n"] for entry in redis.zrange("asgitasks", 0, -1)]
    assert numbers == [number // 2 for number in range(50)]


@pytest.mark.parametrize("name", ["tasks", consumer()])
def test_a_full_channel_is_an_error_and_changes_nothing(redis, layer, channel_send, name):
    layer.configure(capacity=2)
    channel_send(name), channel_send(name)
    key = "asgitasks" if name == "tasks" else inbox()
    before = redis.zrange(key, 0, -1)
    with pytest.raises(ResponseError, match="^CHANNELFULL tocsin: "):
        channel_send(name)
    assert redis.zrange(key, 0, -1) == before


def test_a_full_list_is_an_error_too(redis, channel_send):
    redis.rpush("asgi:tasks", *[b"x"] * 100)
    with pytest.raises(ResponseError, match="^CHANNELFULL tocsin: "):
        channel_send("tasks", prefix="asgi:")
    assert redis.llen("asgi:tasks") == 100


def test_a_key_of_another_type_is_an_error(redis, channel_send):
    redis.set("asgitasks", "somebody's")
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        channel_send("tasks")
    assert redis.get("asgitasks") == b"somebody's"


BAD_NAMES = ["", "!", "!a", "a b", "a!b!c", "ключ", "a:b", "a\n", "a/b", "x" * 100, "specific." + "x" * 80 + "!" + "y" * 10]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_no_channel_has_is_refused(redis, channel_send, name):
    with pytest.raises(ResponseError, match="tocsin: the key must be PREFIX:channel:NAME"):
        channel_send(name)
    assert redis.dbsize() == 0


def test_99_characters_are_a_name(channel_send):
    assert channel_send("x" * 99) == channel_send("specific." + "x" * 79 + "!" + "y" * 10) == 1


@pytest.mark.parametrize("keys", [(), ("asgi:channel:a", "asgi:channel:b"), ("asgi:group:a",), ("channel:a",)])
def test_one_key_of_a_channel_is_wanted(redis, keys):
    with pytest.raises(ResponseError, match="tocsin: the key must be PREFIX:channel:NAME"):
        redis.fcall("channel_send", len(keys), *keys, TEXT)


@pytest.mark.parametrize("message", ['{"n":1}', '{"type":"_x"}', '{"type":"x","n":18446744073709551616}', '{"type":5}'])
def test_what_is_no_message_for_a_consumer_is_refused(redis, channel_send, message):
    for name in "tasks", consumer():
        with pytest.raises(ResponseError, match='tocsin: a consumer wants a message with a "type"'):
            channel_send(name, message)
    assert redis.dbsize() == 0


@pytest.mark.parametrize("message", ["", "[]", "{", b"\x81\x05\x01"])
def test_what_is_no_message_at_all_is_refused(redis, channel_send, message):
    with pytest.raises(ResponseError, match="tocsin: the message"):
        channel_send("tasks", message)
    assert redis.dbsize() == 0


# A gateway's connection --------------------------------------------------------------------------------------------------


@pytest.fixture
def gateway(redis):
    redis.fcall("gateway_lease", 0, "asgi", "gw", 15, "0" * 16)


def test_a_gateway_s_connection_is_sent_any_message_as_it_is(redis, channel_send, gateway):
    for message in '{ }', '{"n":1.50e0,"x":"\\ud83d"}', msgpack.packb({"b": b"\0"}):
        channel_send("specific.gw!1", message)
    address = b'"__asgi_channel__": "specific.gw!1"}'
    assert [message[12:] for message in redis.fcall("gateway_collect", 1, "asgispecific.gw!", 10)] == [
        b"{ " + address,
        b'{"n":1.50e0,"x":"\\ud83d", ' + address,
        msgpack.packb({"b": b"\0", ADDRESS: "specific.gw!1"}),
    ]
    assert not redis.exists("asgispecific.gw!")


def test_collecting_takes_the_oldest_first_and_no_more_than_asked_or_a_mebibyte(redis, channel_send, gateway):
    for number in range(5):
        channel_send("specific.gw!1", json.dumps({"n": number}))

    def collect(limit):
        return [json.loads(message[12:])["n"] for message in redis.fcall("gateway_collect", 1, "asgispecific.gw!", limit)]

    assert (collect(2), collect(10), collect(10)) == ([0, 1], [2, 3, 4], [])
    for number in range(5):
        channel_send("specific.gw!1", json.dumps({"n": number, "x": "x" * 500_000}))
    assert (collect(10), collect(10)) == ([0, 1, 2], [3, 4]), "a mebibyte, and the message that exceeds it"


def test_when_the_gateway_is_gone_its_connection_is_a_consumer_like_any_other(channel_send):
    with pytest.raises(ResponseError, match="tocsin: a consumer wants"):
        channel_send("specific.gw!1", "{}")
