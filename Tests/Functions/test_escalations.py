"""ESCALATE: who has not got a message in time is escalated, once, however many ask and whatever is in the way."""

import json

import pytest
from redis.exceptions import ResponseError

from harness.names import group_key, own

TARGETS = {"site": {"kind": "webhook"}, "push": {"kind": "web_push"}}
G = "42.in"


@pytest.fixture
def configure(redis):
    """configure(rule, …): the rules, with a webhook and a Web Push as targets"""
    def configure(*rules, targets=TARGETS):
        redis.fcall("policy_set", 0, "asgi", json.dumps(rules), "", "", json.dumps(targets))

    configure({"match": "{user}.in", "size": 10, "inbox": True}, {"match": "shared", "receipts": True})
    return configure


@pytest.fixture
def come_due(redis, fleet):
    """come_due() → the escalations of all that waits: (user, position) each"""

    def come_due():
        before = redis.xlen(own("escalations"))
        for _ in range(10):
            redis.zadd(own("due"), {member: 1 for member in redis.zrange(own("due"), 0, -1)} or {"none": 1})
            if fleet("due_run", 100)[1] == -1:
                break
        entries = redis.xrange(own("escalations"))[before:]
        return [(fields[b"user"].decode(), fields[b"position"].decode()) for _, fields in entries]

    return come_due


@pytest.mark.usefixtures("configure")
def test_a_message_that_nobody_confirmed_is_escalated_once_with_all_that_is_known(send, come_due, redis, fleet):
    position, _ = send(b'{"n":1}', "ESCALATE", 300, "TTL", 600, "URGENCY", "low", "COLLAPSE", "k", group=G)
    assert come_due() == [("42", str(position))] and come_due() == []
    [(_, entry)] = redis.xrange(own("escalations"))
    [[name, escalation, attempt, since, group, user, where, body, subscription, ttl, urgency, topic]] = fleet(
        "escalation_claim", "site", 9, 9, 60)
    assert entry == {b"id": escalation, b"group": b"42.in", b"user": b"42", b"position": str(position).encode(),
                     b"message": b'{"n":1}', b"delivered": b"0", b"read": b"0"}
    assert (attempt, group, user, where, subscription, urgency, topic) == (b"1", b"42.in", b"42", str(position).encode(), b"", b"low", b"k")
    assert name == escalation + b"/site" and 590 < int(ttl) <= 600 and abs(float(since) - redis.time()[0]) < 5
    body = json.loads(body)
    assert abs(body.pop("timestamp") - redis.time()[0]) < 5
    assert body == {"type": "notification.unseen", "data": {
        "group": G, "user": "42", "position": str(position), "message": {"n": 1}, "delivered": False, "read": False}}


@pytest.mark.usefixtures("configure")
@pytest.mark.parametrize(("unless", "mark", "is_seen"), [
    ("read", "delivered", False), ("read", "read", True), ("delivered", "delivered", True), ("delivered", "read", True)])
def test_what_was_seen_in_time_is_not_escalated(send, ask, come_due, redis, unless, mark, is_seen):
    position, _ = send(b"{}", "ESCALATE", 300, "UNLESS", unless, group=G)
    if mark == "read":
        ask("mark_read", "42", "ONE", position, group=G)
    else:
        redis.fcall("mark_delivered", 1, group_key(G), "42", str(position))
    assert bool(come_due()) is not is_seen
    if not is_seen:
        assert redis.xrange(own("escalations"))[0][1][b"delivered"] == b"1"


def test_the_policy_escalates_unless_the_send_says_otherwise(configure, send, redis, come_due):
    configure({"match": "{user}.in", "inbox": True, "escalate": {"after": 60, "unless": "delivered", "to": ["site"]}})
    never, policy, own_time = (send(b"{}", *o, group=G)[0] for o in (("ESCALATE", 0), (), ("ESCALATE", 5, "UNLESS", "read")))
    waiting = redis.zrange(own("due"), 0, -1, withscores=True)
    assert [member.decode() for member, _ in waiting] == [f"e {own_time} {G} read", f"e {policy} {G} delivered"]
    assert 50_000 < waiting[1][1] - waiting[0][1] < 60_000
    assert len(come_due()) == 2 and never


def test_each_target_of_the_rule_gets_a_task(configure, send, come_due, redis):
    configure({"match": "{user}.in", "inbox": True, "escalate": {"after": 60, "to": ["site", "other", "unknown"]}},
              targets={**TARGETS, "other": {"kind": "webhook"}})
    send(group=G)
    assert len(come_due()) == 1
    assert {key.decode() for key in redis.keys(own("tasks:*"))} == {own("tasks:site"), own("tasks:other")}


@pytest.mark.usefixtures("configure")
def test_each_user_of_a_shared_group_is_escalated_alone(send, come_due, redis):
    position, _ = send(b"{}", "ESCALATE", 60, group="shared")
    for user in ("Ada Lovelace", "Bob", "ü"):
        redis.fcall("group_add", 1, group_key("shared"), "gw", 60, f"specific.gw!{len(user)}", user, "")
    redis.fcall("mark_delivered", 1, group_key("shared"), "Bob", str(position))
    assert come_due() == [("Ada Lovelace", str(position)), ("ü", str(position))] and come_due() == []


@pytest.mark.usefixtures("configure")
def test_one_who_confirms_between_the_steps_is_not_escalated(send, redis, fleet):
    position, _ = send(b"{}", "ESCALATE", 60, group="shared")
    redis.fcall("group_add", 1, group_key("shared"), "gw", 60, "specific.gw!1", "Bob", "")
    redis.zadd(own("due"), {member: 1 for member in redis.zrange(own("due"), 0, -1)})
    assert fleet("due_run", 1) == [1, 0, 0, 0]
    redis.fcall("mark_delivered", 1, group_key("shared"), "Bob", str(position))
    assert fleet("due_run", 9) == [1, -1, 0, 0]


@pytest.mark.usefixtures("configure")
def test_what_was_collapsed_or_has_expired_is_dropped(send, come_due, redis):
    send(b"{}", "COLLAPSE", "k", "ESCALATE", 60, group=G)
    last, _ = send(b"{}", "COLLAPSE", "k", "ESCALATE", 60, group=G)
    send(b"{}", "TTL", 60, "ESCALATE", 60, group=G)
    expired, _ = send(b"{}", "TTL", 61, "ESCALATE", 60, group=G)
    assert redis.zcard(own("due")) == 3, "none for what will have expired"
    redis.zadd(own(f"expiring:{G}"), {expired.offset: 1})
    send(group=G)
    assert come_due() == [("42", str(last))]


@pytest.mark.usefixtures("configure")
def test_of_what_was_trimmed_the_message_is_null(send, come_due, redis, fleet):
    position, _ = send(b"{}", "ESCALATE", 60, group=G)
    for _ in range(10):
        send(group=G)
    assert come_due() == [("42", str(position))]
    assert redis.xrange(own("escalations"))[0][1][b"message"] == b"null"
    assert json.loads(fleet("escalation_claim", "site", 9, 9, 60)[0][7])["data"]["message"] is None


@pytest.mark.usefixtures("configure")
def test_of_a_message_that_this_redis_lost_there_is_none(send, come_due, redis):
    position, _ = send(b"{}", "ESCALATE", 60, group=G)
    redis.zadd(own("due"), {f"e {position._replace(history='0123456789')} {G} read": 1})
    redis.zrem(own("due"), f"e {position} {G} read")
    assert come_due() == [], "it was sent under a history that this server does not have"
    send(b"{}", "ESCALATE", 60, group=G)
    redis.delete(own(f"pos:{G}"))
    assert come_due() == []


def test_a_group_whose_receipts_were_switched_off_escalates_nothing(configure, send, come_due):
    send(b"{}", "ESCALATE", 60, group=G)
    configure({"match": "*"})
    assert come_due() == []


@pytest.mark.usefixtures("configure")
@pytest.mark.parametrize(("options", "group", "refusal"), [
    (("ESCALATE",), G, "ESCALATE wants whole seconds"), (("ESCALATE", "1.5"), G, "ESCALATE wants"),
    (("ESCALATE", 315360001), G, "ESCALATE wants"), (("ESCALATE", 1, "UNLESS"), G, "UNLESS wants delivered or read"),
    (("ESCALATE", 1, "UNLESS", "seen"), G, "UNLESS wants"), (("UNLESS", "read"), G, "unknown option"),
    (("ESCALATE", 1), "plain", "keeps no receipts"), (("ESCALATE", 1, "UNLESS", "read"), "shared", "keeps no inbox"),
    (("ESCALATE", 1, "SIZE", 0), G, "ESCALATE is for messages that are kept"), (("URGENCY", "urgent"), G, "URGENCY wants")])
def test_what_cannot_be_escalated_is_refused_before_anything_is_sent(send, redis, options, group, refusal):
    with pytest.raises(ResponseError, match=refusal):
        send(b"{}", *options, group=group)
    assert redis.keys() == [own("policy").encode()]


@pytest.mark.parametrize("escalate", [
    {}, {"after": 0}, {"after": 1.5}, {"after": 1, "unless": "x"}, {"after": 1, "to": "site"}, {"after": 1, "to": ["a b"]}, 5])
def test_a_rule_that_escalates_otherwise_is_refused(policy, escalate):
    with pytest.raises(ResponseError, match="`escalate` is"):
        policy({"match": "a", "inbox": True, "escalate": escalate})


@pytest.mark.parametrize("targets", ["[]", "x", '{"a b":{"kind":"webhook"}}', '{"a":{"kind":"smtp"}}', '{"a":1}'])
def test_targets_of_another_form_are_refused(redis, targets):
    with pytest.raises(ResponseError, match="the targets are"):
        redis.fcall("policy_set", 0, "asgi", "[]", "", "", targets)


@pytest.mark.usefixtures("configure")
@pytest.mark.parametrize("key", ["escalations", "tasks:site", f"seen:{G}", f"log:{G}", f"holes:{G}", "push:42"])
def test_a_key_of_another_type_delays_an_escalation_and_doubles_none(send, redis, fleet, come_due, key):
    position, _ = send(b"{}", "ESCALATE", 60, group=G)
    kept = redis.dump(own(key))
    redis.delete(own(key))
    redis.set(own(key), "somebody's")
    if key == f"holes:{G}":
        redis.delete(own(f"log:{G}"))
    for _ in range(3):
        redis.zadd(own("due"), {f"e {position} {G} read": 1})
        assert fleet("due_run", 9)[3] == 0
    assert own(key).encode() in redis.zrange(own("foreign"), 0, -1)
    redis.delete(own(key))
    if kept:
        redis.restore(own(key), 0, kept)
    assert come_due() == [("42", str(position))]


@pytest.mark.usefixtures("configure")
def test_with_a_million_waiting_a_send_says_so(send, redis):
    redis.eval("for i = 1, 1000000 do redis.call('ZADD', KEYS[1], 9e15, 'x' .. i) end", 1, own("due"))
    for options in (("ESCALATE", 60), ("IN", 60)):
        with pytest.raises(ResponseError, match="1000000 sends and escalations are waiting already"):
            send(b"{}", *options, group=G)
    assert send(group=G)[0].offset == 1


@pytest.mark.usefixtures("configure")
def test_a_target_that_is_a_million_tasks_behind_holds_up_its_escalations_and_loses_none(send, redis, fleet, come_due):
    position, _ = send(b"{}", "ESCALATE", 60, group=G)
    redis.eval("for i = 1, 1000000 do redis.call('ZADD', KEYS[1], i, 'x' .. i) end", 1, own("tasks:site"))
    redis.zadd(own("due"), {f"e {position} {G} read": 1})
    assert fleet("due_run", 9)[3] == 0 and redis.zcard(own("due")) == 1
    assert not redis.exists(own("foreign"), own("escalations")), "a full set is no foreign one"
    redis.zremrangebyrank(own("tasks:site"), 0, 0)
    assert come_due() == [("42", str(position))]
