"""group_add and group_discard: one member for the fleet, a roster of all connections."""

import json
import random
import string
import zlib

import pytest
from redis.exceptions import ResponseError

from harness.names import Position, fleet_member, group_key, inbox_number, own

EXPIRY = 86400


@pytest.fixture
def add(redis):
    """add("a", "b", …, connection=1, gateway="gw", user="42", info="") → positions"""

    def add(*groups, connection=1, gateway="gw", user="42", info="", expiry=EXPIRY):
        members = [part for _ in groups for part in (f"specific.{gateway}!{connection}", user, info)]
        *answers, _ = redis.fcall("group_add", len(groups), *map(group_key, groups), gateway, expiry, *members)
        return [Position.parse(answer.split()[0]) for answer in answers]

    return add


@pytest.fixture
def discard(redis):
    def discard(*groups, connection=1, gateway="gw"):
        channels = [f"specific.{gateway}!{connection}"] * len(groups)
        return redis.fcall("group_discard", len(groups), *map(group_key, groups), gateway, *channels)

    return discard


def members(redis, group="g"):
    return [m.decode() for m in redis.zrange(group_key(group), 0, -1)]


def roster(redis, group="g"):
    return {c.decode(): json.loads(v) for c, v in redis.hgetall(own(f"roster:{group}")).items()}


def test_a_thousand_connections_of_three_gateways_are_one_member(redis, add):
    for connection in range(1000):
        add("g", connection=connection, gateway=f"gw{connection % 3}")
    assert members(redis) == [fleet_member("g")]
    assert len(roster(redis)) == 1000


def test_the_member_names_one_of_sixteen_inboxes_by_the_crc_of_the_group(redis, add):
    rng = random.Random(16)
    alphabet = string.ascii_letters + string.digits + "-_."
    groups = {"".join(rng.choices(alphabet, k=rng.randrange(1, 100))) for _ in range(600)} | {"42isInsufficient"}
    assert {inbox_number(g) for g in groups} == set(range(16))
    assert fleet_member("42isInsufficient") == "specific.tocsin-%02x!42isInsufficient" % (zlib.crc32(b"42isInsufficient") & 15)
    for group in groups:
        add(group)
        assert members(redis, group) == [fleet_member(group)]


def test_the_member_s_score_is_the_time_of_redis_and_the_key_expires(redis, add):
    add("g", expiry=500)
    [(_, score)] = redis.zrange(group_key("g"), 0, -1, withscores=True)
    seconds, micros = redis.time()
    assert 0 <= seconds + micros / 1e6 - score < 5
    assert 495 <= redis.ttl(group_key("g")) <= 500


def test_adding_again_refreshes_the_member_and_the_expiry(redis, add):
    add("g", expiry=500)
    redis.zadd(group_key("g"), {fleet_member("g"): 1})
    redis.expire(group_key("g"), 7)
    add("g", expiry=500)
    assert redis.zscore(group_key("g"), fleet_member("g")) > 1e9
    assert redis.ttl(group_key("g")) > 490


def test_django_s_own_members_are_left_alone(redis, add, discard, policy):
    policy({"match": "*", "size": 0})
    redis.zadd(group_key("g"), {"specific.abc!def": 5})
    add("g")
    assert members(redis) == ["specific.abc!def", fleet_member("g")]
    discard("g")
    assert redis.zrange(group_key("g"), 0, -1, withscores=True) == [(b"specific.abc!def", 5.0)]


def test_the_roster_says_who_where_and_since_when(redis, add):
    add("g", info='{"name":"é\\n"}')
    add("g", connection=2, user="")
    listed = roster(redis)
    now = redis.time()[0]
    assert set(listed) == {"specific.gw!1", "specific.gw!2"}
    assert abs(listed["specific.gw!1"].pop("since") - now) < 5
    assert listed["specific.gw!1"] == {"user": "42", "info": {"name": "é\n"}, "gateway": "gw"}
    assert set(listed["specific.gw!2"]) == {"gateway", "since"}


def test_since_is_kept_when_a_connection_is_added_again(redis, add):
    add("g")
    earlier = b'{"user":"42","gateway":"gw","since":1.000}'
    redis.hset(own("roster:g"), "specific.gw!1", earlier)
    add("g")
    assert redis.hgetall(own("roster:g")) == {b"specific.gw!1": earlier}


def test_the_roster_of_a_gateway_is_remembered_for_its_sweep(redis, add, discard):
    add("a", "b")
    add("a", gateway="other")
    assert redis.smembers(own("members:gw")) == {b"a specific.gw!1", b"b specific.gw!1"}
    discard("a")
    assert redis.smembers(own("members:gw")) == {b"b specific.gw!1"}


def test_many_groups_in_one_call_answer_their_positions_in_order(send, add):
    for group, count in (("a", 3), ("b", 1)):
        for _ in range(count):
            send(group=group)
    a, c, b = add("a", "c", "b")
    assert (a.offset, c.offset, b.offset) == (3, 0, 1)


def test_without_history_the_member_goes_with_the_last_connection(redis, add, discard, policy):
    policy({"match": "*", "size": 0})
    add("g", connection=1)
    add("g", connection=2)
    assert discard("g", connection=1) == 1
    assert members(redis) == [fleet_member("g")]
    discard("g", connection=2)
    assert not redis.exists(group_key("g")) and not redis.exists(own("roster:g"))
    assert not redis.exists(own("retained")) and not redis.exists(own("members:gw"))


def test_with_history_the_member_stays_as_long_as_somebody_may_come_back(redis, add, discard, policy):
    policy({"match": "*", "size": 10, "ttl": 600})
    add("g")
    discard("g")
    assert members(redis) == [fleet_member("g")]
    now = redis.time()[0]
    assert abs(redis.zscore(own("retained"), "g") - (now + 600)) <= 2


def test_a_group_that_nothing_was_sent_to_leaves_nothing_behind_when_a_stranger_has_gone(redis, add, discard):
    before = redis.dbsize()
    for room in range(300):
        add(f"room{room}", user="")
        discard(f"room{room}")
    assert redis.dbsize() == before


def test_a_stranger_s_group_with_a_log_keeps_its_member(redis, add, discard, send):
    add("g", user="")
    send()
    discard("g")
    assert members(redis) == [fleet_member("g")] and redis.zscore(own("retained"), "g")


def test_a_login_vouches_for_its_group_though_a_stranger_leaves_it_last(redis, add, discard):
    add("g", connection=1)
    add("g", connection=2, user="")
    discard("g", connection=1)
    discard("g", connection=2)
    assert members(redis) == [fleet_member("g")] and redis.zscore(own("retained"), "g")


def test_the_end_of_a_retention_takes_no_member_from_somebody_who_came_back(redis, add, discard):
    add("g")
    discard("g")
    add("g")
    redis.zadd(own("retained"), {"g": 1})
    redis.fcall("gateway_sweep", 0, "asgi", 10)
    assert members(redis) == [fleet_member("g")] and not redis.exists(own("retained"))


def test_a_refresh_says_how_many_members_somebody_had_taken_out(redis, add):
    add("g", "h")
    redis.zrem(group_key("g"), fleet_member("g"))
    keys = [group_key("g"), group_key("h")]
    member = ("specific.gw!1", "42", "")
    assert redis.fcall("group_add", 2, *keys, "gw", EXPIRY, *member, *member)[-1] == 1
    assert redis.fcall("group_add", 2, *keys, "gw", EXPIRY, *member, *member)[-1] == 0


def test_a_discard_of_nobody_changes_nothing(redis, add, discard):
    add("g")
    before = {key: redis.dump(key) for key in redis.keys()}
    assert discard("g", connection=99) == 1
    assert discard("h") == 1
    assert {key: redis.dump(key) for key in redis.keys()} == before
    discard("g")
    at = redis.zscore(own("retained"), "g")
    assert discard("g") == 1
    assert redis.zscore(own("retained"), "g") == at


def test_after_the_layer_s_flush_adding_again_restores_the_member(redis, add):
    redis.fcall("group_send", 1, group_key("g"), "{}")
    before = add("g")
    redis.delete(*redis.keys("asgi*"))
    assert add("g") == before, "the position is not the layer's to delete"
    assert members(redis) == [fleet_member("g")]


@pytest.mark.parametrize(
    "args", [(), ("gw",), ("gw", "60"), ("gw", "60", "c"), ("gw", "60", "c", "1"), ("gw", "60", "c", "1", "", "d"),
             ("gw", "60", "c", "1", "", "d", "1", ""), ("gw", "0", "c", "1", ""), ("gw", "-1", "c", "1", ""),
             ("gw", "x", "c", "1", ""), ("gw", "1.5", "c", "1", "")])
def test_group_add_refuses_wrong_arguments_before_it_writes(redis, args):
    with pytest.raises(ResponseError, match="tocsin: group_add wants"):
        redis.fcall("group_add", 1, group_key("g"), *args)
    assert redis.dbsize() == 0


@pytest.mark.parametrize("user", ["42", "a/b", '"', "\\", "\\/", "é\u2028😀", "\x01\n", "{}", '{"user":"1"}', "null", "0"])
@pytest.mark.parametrize("info", ["", "{}", '{"name":"a/b"}', "[1, 2]", "null", '"\\ud83d"', " {\n} "])
def test_any_user_and_any_json_come_back_from_the_roster(redis, add, user, info):
    add("g", user=user, info=info)
    line = roster(redis)["specific.gw!1"]
    assert line["user"] == user
    assert line["info"] == json.loads(info) if info else "info" not in line


@pytest.mark.parametrize(
    "member, why", [
        (("specific.gw!1", b"\xff", ""), "a user is UTF-8"), (("specific.gw!1", "1", "{"), "info is JSON"),
        (("specific.gw!1", "1", '{} "x":1'), "info is JSON"), (("specific.gw!1", "1", b'"\xff"'), "info is JSON"),
        (("a b", "1", ""), "a channel has"), (('c"', "1", ""), "a channel has"), (("", "1", ""), "a channel has")])
def test_group_add_refuses_a_member_that_would_spoil_the_roster(redis, member, why):
    good = ("specific.gw!1", "1", "")
    with pytest.raises(ResponseError, match=f"tocsin: {why}"):
        redis.fcall("group_add", 2, group_key("g"), group_key("h"), "gw", EXPIRY, *good, *member)
    assert redis.dbsize() == 0


def test_a_join_says_what_the_policy_says_of_the_group(redis, policy):
    policy({"match": "live.*", "size": 0}, {"match": "room.*", "join_leave": True}, {"match": "both", "size": 0, "join_leave": True})
    groups = ["news", "live.a", "room.a", "both"]
    members = ("specific.gw!1", "", "") * len(groups)
    *answers, _ = redis.fcall("group_add", len(groups), *map(group_key, groups), "gw", EXPIRY, *members)
    assert [answer.decode().split(maxsplit=1)[1:] for answer in answers] == [[], ["live"], ["presence"], ["live presence"]]


@pytest.mark.parametrize("args", [(), ("gw",), ("gw", "c", "d"), ("g w", "c")])
def test_group_discard_refuses_wrong_arguments(redis, add, args):
    add("g")
    with pytest.raises(ResponseError, match="tocsin: group_discard wants"):
        redis.fcall("group_discard", 1, group_key("g"), *args)
    assert len(roster(redis)) == 1


def test_one_bad_group_among_many_refuses_all(redis):
    keys = [group_key("good"), group_key("not good")]
    with pytest.raises(ResponseError, match="tocsin: the key must be"):
        redis.fcall("group_add", 2, *keys, "gw", 60, "c", "", "", "c", "", "")
    with pytest.raises(ResponseError, match="tocsin: the key must be"):
        redis.fcall("group_discard", 2, *keys, "gw", "c", "c")
    assert redis.dbsize() == 0


@pytest.mark.parametrize("tells", [True, False])
def test_joins_and_leaves_are_told_where_the_policy_says_so(redis, tells):
    redis.fcall("policy_set", 0, "asgi", '[{"match":"*","join_leave":%s}]' % ("true" if tells else "false"))
    listener = redis.pubsub()
    listener.subscribe("asgi__presence__g")
    assert listener.get_message(timeout=5)["type"] == "subscribe"
    for _ in range(2):  # a refresh is not a join
        redis.fcall("group_add", 1, "asgi:group:g", "gw", 60, "specific.gw!1", "42", "")
    redis.fcall("group_discard", 1, "asgi:group:g", "gw", "specific.gw!1")
    redis.fcall("group_discard", 1, "asgi:group:g", "gw", "specific.gw!1")
    redis.publish("asgi__presence__g", "the end")
    told = []
    while (message := listener.get_message(timeout=5)) and message["data"] != b"the end":
        told.append(json.loads(message["data"]))
    listener.close()
    assert [(event["event"], event["channel"], event["roster"]["user"]) for event in told] == (
        [("join", "specific.gw!1", "42"), ("leave", "specific.gw!1", "42")] if tells else []
    )
