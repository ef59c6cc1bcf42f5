"""Consumers of channels_redis 2.x: inboxes are lists, one message for each member, at the end where that version pushes."""

import json
import time

import msgpack
import pytest

from harness.consumers import ADDRESS, CoreLayer
from harness.names import fleet_member

EVENT = {"type": "receive", "balance": 3.5}
PACKED = msgpack.packb(EVENT)
ONE, TWO, OTHER = "specific.RGWtegoM!MVfUwIOghpEY", "specific.RGWtegoM!ImtLPRocyJtI", "specific.VkRLYVxx!HhWiSogPmfjJ"
INBOX, OTHER_INBOX = "asgi:specific.RGWtegoM!", "asgi:specific.VkRLYVxx!"


@pytest.fixture(params=["asgi:", "shop"])
def layer(redis, server, request):
    """The layer of 2.x by its default prefix, and by configuration under another one. The library is fresh."""
    server.load_library()
    layer = CoreLayer(redis, request.param)
    if request.param == "shop":
        layer.configure(layer="2")
    return layer


@pytest.fixture
def inbox(layer, redis):
    """inbox(member) → what lies in the list of its process, from left to right"""
    return lambda member=ONE: redis.lrange(key_of(layer, member), 0, -1)


def key_of(layer, member=ONE):
    return layer.prefix + member[: member.index("!") + 1]


def copy_for(member, event=EVENT):
    """The address is a str: a list ends every consumer of a 2.1.1 process."""
    return msgpack.packb({**event, ADDRESS: member})


def events(numbers):
    return [{"type": "receive", "n": number} for number in numbers]


def test_the_keys_are_channels_redis_2_s_own(redis, server):
    layer = CoreLayer(redis, "asgi:")
    redis.zadd("asgi::group:42isInsufficient", {ONE: time.time()})
    layer.send(PACKED, group="42isInsufficient")
    assert redis.keys("asgi:specific*") == [INBOX.encode()]


def test_each_member_has_a_message_of_its_own(layer, inbox):
    layer.join(ONE, TWO, OTHER)
    assert layer.send(PACKED) == [0, 3, 0]
    assert sorted(inbox()) == sorted([copy_for(ONE), copy_for(TWO)])
    assert inbox(OTHER) == [copy_for(OTHER)], "no random bytes in front"


def test_two_equal_messages_are_two(layer, inbox):
    layer.join(ONE)
    for _ in range(2):
        assert layer.send(PACKED) == [0, 1, 0]
    assert inbox() == [copy_for(ONE)] * 2


def test_without_a_hint_the_newest_is_at_the_right_as_2_1_has_it(redis, layer, inbox):
    redis.config_resetstat()
    layer.join(ONE)
    for event in events(range(5)):
        layer.send(msgpack.packb(event))
    assert inbox() == [copy_for(ONE, event) for event in events(range(5))]


@pytest.mark.parametrize("function", ["gateway_collect", "relay_collect"])
def test_when_a_gateway_has_heard_lpush_the_newest_is_at_the_left_from_then_on(redis, layer, inbox, function):
    hear(redis, layer, function, "LPUSH")
    layer.join(ONE)
    for event in events(range(3)):
        layer.send(msgpack.packb(event))
    assert inbox() == [copy_for(ONE, event) for event in events([2, 1, 0])]
    hear(redis, layer, function, "RPUSH")
    layer.send(msgpack.packb(events([3])[0]))
    assert inbox()[-1] == copy_for(ONE, events([3])[0])


def hear(redis, layer, function, push):
    own_inbox = layer.prefix + "specific.gw!"
    getattr(redis, push.lower())(own_inbox, b"x")
    if function == "gateway_collect":
        assert redis.fcall("gateway_collect", 1, own_inbox, 10, push) == [b"x"]
    else:
        assert redis.fcall("relay_collect", 2, own_inbox, layer.own("staging:00"), 10, push)[0] == 1


@pytest.mark.parametrize("push", ["RPUSH", "LPUSH"])
def test_a_gateway_takes_the_oldest_first_whichever_end_that_is(redis, layer, push):
    own_inbox = layer.prefix + "specific.gw!"
    for number in range(5):
        getattr(redis, push.lower())(own_inbox, b"%d" % number)
    assert redis.fcall("gateway_collect", 1, own_inbox, 3, push) == [b"0", b"1", b"2"]
    assert redis.fcall("gateway_collect", 1, own_inbox, 3) == [b"3", b"4"], "it is remembered"
    assert not redis.exists(own_inbox)


@pytest.mark.parametrize("pop, command", [("LPUSH", "brpoplpush"), ("RPUSH", "blpop")])
def test_before_a_push_was_heard_the_pops_of_django_s_processes_tell(redis, server, layer, inbox, pop, command):
    redis.config_resetstat()
    redis.execute_command(command, "nothing", *["nowhere"] * (command == "brpoplpush"), "0.01")
    server.load_library()
    layer.join(ONE)
    for event in events(range(2)):
        layer.send(msgpack.packb(event))
    assert inbox() == [copy_for(ONE, event) for event in events([1, 0] if pop == "LPUSH" else [0, 1])]


def test_every_message_counts_towards_the_process_s_capacity(redis, layer, inbox):
    layer.join(ONE, TWO, OTHER)
    redis.rpush(key_of(layer), *[b"x"] * 99)
    assert layer.send(PACKED) == [0, 2, 1], "one of the two finds room"
    assert layer.send(PACKED) == [0, 1, 2]
    assert len(inbox()) == 100 and len(inbox(OTHER)) == 2


def test_the_list_expires_and_is_kept_by_each_message(redis, layer):
    layer.join(ONE)
    for _ in range(2):
        layer.send(PACKED)
        assert 59 <= redis.ttl(key_of(layer)) <= 60
        redis.expire(key_of(layer), 5)


def test_a_key_of_another_type_is_skipped_and_the_others_are_told(redis, layer, inbox):
    layer.join(ONE, OTHER)
    redis.set(key_of(layer), "somebody's")
    assert layer.send(PACKED) == [0, 1, 1]
    redis.delete(key_of(layer))
    redis.zadd(key_of(layer), {"of channels_redis 3": 1})
    assert layer.send(PACKED) == [0, 1, 1]
    assert redis.zrange(key_of(layer), 0, -1) == [b"of channels_redis 3"]
    assert inbox(OTHER) == [copy_for(OTHER)] * 2


def test_old_members_are_taken_out(layer, inbox):
    layer.join(ONE, age=86_402)
    layer.join(TWO)
    assert layer.send(PACKED) == [0, 1, 0]
    assert inbox() == [copy_for(TWO)]


def test_json_becomes_msgpack_and_a_message_without_type_is_skipped(layer, inbox):
    layer.join(ONE, TWO, fleet_member("g"))
    assert layer.send(json.dumps(EVENT)) == [0, 2, 0]
    assert layer.send("{}") == [0, 0, 2]
    assert sorted(inbox()) == sorted([copy_for(ONE), copy_for(TWO)])


def test_one_channel_and_a_worker_s(redis, layer, inbox):
    assert redis.fcall("channel_send", 1, f"{layer.prefix}:channel:{ONE}", PACKED) == 1
    assert inbox() == [copy_for(ONE)]
    for number in range(2):
        assert redis.fcall("channel_send", 1, f"{layer.prefix}:channel:tasks", json.dumps(events([number])[0])) == 1
    assert redis.lrange(f"{layer.prefix}tasks", 0, -1) == [msgpack.packb(event) for event in events(range(2))]
    assert 59 <= redis.ttl(f"{layer.prefix}tasks") <= 60
