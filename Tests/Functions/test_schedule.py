"""IN and AT: sends that are put off, listed, cancelled, and sent once."""

import json
import time

import pytest
from redis.exceptions import ResponseError

from harness.names import group_key, own


@pytest.fixture
def later(redis):
    """later(*options, group="g", message=…) → the id of a send that is put off"""

    def later(*options, group="g", message=b'{"n":1}'):
        name, gateways = redis.fcall("group_send", 1, group_key(group), message, *options)
        assert gateways == 0
        return name.decode()

    return later


@pytest.fixture
def due_now(redis):
    """due_now(): all that waits is due, as Redis' clock cannot be turned"""
    return lambda: redis.zadd(own("due"), {member: 1 for member in redis.zrange(own("due"), 0, -1)})


def listed(fleet, *arguments):
    return fleet("schedule_list", 100, *arguments)["scheduled"]


def test_a_send_that_is_put_off_answers_an_id_and_publishes_nothing(later, listen, redis, fleet):
    listener = listen()
    name = later("IN", "60.5")
    [send] = listed(fleet)
    assert (send["id"], send["group"], send["message"]) == (name, "g", {"n": 1})
    assert abs(send["at"] - redis.time()[0] - 60.5) < 5
    done, wait, *_ = fleet("due_run", 10)
    assert done == 0 and 55_000 < wait <= 60_500
    assert listener.take() == [] and not redis.exists(own("pos:g"))


def test_it_is_sent_when_it_is_due_once(later, listen, due_now, fleet, redis):
    listener = listen()
    later("AT", redis.time()[0] + 60)
    due_now()
    assert fleet("due_run", 10) == [1, -1, 1, 0]
    assert fleet("due_run", 10) == [0, -1, 0, 0]
    assert len(listener.take()) == 1 and not redis.exists(own("due"), own("scheduled"))


def test_what_lies_in_the_past_is_due_at_once_and_in_its_order(later, fleet, redis):
    for at in (3, 1, "2.5"):
        later("AT", at, message=b'{"at":%s}' % str(at).encode())
    assert fleet("due_run", 2)[:2] == [2, 0] and fleet("due_run", 2)[:2] == [1, -1]
    assert [json.loads(fields[b"m"])["at"] for _, fields in redis.xrange(own("log:g"))] == [1, 2.5, 3]


def test_every_option_counts_when_it_is_sent(policy, later, due_now, fleet, redis):
    policy({"match": "g", "receipts": True})
    for _ in range(2):
        later("TTL", 60, "COLLAPSE", "k", "IN", 9, "URGENCY", "HIGH", "ESCALATE", 300, "UNLESS", "delivered", "SIZE", 5)
    due_now()
    assert fleet("due_run", 10)[2] == 2
    [(_, fields)] = redis.xrange(own("log:g"))
    assert (fields[b"k"], fields[b"u"]) == (b"k", b"high")
    assert int(fields[b"x"]) - int(fields[b"t"]) == 60_000
    later("TTL", 600, "IN", 9, "ESCALATE", 300, "UNLESS", "delivered")
    due_now()
    fleet("due_run", 10)
    [escalation] = redis.zrange(own("due"), 0, -1)
    assert escalation.startswith(b"e ") and escalation.endswith(b" g delivered")


def test_a_repeated_key_answers_the_id_and_is_not_sent_again(later, fleet, due_now, send, redis):
    name = later("IN", 60, "KEY", "invoice")
    assert later("IN", 60, "KEY", "invoice") == later("KEY", "invoice") == name
    due_now()
    assert fleet("due_run", 10)[2] == 1
    assert later("IN", 60, "KEY", "invoice") == name and redis.xlen(own("log:g")) == 1


def test_what_is_cancelled_is_not_sent(ask, later, fleet, due_now):
    name, other = later("IN", 60), later("IN", 60, message=b'{"n":2}')
    assert ask("schedule_cancel", name) == 1 and ask("schedule_cancel", name) == 0
    assert [send["id"] for send in listed(fleet)] == [other]
    due_now()
    assert fleet("due_run", 10)[2] == 1 and ask("schedule_cancel", other) == 0


@pytest.mark.parametrize("name", ["", "x", "abc@h", "5@", "@g"])
def test_an_id_of_another_group_is_refused(ask, name):
    with pytest.raises(ResponseError, match="schedule_cancel wants the id"):
        ask("schedule_cancel", name)


def test_a_list_is_of_one_group_or_all_and_says_when_there_is_more(later, fleet):
    names = [later("IN", 10 + n, group=group) for n, group in enumerate(("a.b", "c", "a.b"))]
    assert [send["id"] for send in listed(fleet)] == names
    assert [send["id"] for send in listed(fleet, "a.b")] == names[::2]
    assert fleet("schedule_list", 2)["more"] and "more" not in fleet("schedule_list", 3)
    for _ in range(3):
        later("IN", 5, message=b'{"pad":"%s"}' % (b"x" * 700_000))
    assert len(fleet("schedule_list", 100)["scheduled"]) == 2 and fleet("schedule_list", 100)["more"]


@pytest.mark.parametrize(("options", "refusal"), [
    (("IN",), "IN wants seconds"), (("IN", "-1"), "IN wants"), (("IN", "x"), "IN wants"), (("AT", "1e9"), "AT seconds"),
    (("IN", 315360001), "IN wants"), (("AT", 9999999999), "AT is more than ten years from now"),
    (("IN", 1, "AT", 1), "not both"), (("IN", 1, "IN", 1), "not both"), (("IN", 1, "SIZE", 0, "COLLAPSE", "k"), "COLLAPSE is for"),
    (("IN", 1, "ESCALATE", 1), "keeps no receipts")])
def test_what_could_not_be_sent_is_refused_now(send, redis, options, refusal):
    with pytest.raises(ResponseError, match=refusal):
        send(b"{}", *options)
    assert redis.dbsize() == 0


def test_what_a_later_policy_would_refuse_is_sent_with_what_it_allows(policy, later, due_now, fleet, redis):
    policy({"match": "g", "inbox": True})
    later("IN", 9, "ESCALATE", 60, "UNLESS", "read", "COLLAPSE", "k")
    policy({"match": "g", "size": 0})
    due_now()
    assert fleet("due_run", 10) == [1, -1, 1, 0] and redis.hget(own("pos:g"), "offset") == b"1"


@pytest.mark.parametrize("family", ["log", "pos"])
def test_a_key_of_another_type_delays_the_send_and_no_other(redis, later, due_now, fleet, family):
    redis.set(own(f"{family}:g"), "somebody's")
    later("IN", 9)
    later("IN", 9, group="h")
    due_now()
    done, wait, sent, _ = fleet("due_run", 10)
    assert (done, sent) == (2, 1) and 5_000 < wait <= 10_001
    assert redis.zrange(own("foreign"), 0, -1) == [own(f"{family}:g").encode()]
    redis.delete(own(f"{family}:g"))
    due_now()
    assert fleet("due_run", 10)[2] == 1


@pytest.mark.parametrize("family", ["due", "scheduled"])
def test_without_room_to_keep_it_a_send_is_refused(redis, send, family):
    redis.set(own(family), "somebody's")
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        send(b"{}", "IN", 9)
    assert redis.keys() == [own(family).encode()]


def test_a_lost_schedule_holds_up_nothing(redis, later, due_now, fleet):
    later("IN", 9)
    redis.zadd(own("due"), {"garbage": 1, "s ab@g": 1, "e x g read": 1, "s ab@bad name": 1})
    redis.delete(own("scheduled"))
    due_now()
    assert fleet("due_run", 10) == [5, -1, 0, 0]


def test_a_replica_does_nothing_that_is_due(redis, later, due_now, fleet):
    later("IN", 9)
    due_now()
    redis.execute_command("REPLICAOF", "127.0.0.1", 1)
    try:
        with pytest.raises(ResponseError, match="READONLY|read only replica"):
            fleet("due_run", 10)
    finally:
        redis.execute_command("REPLICAOF", "NO", "ONE")
    assert fleet("due_run", 10)[2] == 1


def test_a_hundred_thousand_in_one_second_are_sent_in_short_steps(redis, due_now, fleet):
    pipeline = redis.pipeline(transaction=False)
    for n in range(100_000):
        pipeline.fcall("group_send", 1, group_key(f"g{n % 100}"), "{}", "IN", 60)
    pipeline.execute()
    due_now()
    sent, longest, start = 0, 0, time.monotonic()
    while sent < 100_000:
        redis.config_resetstat()
        sent += fleet("due_run", 500)[2]
        longest = max(longest, redis.info("commandstats")["cmdstat_fcall"]["usec"])
    print(f"100,000 in {time.monotonic() - start:.1f} s, the longest step {longest / 1000:.1f} ms")
    assert longest < 250_000, f"{longest} us"
    assert not redis.exists(own("due"), own("scheduled"))
