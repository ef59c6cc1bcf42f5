"""Tasks of escalations (claim, finish, dead letters, retry) and Web Push subscriptions."""

import json

import pytest
from redis.exceptions import ResponseError

from harness.names import group_key, own

RULE = {"match": "{user}.in", "size": 100, "receipts": True, "escalate": {"after": 60, "to": ["site", "push"]}}


@pytest.fixture
def escalate(redis, send, fleet):
    """escalate(n, message=b"{}", user="42"): so many messages that nobody confirmed"""
    targets = {"site": {"kind": "webhook"}, "push": {"kind": "web_push"}}
    redis.fcall("policy_set", 0, "asgi", json.dumps([RULE]), "", "", json.dumps(targets))

    def escalate(n=1, message=b"{}", user="42"):
        for _ in range(n):
            send(message, group=f"{user}.in")
        redis.zadd(own("due"), {member: 1 for member in redis.zrange(own("due"), 0, -1)})
        assert fleet("due_run", 1000)[3] == n

    return escalate


@pytest.fixture
def claim(fleet):
    """claim(most=100, limit=100, target="site") → (id, attempt) of each"""
    return lambda most=100, limit=100, target="site": [
        (task[0].decode(), int(task[2])) for task in fleet("escalation_claim", target, most, limit, 60)]


@pytest.fixture
def finish(fleet):
    return lambda task, *result, target="site": fleet("escalation_finish", target, *task, *result)


@pytest.fixture
def end_leases(redis):
    return lambda: [redis.zadd(key, {task: 1 for task in redis.zrange(key, 0, -1)}) for key in redis.keys(own("claims:*"))]


def test_no_more_are_in_flight_in_the_fleet_than_are_allowed(escalate, claim, finish):
    escalate(10)
    first = claim(most=4, limit=3)
    assert len(first) == 3 and len(claim(most=4)) == 1 and claim(most=4) == []
    assert finish(first[0], "DONE") == 1 and len(claim(most=4)) == 1
    assert claim(most=2) == [], "fewer are allowed now"


def test_what_is_done_leaves_nothing(escalate, claim, finish, redis):
    escalate()
    [task] = claim()
    assert finish(task, "DONE") == 1 and finish(task, "DONE") == 0
    assert redis.keys(own("task*")) == [] and redis.keys(own("claims:*")) == []


def test_a_lease_that_ended_is_claimed_again_and_a_late_success_counts(escalate, claim, finish, end_leases):
    escalate()
    [(name, attempt)] = claim()
    assert attempt == 1 and claim() == []
    end_leases()
    [again] = claim()
    assert again == (name, 2)
    assert finish((name, 1), "RETRY", 0, "late") == 0 and finish((name, 1), "DEAD", "late") == 0, "another has it"
    assert finish((name, 1), "DONE") == 1 and finish(again, "DONE") == 0


def test_a_retry_waits_and_keeps_its_id(escalate, claim, finish, redis):
    escalate()
    [task] = claim()
    assert finish(task, "RETRY", 60_000, "503") == 1 and claim() == []
    redis.zadd(own("tasks:site"), {task[0]: 1})
    assert claim() == [(task[0], 2)]


def test_a_dead_letter_is_listed_and_sent_again(escalate, claim, finish, fleet, redis):
    escalate(3)
    for task in claim():
        assert finish(task, "DEAD", '410 "Gone"') == 1
    listed = fleet("escalation_list", 2)
    assert listed["targets"] == [{"target": "push", "waiting": 0, "in_flight": 0}, {"target": "site", "waiting": 0, "in_flight": 0}]
    assert len(listed["dead"]) == 2
    dead = listed["dead"][0]
    assert (dead["target"], dead["group"], dead["user"], dead["attempts"], dead["reason"]) == ("site", "42.in", "42", 1, '410 "Gone"')
    assert redis.ttl(own(f"task:{dead['id']}")) > 0
    assert fleet("escalation_retry", dead["id"]) == 1 and claim() == [(dead["id"], 1)]
    assert redis.ttl(own(f"task:{dead['id']}")) == -1
    assert fleet("escalation_retry", "all") == 2 and fleet("escalation_retry", "ALL") == 0 and fleet("escalation_retry", "x") == 0


def test_ten_thousand_dead_letters_are_kept(escalate, claim, finish, fleet, redis):
    escalate()
    redis.zadd(own("dead"), {f"site old{n}": redis.time()[0] * 1000 - 10_000 + n for n in range(10_000)})
    redis.hset(own("task:old0"), "target", "site")
    [task] = claim()
    finish(task, "DEAD", "x")
    assert redis.zcard(own("dead")) == 10_000 and not redis.exists(own("task:old0"))


def test_a_task_of_another_target_is_not_finished(escalate, claim, finish, redis):
    escalate()
    [task] = claim()
    assert finish(task, "DONE", target="push") == 0 and redis.exists(own(f"task:{task[0]}"))


def test_each_of_the_user_s_browsers_gets_a_push(escalate, fleet):
    for name, end in (("a1", "one"), ("b2", "two")):
        fleet("push_set", "42", name, json.dumps({"endpoint": end}))
    fleet("push_set", "43", "c3", "{}")
    escalate(1, b'{"n":1}')
    tasks = fleet("escalation_claim", "push", 9, 9, 60)
    assert sorted((t[0].decode().split("/")[1:], json.loads(t[8])) for t in tasks) == [
        (["push", "a1"], {"endpoint": "one"}), (["push", "b2"], {"endpoint": "two"})]
    assert {tuple(json.loads(t[7])) for t in tasks} == {("group", "user", "position", "message")}


@pytest.mark.parametrize("over", [0, 1])
def test_a_message_that_is_no_payload_of_one_record_sends_its_position(escalate, fleet, over):
    fleet("push_set", "42", "a1", "{}")
    around = len('{"group":"42.in","user":"42","position":"01234567.0123456789:1","message":{"p":""}}')
    escalate(1, b'{"p":"%s"}' % (b"x" * (3993 - around + over)))
    body = fleet("escalation_claim", "push", 9, 9, 60)[0][7]
    assert ("message" in json.loads(body)) is not over and (over or len(body) == 3993)
    assert json.loads(body)["position"].endswith(":1")


def test_a_subscription_that_is_gone_is_removed_and_the_other_stays(escalate, claim, finish, fleet, redis):
    for name in ("a1", "b2"):
        fleet("push_set", "42", name, "{}")
    escalate()
    for task in claim(target="push"):
        finish(task, "GONE" if task[0].endswith("a1") else "DONE", target="push")
    assert redis.hkeys(own("push:42")) == [b"b2"]


def test_a_user_has_twenty_subscriptions_at_most(fleet):
    assert [fleet("push_set", "42", f"{n:x}", "{}") for n in range(20)] == list(range(1, 21))
    with pytest.raises(ResponseError, match="20 push subscriptions already; remove one first"):
        fleet("push_set", "42", "ff", "{}")
    assert fleet("push_set", "42", "1", '{"new":1}') == 20, "a known one is replaced"
    assert fleet("push_delete", "42", "1") == 1 and fleet("push_delete", "42", "1") == 0
    assert fleet("push_set", "42", "ff", "{}") == 20


@pytest.mark.parametrize("arguments", [
    ("42", "a1"), ("", "a1", "{}"), ("42", "x", "{}"), ("42", "a" * 65, "{}"), ("42", "a1", "[]"), ("42", "a1", "x"),
    ("42", "a1", '{"p":"%s"}' % ("x" * 4096)), (b"\xff", "a1", "{}"), ("x" * 1025, "a1", "{}")])
def test_what_is_no_subscription_is_refused(redis, arguments):
    with pytest.raises(ResponseError, match="push_set wants prefix, user, id"):
        redis.fcall("push_set", 0, "asgi", *arguments)
    assert redis.keys() == []


@pytest.mark.parametrize(("function", "arguments"), [
    ("escalation_claim", ("a b", 1, 1, 1)), ("escalation_claim", ("site", 0, 1, 1)), ("escalation_claim", ("site", 1, 1001, 1)),
    ("escalation_claim", ("site", 1, 1)), ("escalation_finish", ("site", "x", 1)), ("escalation_finish", ("site", "x", 1, "RETRY")),
    ("escalation_finish", ("site", "x", 1, "LOST")), ("escalation_list", (0,)), ("escalation_retry", ()), ("push_delete", ("42",)),
    ("due_run", (0,)), ("due_run", ()), ("schedule_list", (1001,))])
def test_wrong_arguments_are_told(redis, function, arguments):
    with pytest.raises(ResponseError, match=f"{function} wants"):
        redis.fcall(function, 0, "asgi", *arguments)


@pytest.mark.parametrize("family", ["tasks", "claims"])
def test_a_key_of_another_type_loses_no_task(escalate, claim, redis, end_leases, family):
    escalate(2)
    [task] = claim(limit=1)
    end_leases()
    kept = redis.dump(own(f"{family}:site"))
    redis.set(own(f"{family}:site"), "somebody's")
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        claim()
    redis.delete(own(f"{family}:site"))
    redis.restore(own(f"{family}:site"), 0, kept)
    assert len(claim()) == 2 and task


def test_nothing_is_claimed_of_a_group_that_no_rule_escalates(redis, send, claim):
    redis.fcall("group_send", 1, group_key("plain"), "{}")
    assert claim() == [] and redis.keys(own("task*")) == []
