"""inbox and mark_read: pages, marks of all kinds in any order, what devices are told."""

import json

import msgpack
import pytest
from redis.exceptions import ResponseError

from harness.names import Position, group_key, own

G = "42.in"


@pytest.fixture
def inbox(policy, ask):
    """inbox("LIMIT", 5) → the answer for user 42, whose group has an inbox of ten messages"""
    policy({"match": "{user}.in", "size": 10, "inbox": True}, {"match": "shared", "inbox": True}, {"match": "old", "receipts": True})
    return lambda *options, user="42", group=G: ask("inbox", user, *options, group=group)


@pytest.fixture
def mark(ask):
    return lambda *mark, user="42", group=G: ask("mark_read", user, *mark, group=group)


@pytest.fixture
def fill(send):
    """fill(n) → positions of so many messages"""
    return lambda n, *options, group=G: [send(b'{"n":%d}' % i, *options, group=group)[0] for i in range(1, n + 1)]


@pytest.fixture
def announced(server):
    """announced() → what gateways were told since"""
    pubsub = server.client().pubsub()
    pubsub.subscribe("asgi__gateways__42.in", "asgi__gateways__shared")

    def announced():
        pubsub.ping()
        texts = []
        for message in iter(lambda: pubsub.get_message(timeout=5), None):
            if message["type"] == "pong":
                return texts
            if message["type"] == "message":
                assert message["data"].startswith(b"!inbox ")
                texts.append(json.loads(message["data"][7:]))
        raise AssertionError("the subscription does not answer")

    yield announced
    pubsub.close()


def reads(answer):
    return [(Position.parse(m["position"]).offset, m["read"]) for m in answer["messages"]]


def test_an_inbox_is_the_group_s_log_newest_first(inbox, fill):
    assert inbox() == {"unread": 0, "read": "0.0:0", "messages": []}
    positions = fill(3)
    answer = inbox()
    assert answer["unread"] == 3 and answer["read"] == str(positions[0]._replace(offset=0))
    assert answer["messages"] == [
        {"position": str(p), "message": {"n": p.offset}, "read": False} for p in reversed(positions)]


def test_pages_follow_one_another_without_a_hole(inbox, fill):
    fill(10)
    seen, before = [], ()
    while page := inbox("LIMIT", 3, *before)["messages"]:
        seen += [m["message"]["n"] for m in page]
        before = ("BEFORE", page[-1]["position"])
    assert seen == list(range(10, 0, -1))
    assert inbox("LIMIT", 0)["messages"] == [] and inbox("LIMIT", 0)["unread"] == 10
    assert inbox("BEFORE", "0.0:0")["messages"] == []


def test_marks_are_idempotent_and_come_in_any_order(inbox, fill, mark):
    one, two, three, four = fill(4)
    assert mark("ONE", three)["unread"] == 3
    assert mark("ONE", three)["unread"] == 3
    assert mark(two) == {"unread": 1, "read": str(three)}, "what was read singly is passed"
    assert mark("READ", one) == {"unread": 1, "read": str(three)}, "a cursor does not go back"
    assert mark("UNREAD", two)["unread"] == 2
    assert reads(inbox()) == [(4, False), (3, True), (2, False), (1, True)]
    assert mark("ONE", two)["unread"] == 1
    assert mark("UNREAD_ONE", four)["unread"] == 1, "it was unread"
    assert mark("ALL") == {"unread": 0, "read": str(four)}
    assert mark("READ_ALL") == {"unread": 0, "read": str(four)}
    assert inbox("RAW")[1:3] == [str(four).encode(), []]


def test_what_is_marked_does_not_concern_other_users(inbox, fill, mark):
    fill(2, group="shared")
    mark("ALL", user="Ada Lovelace", group="shared")
    assert inbox(user="Ada Lovelace", group="shared")["unread"] == 0
    assert inbox(user="Bob", group="shared")["unread"] == 2


def test_read_is_delivered(inbox, fill, mark, ask):
    one, two = fill(2)
    mark(one)
    users = [ask("receipts", p, group=G)["users"][0] for p in (one, two)]
    assert [(u["delivered"], u["read"]) for u in users] == [(True, True), (False, False)]


def test_trimmed_messages_are_not_counted(inbox, fill, mark):
    positions = fill(25)
    assert inbox()["unread"] == 10 and len(inbox()["messages"]) == 10
    assert mark("ONE", positions[0])["unread"] == 10, "gone: nothing changes"
    assert mark("UNREAD", positions[0])["unread"] == 10
    assert mark(positions[19])["unread"] == 5


def test_messages_older_than_the_policy_s_ttl_are_not_counted(redis, policy, ask, send):
    policy({"match": "{user}.in", "inbox": True, "ttl": 100})
    for _ in range(3):
        position = send(group=G)[0]
    redis.delete(own("log:42.in"))
    for offset, age in ((1, 500), (2, 200), (3, 0)):
        redis.xadd(own("log:42.in"), {"m": "{}", "t": (redis.time()[0] - age) * 1000}, id=f"{offset}-0")
    assert ask("inbox", "42", group=G)["unread"] == 1
    assert [m["position"] for m in ask("inbox", "42", group=G)["messages"]] == [str(position)]


def test_an_inbox_that_is_switched_on_later_counts_what_is_there(policy, ask, fill):
    policy({"match": "*", "size": 100})
    fill(3)
    fill(1, "SIZE", 0)
    fill(2)
    policy({"match": "*", "size": 100, "inbox": True})
    assert ask("inbox", "42", group=G)["unread"] == 5, "counted, before anything was written"
    [seventh] = fill(1)
    assert ask("mark_read", "42", "ONE", seventh, group=G)["unread"] == 5
    assert ask("mark_read", "42", "READ", seventh._replace(offset=3), group=G)["unread"] == 2


def test_messages_are_shown_as_gateways_show_them(inbox, redis):
    message = {"bytes": b"\x00\xff\x10", "nan": float("nan"), "big": 2**64 - 1, "text": 'ü"\n', "list": [1, -1.5, None]}
    redis.fcall("group_send", 1, group_key(G), msgpack.packb(message))
    [shown] = inbox()["messages"]
    assert shown["message"] == {"bytes": "AP8Q", "nan": None, "big": 2**64 - 1, "text": 'ü"\n', "list": [1, -1.5, None]}
    assert inbox("RAW")[3] == [[1, 0, msgpack.packb(message)]]


def test_a_page_is_a_mebibyte_and_one_message_at_most(inbox, send):
    for _ in range(4):
        send(b'{"pad":"%s"}' % (b"x" * 600_000), group=G)
    assert len(inbox()["messages"]) == 2 and inbox()["unread"] == 4


def test_what_is_no_message_in_the_log_leaves_the_answer_json(redis, inbox, fill):
    fill(1)
    redis.xadd(own("log:42.in"), {"other": "x"}, id="2-0")
    redis.hset(own("pos:42.in"), "offset", 2)
    assert [m["message"] for m in inbox()["messages"]] == [None, {"n": 1}]


def test_gateways_hear_of_each_change_and_of_nothing_else(inbox, fill, mark, announced):
    one, two = fill(2)
    assert [text["unread"] for text in announced()] == [1, 2], "a send to the user's own group"
    mark("ONE", two)
    mark("ONE", two)
    mark("UNREAD", two)
    mark(one)
    mark("ALL")
    mark("ALL")
    zero = str(one._replace(offset=0))
    assert announced() == [
        {"user": "42", "unread": 1, "read": zero, "read_one": str(two)},
        {"user": "42", "unread": 2, "read": zero, "unread_one": str(two)},
        {"user": "42", "unread": 1, "read": str(one)}, {"user": "42", "unread": 0, "read": str(two)}]
    fill(1, group="shared")
    assert announced() == [], "each of a shared group's users has a count of its own"
    mark("ALL", user='a "b"', group="shared")
    assert [text["user"] for text in announced()] == ['a "b"']


def test_offsets_far_beyond_two_to_the_32_are_exact(redis, inbox, fill, mark):
    fill(1)
    redis.hset(own("pos:42.in"), "offset", 10**14 + 10**9)
    last = fill(12)[-1]
    assert inbox()["unread"] == 10
    assert mark("ONE", last)["unread"] == 9
    assert mark("READ", last._replace(offset=last.offset - 5))["unread"] == 4
    assert mark("ALL") == {"unread": 0, "read": str(last)}


@pytest.mark.parametrize("arguments", [(), ("ONE",), ("ALL", "x"), ("ONE", "x", "y"), ("", "x", "y")])
def test_a_mark_of_another_form_is_refused(inbox, mark, fill, arguments):
    fill(1)
    with pytest.raises(ResponseError, match="mark_read wants a user, then POSITION"):
        mark(*arguments)


def test_marks_of_what_does_not_exist_are_refused_and_change_nothing(redis, inbox, fill, mark, announced):
    [position] = fill(1)
    [foreign] = fill(1, group="shared")
    announced()
    bad = {"of another group": foreign, "no message at this position": position._replace(offset=2), "a position is": "17"}
    for kind in ("READ", "ONE", "UNREAD"):
        for refusal, text in bad.items():
            with pytest.raises(ResponseError, match=refusal):
                mark(kind, text)
    assert inbox()["unread"] == 1 and not redis.exists(own("seen:42.in")) and announced() == []


@pytest.mark.parametrize(("user", "group", "refusal"), [
    ("43", G, "belongs to another user"), ("", "shared", "the user is missing"), (b"\xff", "shared", "a user is UTF-8"),
    ("42", "old", "keeps no inbox"), ("42", "none", "keeps no inbox")])
def test_who_has_no_inbox_there_is_told_why(redis, inbox, user, group, refusal):
    for function, mark in (("inbox", ()), ("mark_read", ("ALL",))):
        with pytest.raises(ResponseError, match=refusal):
            redis.fcall(function, 1, group_key(group), user, *mark)


@pytest.mark.parametrize(("options", "refusal"), [
    (("LIMIT",), "LIMIT wants"), (("LIMIT", 1001), "LIMIT wants"), (("BEFORE",), "unknown option"), (("X",), "unknown option"),
    (("BEFORE", "x"), "a position is")])
def test_options_of_an_inbox_that_are_wrong_are_told(inbox, options, refusal):
    with pytest.raises(ResponseError, match=refusal):
        inbox(*options)


def test_a_failover_keeps_what_was_read(inbox, fill, mark, fail_over):
    one, two = fill(2)
    mark("ONE", two)
    fail_over()
    assert inbox()["unread"] == 1
    assert mark(one)["unread"] == 0
    with pytest.raises(ResponseError, match="no message at this position"):
        mark(two._replace(history="0123456789"))


@pytest.mark.parametrize("family", ["holes", "expiring", "collapse", "seen", "reads", "tracked"])
def test_a_key_of_another_type_loses_no_message(redis, inbox, send, mark, family):
    key = own({"reads": "reads:42.in:42", "tracked": "tracked:42"}.get(family, f"{family}:42.in"))
    options = ("TTL", 60, "COLLAPSE", "k")
    send(b"{}", *options, group=G)
    redis.delete(key)
    redis.set(key, "somebody's")
    positions = [send(b"{}", *options, group=G)[0] for _ in range(2)]
    assert [p.offset for p in positions] == [2, 3]
    assert redis.get(key) == b"somebody's"
    redis.delete(key)
    assert inbox()["unread"] == (3 if family in ("expiring", "collapse") else 1), "what could not be recorded was left in the log"
    assert mark("ALL") == {"unread": 0, "read": str(positions[-1])}
    assert send(group=G) and inbox()["unread"] == 1
