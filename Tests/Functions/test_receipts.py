"""receipts and mark_delivered: who is meant, who has a message since when; what proves nothing changes nothing."""

import json

import pytest
from redis.exceptions import ReadOnlyError, ResponseError

from harness.names import Position, group_key, own


@pytest.fixture
def receipts(policy):
    """receipts("{user}.in", …): patterns of groups that keep receipts"""
    return lambda *patterns, **terms: policy(*({"match": pattern, "receipts": True, **terms} for pattern in patterns))


@pytest.fixture
def deliver(redis):
    """deliver(user, position, group="g") → how many cursors moved"""
    return lambda user, position, group="g": redis.fcall("mark_delivered", 1, group_key(group), user, str(position))


def join(redis, group, user, connection):
    redis.fcall("group_add", 1, group_key(group), "gw", 60, f"specific.gw!{connection}", user, "")


@pytest.mark.parametrize(("pattern", "group", "user"), [
    ("{user}isInsufficient", "42isInsufficient", "42"), ("{user}.in", "ada.love.in", "ada.love"), ("in.{user}", "in.a.b", "a.b"),
    ("*-{user}-in", "x-y-42-in", "y-42"), ("{user}-*", "42-a-b", "42"), ("?{user}*", "a42", "4"), ("{user}", "42", "42")])
def test_the_pattern_names_whose_the_group_is_known_before_or_not(receipts, send, ask, pattern, group, user):
    receipts(pattern)
    position, _ = send(group=group)
    assert ask("receipts", position, group=group) == {
        "position": str(position), "users": [{"user": user, "delivered": False, "read": False}]}


@pytest.mark.parametrize(("pattern", "group"), [("{user}.in", ".in"), ("{user}.in", "42.out"), ("a{user}b", "ab")])
def test_a_group_that_the_pattern_does_not_fit_keeps_no_receipts(receipts, send, ask, pattern, group):
    receipts(pattern)
    with pytest.raises(ResponseError, match="keeps no receipts: set `receipts: true`"):
        ask("receipts", send(group=group)[0], group=group)


def test_a_pattern_names_the_user_once(policy):
    with pytest.raises(ResponseError, match="names {user} once at most"):
        policy({"match": "{user}.{user}", "receipts": True})


def test_a_shared_group_is_about_those_in_the_roster_and_those_with_a_record(redis, receipts, send, ask, deliver):
    receipts("g")
    position, _ = send()
    join(redis, "g", "here", 1)
    join(redis, "g", "here", 2)
    join(redis, "g", "", 3)
    assert deliver("Ada Lovelace", position) == 1
    users = ask("receipts", position)["users"]
    assert [(u["user"], u["delivered"]) for u in users] == [("Ada Lovelace", True), ("here", False)]


def test_delivered_is_the_highest_that_any_device_has_and_says_since_when(redis, receipts, send, ask, deliver):
    receipts("{user}.in")
    first, second, third = (send(group="42.in")[0] for _ in range(3))
    assert [deliver("42", p, "42.in") for p in (second, first, second)] == [1, 0, 0], "it only grows"
    now = redis.time()[0]
    for position, delivered in ((first, True), (second, True), (third, False)):
        [user] = ask("receipts", position, group="42.in")["users"]
        assert user["delivered"] is delivered
        assert not delivered or abs(user["delivered_at"] - now) < 5


def test_an_empty_user_is_the_group_s_own_and_another_s_confirmation_is_left_out(receipts, send, ask, deliver):
    receipts("{user}.in")
    position, _ = send(group="42.in")
    assert deliver("43", position, "42.in") == 0
    assert deliver("", position, "42.in") == 1
    assert ask("receipts", position, group="42.in")["users"][0]["delivered"]


def test_the_last_eight_advances_are_remembered_each_with_its_time(redis, receipts, send, ask, deliver):
    receipts("{user}.in")
    positions = [send(group="42.in")[0] for _ in range(12)]
    for position in positions:
        assert deliver("", position, "42.in") == 1
    epoch, read, *advances = redis.hget(own("seen:42.in"), "42").decode().split()
    assert [int(advance.split("@")[0]) for advance in advances] == list(range(5, 13))
    redis.hset(own("seen:42.in"), "42", " ".join([epoch, read, *(f"{offset}@{offset}000" for offset in range(5, 13))]))
    times = [ask("receipts", position, group="42.in")["users"][0]["delivered_at"] for position in positions]
    assert times == [5, 5, 5, 5, *range(5, 13)], "what was delivered before that, was by then"


def test_positions_that_prove_nothing_move_no_cursor(receipts, send, deliver, redis):
    receipts("{user}.in", "other")
    position, _ = send(group="42.in")
    other, _ = send(group="other")
    beyond, unknown = position._replace(offset=9), position._replace(history="0123456789")
    for nothing in (other, beyond, unknown, "0.0:0", "x", "", position._replace(epoch="00000000"), f"{position}9" * 3):
        assert deliver("", nothing, "42.in") == 0, nothing
    assert not redis.exists(own("seen:42.in"))


def test_a_batch_moves_what_can_be_moved(redis, receipts, policy, send):
    policy({"match": "{user}.in", "receipts": True}, {"match": "plain", "receipts": False})
    groups = ["1.in", "2.in", "plain", "3.in"]
    positions = [str(send(group=group)[0]) for group in groups]
    redis.set(own("seen:2.in"), "somebody's")
    arguments = [part for position in positions for part in ("", position)]
    assert redis.fcall("mark_delivered", 4, *map(group_key, groups), *arguments) == 2
    assert redis.zrange(own("foreign"), 0, -1) == [own("seen:2.in").encode()]


def test_after_a_failover_what_was_inherited_stays_delivered(receipts, send, ask, deliver, fail_over):
    receipts("{user}.in")
    first, second = (send(group="42.in")[0] for _ in range(2))
    deliver("", first, "42.in")
    fail_over()
    third, _ = send(group="42.in")
    assert deliver("", second, "42.in") == 1, "an older history, within what the new one has"
    assert deliver("", second._replace(offset=3), "42.in") == 0, "an older history, beyond that: lost"
    delivered = [ask("receipts", p, group="42.in")["users"][0]["delivered"] for p in (first, second, third)]
    assert delivered == [True, True, False]


@pytest.mark.parametrize("lose", [lambda redis: redis.delete(own("pos:42.in")), lambda redis: redis.flushall()])
def test_a_new_epoch_knows_nothing_of_the_old(redis, receipts, send, ask, deliver, lose):
    receipts("{user}.in")
    old, _ = send(group="42.in")
    deliver("", old, "42.in")
    lose(redis)
    receipts("{user}.in")
    new, _ = send(group="42.in")
    assert ask("receipts", new, group="42.in")["users"] == [{"user": "42", "delivered": False, "read": False}]
    with pytest.raises(ResponseError, match="from before this group's key was lost"):
        ask("receipts", old, group="42.in")


@pytest.mark.parametrize(("position", "refusal"), [
    ("", "a position is EPOCH.HISTORY:OFFSET"), ("17", "a position is"), ("0.0:0", "no message at this position"),
    (Position("0badc0de", "0123456789", 1), "of another group")])
def test_what_is_no_position_of_the_group_is_refused(receipts, send, ask, position, refusal):
    receipts("g")
    send()
    with pytest.raises(ResponseError, match=refusal):
        ask("receipts", position)


def test_a_position_beyond_what_was_sent_is_refused(receipts, send, ask):
    receipts("g")
    with pytest.raises(ResponseError, match="no message at this position"):
        ask("receipts", send()[0]._replace(offset=2))


def test_names_of_users_are_utf_8_and_shorter_than_a_kilobyte(redis, receipts, send, deliver, ask):
    receipts("g")
    position, _ = send()
    users = ['"\\\n', "ü €😀", "a:b {user} *", "x" * 1024]
    assert [deliver(user, position) for user in users] == [1] * 4
    assert [deliver(user, position) for user in ("", b"\xff", "x" * 1025)] == [0] * 3
    assert {u["user"] for u in ask("receipts", position)["users"]} == set(users)
    assert json.loads(redis.fcall_ro("receipts", 1, group_key("g"), str(position)))


def test_wrong_arguments_are_told(redis, receipts):
    receipts("g")
    with pytest.raises(ResponseError, match="mark_delivered wants a user and a position for each key"):
        redis.fcall("mark_delivered", 1, group_key("g"), "42")
    for function in ("mark_delivered", "receipts"):
        with pytest.raises(ResponseError, match="the key must be PREFIX:group:NAME"):
            redis.fcall(function, 1, "g", "42", "x")


def test_a_replica_moves_no_cursor_and_answers(redis, receipts, send, ask, deliver):
    receipts("g")
    position, _ = send()
    deliver("42", position)
    redis.execute_command("REPLICAOF", "127.0.0.1", 1)
    try:
        with pytest.raises((ReadOnlyError, ResponseError), match="READONLY|read only replica"):
            deliver("42", position)
        assert json.loads(redis.fcall_ro("receipts", 1, group_key("g"), str(position)))["users"][0]["delivered"]
    finally:
        redis.execute_command("REPLICAOF", "NO", "ONE")


def test_a_device_that_was_not_there_proves_nothing_of_what_was_sent_meanwhile(receipts, send, ask, deliver):
    receipts("{user}.in")
    positions = [send(group="42.in")[0] for _ in range(6)]

    def delivered():
        return [ask("receipts", position, group="42.in")["users"][0]["delivered"] for position in positions]

    assert deliver("", positions[1], "42.in") == 1  # a device has 1 and 2, and goes
    assert deliver("", f"{positions[4]}/1", "42.in") == 1  # another one comes, and gets 5
    assert delivered() == [True, True, False, False, True, False]
    assert deliver("", f"{positions[5]}/2", "42.in") == 1
    assert deliver("", f"{positions[5]}/2", "42.in") == 0
    assert deliver("", positions[4], "42.in") == 0, "a cursor that is known says nothing new"
    assert delivered() == [True, True, False, False, True, True]
    assert deliver("", f"{positions[3]}/2", "42.in") == 1  # the first one returns, and reads what it missed
    assert delivered() == [True] * 6


def test_what_was_read_was_delivered(redis, policy, send, ask, deliver):
    policy({"match": "{user}.in", "inbox": True})
    positions = [send(group="42.in")[0] for _ in range(4)]
    redis.fcall("mark_read", 1, group_key("42.in"), "42", "ONE", str(positions[2]))
    states = [ask("receipts", position, group="42.in")["users"][0]["delivered"] for position in positions]
    assert states == [False, False, True, False]
    redis.fcall("mark_read", 1, group_key("42.in"), "42", str(positions[1]))
    states = [ask("receipts", position, group="42.in")["users"][0]["delivered"] for position in positions]
    assert states == [True, True, True, False]


def test_there_are_eight_ranges_and_the_oldest_gap_is_forgotten_first(redis, receipts, send, ask, deliver):
    receipts("{user}.in")
    positions = [send(group="42.in")[0] for _ in range(40)]
    for position in positions[1::2]:
        assert deliver("", f"{position}/1", "42.in") == 1
    record = redis.hget(own("seen:42.in"), "42").decode().split()[2:]
    assert [entry.split("@")[0] for entry in record] == [f"{n - 1}-{n}" for n in range(26, 41, 2)]
    assert not ask("receipts", positions[1], group="42.in")["users"][0]["delivered"], "never too much"
