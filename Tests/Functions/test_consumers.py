"""group_send tells the consumers of Django's core layer in the same step: one copy for each process, as channels_redis would."""

import time

import msgpack
import pytest

from harness.consumers import ADDRESS, CoreLayer, consumer, inbox
from harness.names import fleet_member, group_key

EVENT = {"type": "receive", "balance": 3.5}
PACKED = msgpack.packb(EVENT)


@pytest.fixture
def layer(redis):
    return CoreLayer(redis)


def copy_for(*members, event=EVENT):
    return msgpack.packb({**event, ADDRESS: list(members)})


def fill(redis, key, count, age=0.0):
    """Messages in an inbox that nobody reads."""
    if count:
        redis.zadd(key, {b"%012d" % number: time.time() - age for number in range(count)})


def test_a_group_without_consumers_is_answered_with_position_and_gateways_alone(redis, layer):
    assert layer.send(PACKED) == [0]
    redis.fcall("group_add", 1, group_key("g"), "gw", 86400, "specific.gw!1", "", "")
    assert layer.send(PACKED) == [0]
    assert redis.keys("asgispecific.*") == [], "nothing for our own fleet"


def test_each_process_has_one_copy_for_all_its_members(redis, layer):
    redis.fcall("group_add", 1, group_key("g"), "gw", 86400, "specific.gw!1", "", "")
    ours, theirs = [consumer(number) for number in range(3)], [consumer(7, "b")]
    layer.join(*ours, *theirs)
    assert layer.send(PACKED) == [0, 4, 0]
    assert layer.in_inbox("a") == [copy_for(*ours)] and layer.in_inbox("b") == [copy_for(*theirs)]
    assert len(redis.keys("asgispecific.*")) == 2


@pytest.mark.parametrize("count", [15, 16, 70_000])
def test_a_process_with_many_members_has_all_of_them_in_its_copy(layer, count):
    members = [consumer(number) for number in range(count)]
    layer.join(*members)
    assert layer.send(PACKED) == [0, count, 0]
    (copy,) = layer.in_inbox()
    assert msgpack.unpackb(copy) == {**EVENT, ADDRESS: members}


def test_copies_are_in_the_order_of_their_sending(layer):
    layer.join(consumer())
    for number in range(100):
        layer.send(msgpack.packb({"type": "receive", "n": number // 2}))
    assert [msgpack.unpackb(copy)["n"] for copy in layer.in_inbox()] == [number // 2 for number in range(100)]


def test_an_address_in_the_message_does_not_count(layer):
    layer.join(consumer())
    layer.send(msgpack.packb({**EVENT, ADDRESS: [consumer(8)]}))
    layer.send('{"type":"receive","%s":"%s"}' % (ADDRESS, consumer(9)))
    assert [msgpack.unpackb(copy)[ADDRESS] for copy in layer.in_inbox()] == [[consumer()]] * 2


def test_what_a_consumer_does_not_get_is_logged_for_browsers_all_the_same(redis, layer):
    layer.join(consumer(), consumer(1))
    assert layer.send('{"balance":1}') == [0, 0, 2]
    assert layer.in_inbox() == []
    assert redis.xrange("tocsin:log:g")[0][1][b"m"] == b'{"balance":1}'


def test_a_refused_message_is_told_to_nobody(redis, layer):
    layer.join(consumer())
    for message in "[]", b"\x81\x01\x01", "{", b"\x80\x80":
        with pytest.raises(Exception, match="tocsin: the message"):
            layer.send(message)
    assert layer.in_inbox() == []


# Capacity and expiry ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("capacity", [None, 1, 7])
def test_a_full_inbox_skips_its_consumers_and_only_these(redis, layer, capacity):
    if capacity:
        layer.configure(capacity=capacity)
    layer.join(consumer(0), consumer(1), consumer(0, "b"))
    fill(redis, inbox("a"), (capacity or 100) - 1)
    assert layer.send(PACKED) == [0, 3, 0], "room for one"
    redis.delete(inbox("b"))
    assert layer.send(PACKED) == [0, 1, 2]
    assert redis.zcard(inbox("a")) == (capacity or 100) and redis.zcard(inbox("b")) == 1


def test_old_messages_make_room(redis, layer):
    layer.join(consumer())
    fill(redis, inbox(), 100, age=61)
    assert layer.send(PACKED) == [0, 1, 0]
    assert redis.zcard(inbox()) == 1
    layer.configure(expiry=10)
    fill(redis, inbox(), 100, age=11)
    assert layer.send(PACKED) == [0, 1, 0]
    assert redis.zcard(inbox()) == 2
    fill(redis, inbox(), 100, age=8)
    assert layer.send(PACKED) == [0, 0, 1], "young enough to stay"


@pytest.mark.parametrize("settings, seconds", [({}, 60), ({"expiry": 7}, 7)])
def test_an_inbox_expires_with_the_layer_s_expiry_after_the_last_message(redis, layer, settings, seconds):
    layer.configure(**settings)
    layer.join(consumer())
    layer.send(PACKED)
    assert seconds - 1 <= redis.ttl(inbox()) <= seconds
    redis.expire(inbox(), 1000)
    layer.send(PACKED)
    assert seconds - 1 <= redis.ttl(inbox()) <= seconds


@pytest.mark.parametrize("settings, age", [({}, 86_400), ({"group_expiry": 5}, 5)])
def test_members_older_than_the_group_s_expiry_are_taken_out(redis, layer, settings, age):
    layer.configure(**settings)
    layer.join(consumer(0), age=age + 2)
    layer.join(consumer(1), age=age - 2)
    assert layer.send(PACKED) == [0, 1, 0]
    assert redis.zrange(group_key("g"), 0, -1) == [consumer(1).encode()]
    assert layer.in_inbox() == [copy_for(consumer(1))]


def test_when_the_last_consumer_is_too_old_nobody_is_told(redis, layer):
    layer.join(consumer(), age=86_402)
    assert layer.send(PACKED) == [0]
    assert not redis.exists(group_key("g"))


# Keys of others ---------------------------------------------------------------------------------------------------------


def test_an_inbox_of_another_type_is_skipped_and_the_others_are_told(redis, layer):
    members = [consumer(0, process) for process in "abcd"]
    layer.join(*members)
    redis.set(inbox("a"), "somebody's")
    redis.rpush(inbox("c"), "somebody's")
    assert layer.send(PACKED) == [0, 2, 2]
    assert redis.get(inbox("a")) == b"somebody's" and redis.lrange(inbox("c"), 0, -1) == [b"somebody's"]
    assert layer.in_inbox("b") == [copy_for(members[1])] and layer.in_inbox("d") == [copy_for(members[3])]


def test_a_group_s_key_of_another_type_has_no_consumers(redis, layer):
    redis.set(group_key("g"), "somebody's")
    assert layer.send(PACKED) == [0]
    assert redis.get(group_key("g")) == b"somebody's"


def test_a_member_that_no_layer_makes_is_told_under_its_own_name(redis, layer):
    layer.join("tasks", "specific.odd!", "specific.odd!é")
    assert layer.send(PACKED) == [0, 3, 0]
    assert redis.zcard("asgitasks") == 1
    assert redis.zrange("asgispecific.odd!", 0, -1)[0][12:] == copy_for("specific.odd!", "specific.odd!é")


# The bytes in front ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0, 1, 4, 7, 12, 20])
def test_so_many_bytes_are_in_front_as_the_layer_expects(redis, layer, length):
    layer.configure(random_prefix_length=length)
    layer.join(consumer())
    for _ in range(2):
        layer.send(PACKED)
    entries = redis.zrange(inbox(), 0, -1)
    assert {entry[length:] for entry in entries} == {copy_for(consumer())}
    assert len(entries) == (2 if length else 1), "without any, two equal messages are one, as in Django"


# Connections of gateways ------------------------------------------------------------------------------------------------


@pytest.fixture
def gateway(redis):
    redis.fcall("gateway_lease", 0, "asgi", "gw", 15, "0" * 16)


def test_a_gateway_s_connection_that_django_added_is_sent_the_message_as_it_is(redis, layer, gateway):
    for number in 1, 2:
        redis.fcall("group_add", 1, group_key("home"), "gw", 86400, f"specific.gw!{number}", "", "")
    layer.join("specific.gw!1", "specific.gw!2")
    for message in '{"no":"type"}', PACKED:
        assert layer.send(message) == [0], "neither told nor skipped: they are no consumers"
    first, second = layer.redis.zrange("asgispecific.gw!", 0, -1)
    address = b'"__asgi_channel__": ["specific.gw!1", "specific.gw!2"]'
    assert first[12:] == b'{"no":"type", ' + address + b"}"
    assert second[12:] == copy_for("specific.gw!1", "specific.gw!2")


def test_who_is_in_the_group_by_its_route_hears_it_once(redis, layer, gateway):
    redis.fcall("group_add", 1, group_key("g"), "gw", 86400, "specific.gw!1", "", "")
    layer.join("specific.gw!1", "specific.gw!2", consumer())
    assert layer.send(PACKED) == [0, 1, 0]
    assert [entry[12:] for entry in redis.zrange("asgispecific.gw!", 0, -1)] == [copy_for("specific.gw!2")]
    redis.zrem(group_key("g"), "specific.gw!2")
    assert layer.send(PACKED) == [0, 1, 0]
    assert redis.zcard("asgispecific.gw!") == 1, "nothing more for a gateway whose connections have it"


def test_the_name_of_a_gateway_that_is_gone_is_a_consumer_like_any_other(redis, layer):
    layer.join("specific.gone!1")
    assert layer.send('{"no":"type"}') == [0, 0, 1]


def test_the_fleet_s_own_member_is_never_sent_a_copy(redis, layer):
    layer.join(fleet_member("g"), consumer())
    assert layer.send(PACKED) == [0, 1, 0]
    assert redis.keys("asgispecific.tocsin-*") == []


def test_a_repeated_key_is_answered_as_the_first_send_was(redis, layer):
    layer.join(consumer(process="a"), consumer(process="b"))
    fill(redis, inbox("b"), 100)
    first = redis.fcall("group_send", 1, group_key("g"), PACKED, "KEY", "k")
    assert first[1:] == [0, 1, 1]
    redis.delete(inbox("b"))
    assert redis.fcall("group_send", 1, group_key("g"), PACKED, "KEY", "k") == first
    assert len(layer.in_inbox("a")) == 1 and not redis.exists(inbox("b"))


def test_a_key_that_an_older_library_has_written_is_answered_too(redis, layer):
    layer.join(consumer())
    redis.set(layer.own("key:g:k"), "a.b:7 2")
    assert redis.fcall("group_send", 1, group_key("g"), PACKED, "KEY", "k") == [b"a.b:7", 2]
