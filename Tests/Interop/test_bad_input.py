"""Malformed input from Redis: the gateway keeps running, counts it and keeps serving the others. Malformed input from clients
is in Tests/Faults/test_bad_clients_*.py."""

import json
import os
import random
import time

import msgpack
import pytest
from harness.clients import exactly
from harness.gateway import Gateway, config
from harness.names import fleet_member, inbox_key
from harness.waiting import wait_until
from redis import ResponseError


@pytest.fixture(scope="module")
def gateway(redis_server):
    # A refresh of one second, so that a member kept out by a wrong type is rewritten during the test.
    settings = config(gateway={"max_message_bytes": 65536}, redis={"refresh_seconds": 1})
    with Gateway(redis_server.url, "one", settings) as gateway:
        yield gateway


@pytest.fixture
def counted(gateway):
    """Returns counted(metric, label=…): by how much that counter has grown since the test began."""
    before = gateway.metrics()

    def grown(name, **labels):
        ((label, value),) = labels.items()
        return gateway.metric(name, **labels) - before[f'{name}{{{label}="{value}"}}']

    return grown


@pytest.fixture(autouse=True)
def others_are_still_served(gateway, redis, clients):
    """Around every test: the process stays the same, and its bystander stays connected and receives what is sent to it."""
    (bystander,) = clients.open(gateway.url("/ws/bystander"))
    pid = gateway.pid
    yield
    assert gateway.running and gateway.pid == pid, gateway.log[-4000:]
    assert gateway.readyz() == 200
    redis.fcall("group_send", 1, "asgi:group:bystander", '{"still":"here"}')
    assert [exactly(text) for text in bystander.wait(1)] == [exactly('{"still":"here"}')]
    assert bystander.open
    assert clients.status(gateway.url("/ws/newcomer")) == 101


def layer_message(group, message):
    """An inbox entry as channels_redis 4 writes it: twelve random bytes, then the map."""
    return os.urandom(12) + msgpack.packb({**message, "__asgi_channel__": [fleet_member(group)]})


# PUBLISH --------------------------------------------------------------------------------------------------------------

NOT_MESSAGES = {
    "nothing": b"",
    "a space": b" ",
    "a word": b"hello",
    "broken JSON": b'{"a":',
    "JSON and a rest": b'{"a":1}{"b":2}',
    "a JSON list": b"[1,2]",
    "a JSON number": b"1",
    "JSON null": b"null",
    "not UTF-8 inside JSON": b'{"a":"\xff\xfe"}',
    "a lone surrogate's bytes": b'{"a":"\xed\xa0\x80"}',
    "a raw newline in a string": b'{"a":"\n"}',
    "brackets without end": b"[" * 100_000,
    "braces without end": b'{"a":' * 100_000,
    "msgpack cut short": msgpack.packb({"type": "receive", "text": "x" * 100})[:-1],
    "msgpack and a rest": msgpack.packb({"a": 1}) + b"\x00",
    "a msgpack list": msgpack.packb([1, 2]),
    "a msgpack integer": b"\x2a",
    "a map that claims 2^32-1 entries": b"\xdf\xff\xff\xff\xff\xa1a\x01",
    "a string that claims 2^32-1 bytes": b"\x81\xa1a\xdb\xff\xff\xff\xffabc",
    "msgpack lists without end": b"\x81\xa1a" + b"\x91" * 100_000,
    "msgpack's unused type": b"\x81\xa1a\xc1",
    "a msgpack string that is not UTF-8": b"\x81\xa1a\xa2\xff\xfe",
    "random bytes": random.Random(42).randbytes(1000),
}


@pytest.mark.parametrize("name", NOT_MESSAGES)
def test_published_rubbish_is_counted_and_not_delivered(name, gateway, redis, clients, counted):
    (listener,) = clients.open(gateway.url("/ws/rubbish"))
    redis.publish("asgi__group__rubbish", NOT_MESSAGES[name])
    redis.publish("asgi__group__rubbish", '{"marker":1}')
    assert listener.until("marker") == []
    assert counted("tocsin_messages_malformed_total", entrance="publish") == 1


@pytest.mark.parametrize(
    "payload",
    [{"text": "x" * 1_000_000}, {str(n): n for n in range(50_000)}, {"n": list(range(100_000))}],
    ids=["text", "keys", "list"],
)
@pytest.mark.parametrize("pack", [lambda value: json.dumps(value).encode(), msgpack.packb], ids=["json", "msgpack"])
def test_a_payload_of_a_megabyte_arrives_whole(payload, pack, gateway, redis, clients):
    (listener,) = clients.open(gateway.url("/ws/large"))
    redis.publish("asgi__group__large", pack(payload))
    redis.publish("asgi__group__large", '{"marker":1}')
    (text,) = listener.until('"marker"')
    assert exactly(text) == exactly(json.dumps(payload))


def test_group_send_refuses_more_than_it_can_keep(gateway, redis, clients):
    (listener,) = clients.open(gateway.url("/ws/refused"))
    for message in json.dumps({"text": "x" * 1_100_000}), '{"a":' * 5000 + "1" + "}" * 5000:
        with pytest.raises(ResponseError, match="tocsin"):
            redis.fcall("group_send", 1, "asgi:group:refused", message)
    redis.publish("asgi__group__refused", '{"marker":1}')
    assert listener.until("marker") == []


@pytest.mark.parametrize(
    "stamp", ["", "x", "1:2", "zz.0000000000:1", "5f3a.9c01ab23de:99999999999999999999", 7, None, {"a": 1}]
)
def test_a_forged_or_broken_stamp_hurts_nobody(stamp, gateway, redis, clients):
    (listener,) = clients.open(gateway.url("/ws/stamped"))
    redis.publish("asgi__group__stamped", json.dumps({"__tocsin__": stamp, "n": 1}))
    redis.fcall("group_send", 1, "asgi:group:stamped", '{"n":2}')
    redis.publish("asgi__group__stamped", '{"marker":1}')
    # Whether such a message is shown is unspecified; the next message must be shown, once.
    assert [json.loads(text)["n"] for text in listener.until("marker")][-1:] == [2]
    assert all("__tocsin__" not in text for text in listener.messages)


# The core layer's inbox -----------------------------------------------------------------------------------------------

INBOX_RUBBISH = {
    "shorter than the random prefix": lambda group: b"short",
    "only the prefix": lambda group: b"\x00" * 12,
    "not msgpack": lambda group: b"\x00" * 12 + b"\xc1\xc1",
    "cut short": lambda group: layer_message(group, {"text": "x" * 50})[:-5],
    "a list": lambda group: b"\x00" * 12 + msgpack.packb([1, 2, 3]),
    "no channel": lambda group: b"\x00" * 12 + msgpack.packb({"type": "receive"}),
    "a channel that is a number": lambda group: b"\x00" * 12 + msgpack.packb({"__asgi_channel__": 5}),
    "channels that are numbers": lambda group: b"\x00" * 12 + msgpack.packb({"__asgi_channel__": [5, None]}),
    "lists without end": lambda group: b"\x00" * 12 + b"\x81\xa1a" + b"\x91" * 100_000,
}


@pytest.mark.parametrize("name", INBOX_RUBBISH)
def test_rubbish_in_the_inbox_is_counted_and_what_lies_behind_it_is_relayed(name, gateway, redis, clients, counted):
    group = "inbox-" + name.replace(" ", "-")
    (listener,) = clients.open(gateway.url(f"/ws/{group}"))
    now = time.time()
    redis.zadd(inbox_key(group), {INBOX_RUBBISH[name](group): now, layer_message(group, {"marker": 1}): now + 0.001})
    assert listener.until("marker") == []
    wait_until(
        lambda: counted("tocsin_messages_malformed_total", entrance="core_layer") == 1,
        5,
        "one malformed message counted",
    )


def test_a_channel_name_of_another_group_or_gateway_is_nobody_s(gateway, redis, clients):
    group = "inbox-foreign"
    (listener,) = clients.open(gateway.url(f"/ws/{group}"))
    names = [
        "specific.tocsin-zz!nobody",
        "specific.gone!x",
        fleet_member("nobody-here"),
        fleet_member("no name\n"),
        "a b!" + "\x00" * 200,
        "!",
        "",
    ]
    foreign = {"a": 1, "__asgi_channel__": names}
    now = time.time()
    redis.zadd(
        inbox_key(group),
        {os.urandom(12) + msgpack.packb(foreign): now, layer_message(group, {"marker": 1}): now + 0.001},
    )
    assert listener.until("marker") == []


# Keys of the wrong type -----------------------------------------------------------------------------------------------


def test_a_group_key_of_the_wrong_type_harms_only_that_group(gateway, redis, clients):
    redis.set("asgi:group:broken", "not a zset")
    assert clients.status(gateway.url("/ws/broken")) in (101, 500, 503)
    redis.delete("asgi:group:broken")
    (listener,) = clients.open(gateway.url("/ws/broken"))
    redis.fcall("group_send", 1, "asgi:group:broken", '{"n":1}')
    assert json.loads(listener.wait(1)[0]) == {"n": 1}


def test_a_group_key_that_breaks_under_its_connections_is_mended_when_it_can_be(gateway, redis, clients):
    (listener,) = clients.open(gateway.url("/ws/breaks"))
    redis.set("asgi:group:breaks", "not a zset")
    redis.publish("asgi__group__breaks", '{"n":1}')
    assert json.loads(listener.wait(1)[0]) == {"n": 1}
    redis.delete("asgi:group:breaks")
    wait_until(lambda: redis.zcard("asgi:group:breaks") == 1, 10, "the member, written again")
    assert listener.open


def test_an_inbox_of_the_wrong_type_stops_only_itself_and_heals(gateway, redis, clients):
    group = "inbox-type"
    other = next(f"inbox-other-{n}" for n in range(100) if inbox_key(f"inbox-other-{n}") != inbox_key(group))
    ours, theirs = clients.open(gateway.url(f"/ws/{group}"), gateway.url(f"/ws/{other}"))
    redis.set(inbox_key(group), "not a zset")
    redis.zadd(inbox_key(other), {layer_message(other, {"n": 1}): time.time()})
    assert json.loads(theirs.wait(1)[0]) == {"n": 1}
    redis.delete(inbox_key(group))
    redis.zadd(inbox_key(group), {layer_message(group, {"n": 2}): time.time()})
    assert json.loads(ours.wait(1)[0]) == {"n": 2}


def test_a_log_of_the_wrong_type_is_the_sender_s_error_and_the_live_way_stays_open(gateway, redis, clients):
    (listener,) = clients.open(gateway.url("/ws/log-type"))
    redis.delete("tocsin:log:log-type")
    redis.set("tocsin:log:log-type", "not a stream")
    with pytest.raises(ResponseError):
        redis.fcall("group_send", 1, "asgi:group:log-type", '{"n":1}')
    redis.publish("asgi__group__log-type", '{"n":2}')
    assert json.loads(listener.wait(1)[0]) == {"n": 2}
    redis.delete("tocsin:log:log-type")
    redis.fcall("group_send", 1, "asgi:group:log-type", '{"n":3}')
    assert json.loads(listener.wait(2)[1]) == {"n": 3}


def test_a_relayed_message_that_cannot_be_kept_does_not_hold_up_the_others(gateway, redis, clients):
    stuck = "relay-stuck"
    other = next(f"relay-other-{n}" for n in range(200) if inbox_key(f"relay-other-{n}") == inbox_key(stuck))
    (listener,) = clients.open(gateway.url(f"/ws/{other}"))
    redis.set(f"tocsin:log:{stuck}", "not a stream")
    now = time.time()
    redis.zadd(inbox_key(stuck), {layer_message(stuck, {"n": 1}): now, layer_message(other, {"n": 2}): now + 0.001})
    assert json.loads(listener.wait(1)[0]) == {"n": 2}
    redis.delete(f"tocsin:log:{stuck}")


@pytest.mark.parametrize("key", ["tocsin:pos:keys", "tocsin:roster:keys"])
def test_our_own_keys_of_the_wrong_type_harm_only_that_group(key, gateway, redis, clients):
    redis.delete(key)
    redis.set(key, "wrong")
    assert clients.status(gateway.url("/ws/keys")) in (101, 500, 503)
    redis.delete(key)
    assert clients.status(gateway.url("/ws/keys")) == 101
