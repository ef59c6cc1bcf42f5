"""user_groups and user_erase: everything of a user goes, and nothing of others."""

import json

import pytest
from redis.exceptions import ResponseError

from harness.names import group_key, own

TARGETS = '{"site":{"kind":"webhook"},"push":{"kind":"web_push"}}'
RULES = [{"match": "{user}.in", "inbox": True}, {"match": "*-{user}-*", "inbox": True}, {"match": "shared*", "inbox": True}]
USERS = ("ada", "bob")


@pytest.fixture
def lives(redis, send, fleet, ask):
    """Two users, each with groups of its own, records, subscriptions, escalations, what is due, tasks in all states."""
    redis.fcall("policy_set", 0, "asgi", json.dumps(RULES), "", "", TARGETS)
    for user in USERS:
        fleet("push_set", user, "a1", "{}")
        for group in (f"{user}.in", f"x-{user}-y"):
            for options in (("ESCALATE", 60), ("ESCALATE", 60), ("ESCALATE", 60, "TTL", 600, "COLLAPSE", "k"), ("COLLAPSE", "k"), ("SIZE", 0)):
                position, _ = send(b"{}", *options, group=group)
            ask("mark_delivered", user, position, group=group)
        send(group="shared.a")
        ask("mark_read", user, "ALL", group="shared.a")
    shared, _ = send(b"{}", "ESCALATE", 60, group="shared.a")
    for round in range(3):
        redis.zadd(own("due"), {member: 1 for member in redis.zrange(own("due"), 0, 3 * round + 1)})
        fleet("due_run", 4)
    for user in USERS:
        redis.fcall("group_send", 1, group_key(f"{user}.in"), '{"later":1}', "IN", 60)
        redis.zadd(own("due"), {f"e {shared} shared.a read {user}": 9e12})
    for task in fleet("escalation_claim", "site", 99, 3, 60)[:1]:
        fleet("escalation_finish", "site", task[0].decode(), 1, "DEAD", "x")


@pytest.fixture
def erase(fleet):
    """erase(user): until there is nothing left to do"""

    def erase(user):
        cursor = "0"
        for _ in range(100):
            answer = fleet("user_erase", user, cursor)
            cursor = answer.decode()
            if cursor == "0":
                return
        raise AssertionError("the erasure does not end")

    return erase


def everything(redis):
    """Each key with what it holds, as one text."""
    read = {b"string": redis.get, b"hash": redis.hgetall, b"set": redis.smembers,
            b"zset": lambda key: redis.zrange(key, 0, -1), b"stream": redis.xrange}
    return {key.decode(): repr(read[redis.type(key)](key)) for key in redis.keys()}


@pytest.mark.usefixtures("lives")
def test_no_key_and_no_value_has_the_user_afterwards_and_another_s_are_as_they_were(redis, erase):
    before = everything(redis)
    assert any("ada" in key for key in before) and own("dead") in before
    erase("ada")
    after = everything(redis)
    assert [key for key, value in after.items() if "ada" in key or "ada" in value] == []
    assert {k: v for k, v in before.items() if "bob" in k} == {k: v for k, v in after.items() if "bob" in k}
    assert sum("bob" in v for v in before.values()) == sum("bob" in v for v in after.values())


@pytest.mark.usefixtures("lives")
def test_the_groups_of_a_user_are_those_of_the_rules_and_those_with_something_of_the_user(fleet):
    assert fleet("user_groups", "ada") == [b"ada.in", b"shared.a", b"x-ada-y"]
    assert fleet("user_groups", "nobody") == [b"nobody.in"]
    assert fleet("user_groups", "a b") == [], "no name of a group"


@pytest.mark.usefixtures("lives")
def test_an_erased_user_begins_anew(erase, send, ask):
    erase("ada")
    erase("ada")
    position, _ = send(group="ada.in")
    assert position.offset == 1
    assert ask("inbox", "ada", group="ada.in")["unread"] == 1


def test_thousands_of_others_are_passed_in_short_steps(redis, send, fleet, erase):
    redis.fcall("policy_set", 0, "asgi", json.dumps(RULES), "", "", TARGETS)
    pipeline = redis.pipeline(transaction=False)
    for n in range(5000):
        pipeline.fcall("group_send", 1, group_key(f"u{n}.in"), '{"pad":"%s"}' % ("x" * 300), "ESCALATE", 60)
    pipeline.execute()
    redis.zadd(own("due"), {member: 1 for member in redis.zrange(own("due"), 0, 2499)})
    while fleet("due_run", 500)[1] == 0:
        pass
    cursor, calls, longest = "0", 0, 0
    while calls == 0 or cursor != "0":
        redis.config_resetstat()
        cursor, calls = fleet("user_erase", "u7", cursor).decode(), calls + 1
        longest = max(longest, redis.info("commandstats")["cmdstat_fcall"]["usec"])
    assert calls > 10 and longest < 100_000, f"{longest} us"
    assert redis.xlen(own("escalations")) + redis.zcard(own("due")) == 4999


def test_a_name_that_is_a_pattern_or_has_spaces_erases_nobody_else(redis, fleet, ask, send, erase):
    redis.fcall("policy_set", 0, "asgi", json.dumps(RULES))
    send(group="shared.a")
    for user in ("*", "a b", "a", "ü"):
        ask("mark_read", user, "ALL", group="shared.a")
    erase("*")
    erase("a b")
    assert redis.hkeys(own("seen:shared.a")) == ["a".encode(), "ü".encode()]


@pytest.mark.parametrize("arguments", [(), ("",), (b"\xff",), ("42", "x"), ("42", "0", "x")])
def test_wrong_arguments_are_told(redis, arguments):
    with pytest.raises(ResponseError, match="user_erase wants prefix, user"):
        redis.fcall("user_erase", 0, "asgi", *arguments)


def test_a_cursor_of_another_time_ends(fleet):
    for cursor in ("tasks:gone.9 17", "escalations 0-0", "x y"):
        for _ in range(5):
            cursor = fleet("user_erase", "42", cursor).decode()
            if cursor == "0":
                break
        assert cursor == "0"


def test_the_list_of_a_user_s_groups_forgets_those_that_are_gone(redis, ask, send):
    redis.fcall("policy_set", 0, "asgi", json.dumps(RULES))
    for n in range(60):
        send(group=f"shared{n}")
        ask("mark_read", "ada", "ALL", group=f"shared{n}")
        redis.delete(own(f"seen:shared{n}"), own(f"log:shared{n}"), own(f"pos:shared{n}"))
    assert redis.scard(own("tracked:ada")) < 30


def test_the_list_lives_as_long_as_the_longest_of_its_groups(redis, ask, send, policy):
    policy({"match": "long", "inbox": True, "ttl": 10**7}, {"match": "*", "inbox": True})
    for group in ("long", "short"):
        send(group=group)
        ask("mark_read", "ada", "ALL", group=group)
    assert redis.ttl(own("tracked:ada")) > 9 * 10**7
