"""How much of a group's history is kept: by default, by policy, by age."""

import pytest

from harness.names import own
from harness.waiting import wait_until

DAY = 86400


def offsets(redis, group="g"):
    return [int(entry.split(b"-")[0]) for entry, _ in redis.xrange(own(f"log:{group}"))]


def test_without_a_policy_a_hundred_messages_are_kept_for_a_day(redis, send):
    for _ in range(400):
        send(b'{"pad":"%s"}' % (b"x" * 300))
    kept = offsets(redis)
    assert kept == list(range(401 - len(kept), 401)), "the newest, without a hole"
    assert 100 <= len(kept) <= 120, "whole nodes of the stream are trimmed"
    assert DAY - 5 <= redis.ttl(own("log:g")) <= DAY


def test_a_policy_says_how_many_and_how_long(redis, send, policy):
    policy({"match": "news.*", "size": 10, "ttl": 60})
    for _ in range(100):
        send(b'{"pad":"%s"}' % (b"x" * 1000), group="news.se")
    assert 10 <= len(offsets(redis, "news.se")) <= 20
    assert 55 <= redis.ttl(own("log:news.se")) <= 60
    send(group="other")
    assert redis.ttl(own("log:other")) > DAY - 5


def test_what_a_rule_leaves_out_is_the_default(redis, send, policy):
    policy({"match": "a", "size": 5}, {"match": "b", "ttl": 60})
    send(group="a")
    send(group="b")
    assert redis.ttl(own("log:a")) > DAY - 5
    assert redis.ttl(own("log:b")) <= 60


def test_a_policy_of_size_zero_keeps_no_log_but_counts(redis, send, policy):
    policy({"match": "cursor.*", "size": 0})
    assert [send(group="cursor.1")[0].offset for _ in range(3)] == [1, 2, 3]
    assert not redis.exists(own("log:cursor.1"))
    assert redis.exists(own("pos:cursor.1"))


def test_a_single_send_may_ask_for_a_log_where_the_policy_keeps_none(redis, send, policy):
    policy({"match": "*", "size": 0})
    send(b"{}", "SIZE", "3")
    assert offsets(redis) == [1]


def test_a_send_without_log_leaves_a_hole_that_a_reader_can_see(redis, send):
    send()
    send(b"{}", "SIZE", "0")
    send()
    assert offsets(redis) == [1, 3]


def test_each_send_keeps_the_log_and_the_position_alive(redis, send):
    for _ in range(20):
        send()
        redis.expire(own("log:g"), 1000)
        redis.expire(own("pos:g"), 1000)
        send()
        assert redis.ttl(own("log:g")) > DAY - 5
        assert redis.ttl(own("pos:g")) > 9 * DAY


@pytest.mark.parametrize(("ttl", "position_ttl"), [(60, 10 * DAY), (7 * DAY, 70 * DAY)])
def test_the_position_outlives_the_log_ten_times_and_ten_days_at_least(redis, send, policy, ttl, position_ttl):
    policy({"match": "*", "ttl": ttl})
    send()
    assert ttl - 5 <= redis.ttl(own("log:g")) <= ttl
    assert position_ttl - 5 <= redis.ttl(own("pos:g")) <= position_ttl


def test_the_sixteenth_send_drops_what_is_too_old(redis, send, policy):
    policy({"match": "*", "ttl": 100})
    position = [send()[0] for _ in range(15)][-1]
    redis.delete(own("log:g"))
    now = redis.time()[0] * 1000
    for offset in range(1, 16):
        age = 101_000 if offset <= 9 else 90_000
        redis.xadd(own("log:g"), {"m": b"{}", "t": now - age}, id=f"{offset}-0")
    assert send()[0] == position._replace(offset=16)
    assert offsets(redis) == list(range(10, 17))


def test_a_log_in_which_everything_is_too_old_keeps_the_new_message(redis, send, policy):
    policy({"match": "*", "ttl": 100})
    for _ in range(15):
        send()
    redis.delete(own("log:g"))
    for offset in range(1, 16):
        redis.xadd(own("log:g"), {"m": b"{}", "t": 1}, id=f"{offset}-0")
    send()
    assert offsets(redis) == [16]


def test_trimming_by_age_is_bounded_per_send_and_keeps_up(redis, send, policy):
    policy({"match": "*", "size": 1000, "ttl": 100})
    for _ in range(79):
        send()
    redis.delete(own("log:g"))
    for offset in range(1, 80):
        redis.xadd(own("log:g"), {"m": b"{}", "t": 1}, id=f"{offset}-0")
    send()
    assert offsets(redis)[0] == 33
    for _ in range(16):
        send()
    assert offsets(redis)[0] == 65
    for _ in range(16):
        send()
    assert offsets(redis)[0] == 80


def test_the_log_ends_with_its_ttl_and_the_offsets_go_on(redis, send, policy):
    policy({"match": "*", "ttl": 1})
    first, _ = send()
    redis.pexpire(own("log:g"), 1)
    wait_until(lambda: not redis.exists(own("log:g")))
    assert send()[0] == first._replace(offset=2)
    assert offsets(redis) == [2]
