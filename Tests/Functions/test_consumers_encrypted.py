"""Consumers of an encrypted layer: Redis has no keys, so their copies wait in a stream until a gateway has encrypted them."""

import json
import time

import msgpack
import pytest

from harness.consumers import ADDRESS, CoreLayer, consumer, inbox
from harness.names import live_channel

EVENT = {"type": "receive", "balance": 3.5}
TEXT = json.dumps(EVENT)
OUTGOING = "tocsin:outgoing"
PUBSUB_CHANNEL = "asgispecific." + "e" * 32


@pytest.fixture
def layer(redis, server):
    server.load_library()
    layer = CoreLayer(redis)
    layer.configure(encrypted=True)
    return layer


@pytest.fixture
def collect(redis):
    """collect(limit) → [(id, copy), …], the oldest first"""
    return lambda limit=100: [tuple(entry) for entry in redis.fcall("outgoing_collect", 0, "asgi", limit)]


@pytest.fixture
def commit(redis):
    return lambda id, token: redis.fcall("outgoing_commit", 0, "asgi", id, token)


def copy_for(*members, event=EVENT):
    return msgpack.packb({**event, ADDRESS: list(members)})


def test_a_copy_waits_and_nothing_is_in_the_consumer_s_inbox(redis, layer, collect):
    layer.join(consumer(0), consumer(1), consumer(0, "b"))
    assert layer.send(TEXT) == [0, 3, 0], "told: handed over"
    assert [copy for _, copy in collect()] == [copy_for(consumer(0), consumer(1)), copy_for(consumer(0, "b"))]
    assert redis.keys("asgispecific.*") == []


def test_gateways_are_rung_once_for_a_message(layer, listen):
    bell = listen("!outgoing")
    layer.join(consumer(0), consumer(0, "b"))
    layer.send(TEXT)
    assert bell.take() == [b""]
    layer.send("{}")
    assert bell.take() == [], "nothing to encrypt"


def test_what_was_encrypted_comes_into_the_inbox_as_the_layer_has_it(redis, layer, collect, commit):
    layer.join(consumer())
    layer.send(TEXT)
    [(id, _)] = collect()
    assert commit(id, b"token") == 1
    assert layer.in_inbox() == [b"token"]
    assert 59 <= redis.ttl(inbox()) <= 60
    assert collect() == [] and redis.xlen(OUTGOING) == 0


def test_collecting_takes_nothing_away_and_gives_the_oldest_first(layer, collect):
    layer.join(consumer())
    for number in range(5):
        layer.send(json.dumps({"type": "receive", "n": number}))
    everything = collect()
    assert [msgpack.unpackb(copy)["n"] for _, copy in everything] == list(range(5))
    assert collect(2) == everything[:2] and collect() == everything


def test_a_collection_ends_after_a_mebibyte(layer, collect):
    layer.join(consumer())
    for _ in range(5):
        layer.send(json.dumps({"type": "receive", "x": "x" * 500_000}))
    assert len(collect()) == 3


def test_the_oldest_must_go_first_and_only_once(layer, collect, commit):
    layer.join(consumer())
    for number in range(3):
        layer.send(json.dumps({"type": "receive", "n": number}))
    first, second, third = [id for id, _ in collect()]
    assert commit(second, b"2") == commit(third, b"3") == -2
    assert layer.in_inbox() == []
    assert commit(first, b"1") == 1
    assert commit(first, b"1") == -1, "another gateway was faster"
    assert [commit(second, b"2"), commit(third, b"3")] == [1, 1]
    assert commit(second, b"2") == commit("99999999999999-0", b"x") == -1
    assert layer.in_inbox() == [b"1", b"2", b"3"]


def test_equal_tokens_of_one_millisecond_are_not_one(redis, layer, commit):
    for sequence in range(5):
        redis.xadd(OUTGOING, {"to": f"specific.{'a' * 32}!", "m": "x"}, f"{int(time.time()) * 1000}-{sequence}")
    for id, _ in redis.xrange(OUTGOING):
        assert commit(id, b"token") == 1
    assert layer.in_inbox() == [b"token"] * 5


@pytest.mark.parametrize("settings, seconds", [({}, 60), ({"expiry": 5}, 5)])
def test_what_the_layer_would_have_forgotten_is_dropped(redis, layer, collect, commit, settings, seconds):
    layer.configure(encrypted=True, **settings)
    now = time.time()
    old, young = (f"{int((now - age) * 1000)}-0" for age in (seconds + 2, seconds - 2))
    for id in old, young:
        redis.xadd(OUTGOING, {"to": f"specific.{'a' * 32}!", "m": "x"}, id)
    assert [id.decode() for id, _ in collect()] == [young]
    assert commit(old, b"x") == -1 and commit(young, b"x") == 1


def test_a_full_inbox_drops_its_copy_and_what_follows_is_not_held_up(redis, layer, collect, commit):
    redis.zadd(inbox("a"), {b"%012d" % number: time.time() for number in range(100)})
    layer.join(consumer(0, "a"), consumer(0, "b"))
    assert layer.send(TEXT) == [0, 2, 0]
    for id, _ in collect():
        assert commit(id, b"token") == 1
    assert redis.zcard(inbox("a")) == 100 and layer.in_inbox("b") == [b"token"]


def test_an_inbox_of_another_type_drops_its_copy_too(redis, layer, collect, commit):
    redis.set(inbox("a"), "somebody's")
    layer.join(consumer(0, "a"), consumer(0, "b"))
    layer.send(TEXT)
    assert [commit(id, b"token") for id, _ in collect()] == [1, 1]
    assert redis.get(inbox("a")) == b"somebody's" and layer.in_inbox("b") == [b"token"]


def test_lists_have_a_token_for_each_member(redis, layer, collect, commit):
    layer.configure(encrypted=True, layer="2")
    one, two = "specific.RGWtegoM!MVfUwIOghpEY", "specific.RGWtegoM!ImtLPRocyJtI"
    layer.join(one, two)
    assert layer.send(TEXT) == [0, 2, 0]
    assert {copy for _, copy in collect()} == {msgpack.packb({**EVENT, ADDRESS: member}) for member in (one, two)}
    for number, (id, _) in enumerate(collect()):
        commit(id, b"%d" % number)
    assert redis.lrange("asgispecific.RGWtegoM!", 0, -1) == [b"0", b"1"]


def test_what_no_consumer_can_be_sent_does_not_wait(redis, layer):
    layer.join(consumer(), consumer(1))
    assert layer.send('{"balance":1}') == [0, 0, 2]
    assert not redis.exists(OUTGOING)


def test_one_channel_waits_as_well(redis, layer, collect, commit):
    for name in "tasks", consumer():
        assert redis.fcall("channel_send", 1, f"asgi:channel:{name}", TEXT) == 1
    (task, plain), (one, addressed) = collect()
    assert plain == msgpack.packb(EVENT) and addressed == msgpack.packb({**EVENT, ADDRESS: consumer()})
    assert (commit(task, b"t"), commit(one, b"o")) == (1, 1)
    assert redis.zrange("asgitasks", 0, -1)[0][12:] == b"t" and layer.in_inbox() == [b"o"]


def test_a_gateway_s_connection_is_sent_its_message_in_clear_and_at_once(redis, layer):
    redis.fcall("gateway_lease", 0, "asgi", "gw", 15, "0" * 16)
    redis.fcall("channel_send", 1, "asgi:channel:specific.gw!1", TEXT)
    assert json.loads(redis.zrange("asgispecific.gw!", 0, -1)[0][12:]) == {**EVENT, ADDRESS: "specific.gw!1"}
    assert not redis.exists(OUTGOING)


@pytest.fixture
def pubsub(server, redis):
    """The channels of a process of the pub/sub layer."""
    with server.client().pubsub() as pubsub:
        pubsub.subscribe(PUBSUB_CHANNEL, live_channel("g"))
        assert all(pubsub.get_message(timeout=5)["type"] == "subscribe" for _ in range(2))
        yield pubsub
    server.load_library()  # it remembers a channel of a pub/sub layer


def test_copies_for_the_pub_sub_layer_are_published_when_they_are_encrypted(redis, layer, pubsub, collect, commit):
    assert layer.send(TEXT) == [0, 1, 0]
    redis.fcall("channel_send", 1, f"asgi:channel:{PUBSUB_CHANNEL}", TEXT)
    (group, copy), (one, plain) = collect()
    assert msgpack.unpackb(copy).items() > EVENT.items() and plain == msgpack.packb(EVENT)
    assert (commit(group, b"g"), commit(one, b"o")) == (1, 1)
    heard = [pubsub.get_message(timeout=5) for _ in range(2)]
    assert [(m["channel"].decode(), m["data"]) for m in heard] == [(live_channel("g"), b"g"), (PUBSUB_CHANNEL, b"o")]


def test_a_stream_of_somebody_else_skips_the_consumers_of_the_core_layer(redis, layer):
    redis.set(OUTGOING, "somebody's")
    layer.join(consumer())
    assert layer.send(TEXT) == [0, 0, 1]


def test_a_stream_of_somebody_else_skips_the_processes_of_the_pub_sub_layer(redis, layer, pubsub):
    redis.set(OUTGOING, "somebody's")
    assert layer.send(TEXT) == [0, 0, 1]


@pytest.mark.parametrize("arguments", [(), ("asgi",), ("asgi", 0), ("asgi", 10_001), ("asgi", "x")])
def test_a_collection_wants_a_limit(redis, arguments):
    with pytest.raises(Exception, match="tocsin: outgoing_collect wants"):
        redis.fcall("outgoing_collect", 0, *arguments)


@pytest.mark.parametrize("arguments", [(), ("asgi",), ("asgi", "1-0")])
def test_a_commit_wants_a_token(redis, arguments):
    with pytest.raises(Exception, match="tocsin: outgoing_commit wants"):
        redis.fcall("outgoing_commit", 0, *arguments)
