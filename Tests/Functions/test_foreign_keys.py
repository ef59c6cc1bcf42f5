"""Foreign keys of another type under our names: functions over many keys skip them, continue, and report them."""

import json

import pytest

from harness.names import fleet_member, group_key, inbox_key, inbox_number, own

INBOX, STAGING = inbox_key("g"), own(f"staging:{inbox_number('g'):02x}")


@pytest.fixture
def connect(redis):
    def connect(gateway, *groups, connection=0):
        for group in groups:
            redis.fcall("group_add", 1, group_key(group), gateway, 86400, f"specific.{gateway}!{connection}", "1", "")

    return connect


@pytest.fixture
def sweep(redis):
    """sweep() → (number, {foreign keys}) of all sweeps until nothing is left to do"""

    def sweep(limit=50):
        total, foreign = 0, set()
        for _ in range(100):
            answer = redis.fcall("gateway_sweep", 0, "asgi", limit)
            count, *keys = answer if isinstance(answer, list) else [answer]
            foreign |= {key.decode() for key in keys}
            total += count
            if count == 0:
                return total, foreign
        raise AssertionError("the sweep does not end")

    return sweep


def kill(redis, gateway):
    redis.zadd(own("gateways"), {gateway: 1})


def noted(redis):
    return {key.decode() for key in redis.zrange(own("foreign"), 0, -1)}


def test_one_foreign_roster_costs_no_other_group_its_sweep(redis, connect, sweep):
    groups = [f"g{n}" for n in range(300)]
    connect("dead", *groups)
    redis.delete(own("roster:g7"))
    redis.set(own("roster:g7"), "somebody's")
    kill(redis, "dead")
    assert sweep()[1] == {own("roster:g7")} == noted(redis)
    assert [g for g in groups if redis.exists(own(f"roster:{g}"))] == ["g7"]
    assert not redis.exists(own("members:dead"), own("gateways"))


def test_what_a_foreign_key_held_up_is_swept_when_it_is_mended(redis, connect, sweep):
    connect("dead", "g")
    line = redis.hgetall(own("roster:g"))
    redis.delete(own("roster:g"))
    redis.set(own("roster:g"), "somebody's")
    kill(redis, "dead")
    sweep()
    redis.delete(own("roster:g"))
    redis.hset(own("roster:g"), mapping=line)
    assert sweep()[1] == set()
    assert not redis.exists(own("roster:g"), own("unswept"))


def test_a_group_s_key_of_another_type_is_named_and_its_roster_is_swept(redis, connect, sweep):
    redis.fcall("policy_set", 0, "asgi", '[{"match":"*","size":0}]')
    connect("dead", "g", "h")
    redis.delete(group_key("g"))
    redis.set(group_key("g"), "somebody's")
    kill(redis, "dead")
    assert sweep()[1] == {group_key("g")}
    assert not redis.exists(own("roster:g"), own("roster:h"), group_key("h"))


def test_a_dead_gateway_s_list_of_another_type_holds_up_no_other_gateway_s_sweep(redis, connect, sweep):
    redis.set(own("members:old"), "somebody's")
    connect("dead", "g")
    kill(redis, "old")
    kill(redis, "dead")
    assert sweep()[1] == {own("members:old")}
    assert not redis.exists(own("roster:g"), own("gateways"))


def test_a_leaving_connection_of_a_foreign_roster_costs_no_other_group_its_leave(redis, connect):
    connect("gw", "a", "b", "c")
    redis.delete(own("roster:b"))
    redis.set(own("roster:b"), "somebody's")
    keys = [group_key(g) for g in "abc"]
    assert redis.fcall("group_discard", 3, *keys, "gw", *["specific.gw!0"] * 3) == 2
    assert not redis.exists(own("roster:a"), own("roster:c"), own("members:gw"))
    assert redis.smembers(own("unswept")) == {b"gw b specific.gw!0"}


def test_one_foreign_group_among_the_retained_costs_no_other_its_member(redis):
    groups = [f"g{n:02}" for n in range(40)]
    redis.zadd(own("retained"), {group: 10**10 for group in groups})
    redis.set(group_key("g03"), "somebody's")
    assert redis.fcall("gateway_retain", 0, "asgi", 86400, 0, 100) == [0, group_key("g03").encode()]
    assert [g for g in groups if redis.type(group_key(g)) == b"zset"] == [g for g in groups if g != "g03"]
    assert noted(redis) == {group_key("g03")}


def test_one_foreign_group_among_ended_retentions_holds_up_no_other(redis, sweep):
    for group in ("a", "b", "c"):
        redis.zadd(group_key(group), {fleet_member(group): 1})
    redis.delete(group_key("b"))
    redis.set(group_key("b"), "somebody's")
    redis.zadd(own("retained"), {"a": 1, "b": 1, "c": 1})
    assert sweep() == (3, {group_key("b")})
    assert not redis.exists(group_key("a"), group_key("c"), own("retained"))


def test_a_foreign_list_of_the_retained_is_named_and_stops_no_sweep(redis, connect, sweep):
    connect("dead", "g")
    redis.set(own("retained"), "somebody's")
    redis.fcall("policy_set", 0, "asgi", '[{"match":"*","size":0}]')
    kill(redis, "dead")
    assert sweep() == (1, {own("retained")})
    assert redis.fcall("gateway_retain", 0, "asgi", 60, 0, 10) == [0, own("retained").encode()]
    assert not redis.exists(own("roster:g"))


def test_a_foreign_staging_key_costs_none_of_django_s_messages(redis):
    redis.set(STAGING, "somebody's")
    redis.zadd(INBOX, {b"%02d" % n: n for n in range(50)})
    moved, _, foreign, staged = redis.fcall("relay_collect", 2, INBOX, STAGING, 100)
    assert (moved, len(staged), foreign) == (50, 50, STAGING.encode())
    for entry, message in staged[:20]:
        assert redis.fcall("relay_commit", 2, STAGING, group_key("g"), entry, b'{"n":%d}' % int(message)) == 1
    # Repaired in between: what was staged under the second key goes first.
    redis.delete(STAGING)
    redis.zadd(INBOX, {b"50": 50})
    while True:
        *_, staged = redis.fcall("relay_collect", 2, INBOX, STAGING, 100)
        if not staged:
            break
        for entry, message in staged:
            assert redis.fcall("relay_commit", 2, STAGING, group_key("g"), entry, b'{"n":%d}' % int(message)) == 1
    assert [json.loads(fields[b"m"])["n"] for _, fields in redis.xrange(own("log:g"))] == list(range(51))


def test_messages_stay_in_the_inbox_until_they_are_staged(redis):
    """A stream whose last id is the greatest possible accepts nothing more, so nothing may leave the inbox."""
    redis.xadd(STAGING, {"m": "last"}, id=f"{2**64 - 1}-{2**64 - 1}")
    redis.zadd(INBOX, {"a": 1, "b": 2})
    assert redis.fcall("relay_collect", 2, INBOX, STAGING, 100)[0] == 0
    assert redis.zrange(INBOX, 0, -1) == [b"a", b"b"]


def test_a_join_that_a_foreign_key_stops_leaves_nothing_that_no_sweep_finds(redis, sweep):
    redis.set(group_key("g"), "somebody's")
    with pytest.raises(Exception, match="WRONGTYPE"):
        redis.fcall("group_add", 1, group_key("g"), "gw", 60, "specific.gw!1", "1", "")
    assert redis.smembers(own("members:gw")) == {b"g specific.gw!1"}
    kill(redis, "gw")
    sweep()
    assert not redis.exists(own("roster:g"), own("members:gw"))


def test_only_the_newest_hundred_foreign_keys_are_remembered(redis, sweep):
    groups = [f"g{n:03}" for n in range(150)]
    redis.zadd(own("retained"), {group: 1 for group in groups})
    for group in groups:
        redis.set(group_key(group), "somebody's")
    sweep(200)
    assert redis.zcard(own("foreign")) == 100
