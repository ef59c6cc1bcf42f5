"""Random histories of a group with an inbox: after each step Redis' answers equal a model's that counts instead of calculating.

CI runs the same few hundred steps each time. By hand, thousands of histories that differ:

    TOCSIN_HISTORIES=3000 .venv/bin/pytest -c Tests/pytest.ini --timeout=0 Tests/Functions/test_inbox_model.py
"""

import json
import os

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from harness.inbox_model import InboxModel
from harness.names import Position, group_key, own

HISTORIES = int(os.environ.get("TOCSIN_HISTORIES", 0))
USERS = ("42", "Ada Lovelace", "ü:*!{}")
PAST = 1000  # ms since 1970


class Inbox(RuleBasedStateMachine):
    redis, fail_over_server = None, None

    @initialize(size=st.integers(2, 8))
    def start(self, size):
        self.redis.flushall()
        self.model, self.number, self.size = InboxModel(size), 0, size
        self.configure(inbox=True)

    def configure(self, inbox):
        rule = {"match": "g", "size": self.size, "inbox": inbox}
        self.redis.fcall("policy_set", 0, "asgi", json.dumps([rule]))

    def call(self, function, *arguments):
        return self.redis.fcall(function, 1, group_key("g"), *arguments)

    @rule(options=st.lists(st.sampled_from(["TTL", "COLLAPSE a", "COLLAPSE b"]), max_size=2), times=st.integers(1, 3))
    def send(self, options, times):
        self.send_with(options, times)

    def send_with(self, options, times, size=None):
        collapse = next((option[-1] for option in options if option.startswith("COLLAPSE")), None)
        for _ in range(times):
            self.number += 1
            arguments = ["TTL", 1000] * ("TTL" in options) + (["COLLAPSE", collapse] if collapse else [])
            answer = self.call("group_send", json.dumps({"n": self.number}), *arguments)
            self.model.send(f'{{"n": {self.number}}}', collapse, "TTL" in options, size=size)
            assert Position.parse(answer[0]).offset == len(self.model.messages)

    @rule(times=st.integers(1, 2))
    def send_live(self, times):
        for _ in range(times):
            self.call("group_send", "{}", "SIZE", 0)
            self.model.send("{}", live=True)

    @rule(size=st.integers(1, 4))
    def send_and_keep_few(self, size):
        self.number += 1
        self.call("group_send", json.dumps({"n": self.number}), "SIZE", size)
        self.model.send(f'{{"n": {self.number}}}', size=size)

    @rule()
    def let_time_pass(self):
        """Redis' clock cannot be turned: what has a TTL gets one that is over."""
        for entry, fields in self.redis.xrange(own("log:g")):
            if b"x" in fields:
                self.rewrite(entry, {**fields, b"x": PAST})
        for offset in self.redis.zrange(own("expiring:g"), 0, -1):
            self.redis.zadd(own("expiring:g"), {offset: PAST})
        self.model.expire()

    def rewrite(self, entry, fields):
        """A stream takes no entry before its last one, so all are written again."""
        entries = [(e, fields if e == entry else f) for e, f in self.redis.xrange(own("log:g"))]
        self.redis.delete(own("log:g"))
        for e, f in entries:
            self.redis.xadd(own("log:g"), f, id=e)
        self.redis.expire(own("log:g"), 86400)

    @rule(user=st.sampled_from(USERS), kind=st.sampled_from(["READ", "ONE", "UNREAD", "ALL"]), back=st.integers(0, 9))
    def mark(self, user, kind, back):
        top = len(self.model.messages)
        offset = top if kind == "ALL" else max(top - back, 1)
        if top == 0:
            return
        position = Position.parse(self.call("group_position"))._replace(offset=offset)
        self.call("mark_read", user, kind, *[str(position)] * (kind != "ALL"))
        self.model.mark(user, kind, offset)

    @rule()
    def send_while_the_inbox_is_switched_off(self):
        """Logs without an inbox are trimmed by whole nodes of the stream, which hold a hundred entries: here not at all."""
        self.configure(inbox=False)
        self.send_with(["TTL"], 1, size=100)
        self.call("group_send", "{}", "SIZE", 0)
        self.model.send("{}", live=True)
        self.send_with(["COLLAPSE a"], 1, size=100)
        self.configure(inbox=True)

    @rule(names=st.sampled_from([(own("pos:g"),), ()]))
    def lose(self, names):
        self.redis.delete(*names) if names else self.redis.flushall()
        self.configure(inbox=True)
        self.model.reset()
        self.send_with([], 1)

    @rule()
    def fail_over(self):
        self.fail_over_server()

    @invariant()
    def the_inboxes_are_the_model_s(self):
        for user in USERS if hasattr(self, "model") else ():
            answer = json.loads(self.redis.fcall_ro("inbox", 1, group_key("g"), user))
            page = [(Position.parse(m["position"]).offset, json.dumps(m["message"]), m["read"]) for m in answer["messages"]]
            assert page == self.model.page(user), user
            assert answer["unread"] == self.model.unread(user), user

    @invariant()
    def a_reader_is_told_of_a_gap_exactly_where_something_is_missing(self):
        top = len(self.model.messages) if hasattr(self, "model") else 0
        if top == 0:
            return
        position = Position.parse(self.call("group_position"))
        for since in range(max(top - 12, 0), top):
            assert self.is_whole_from(position, since) == self.model.is_whole_from(since), since

    def is_whole_from(self, position, since):
        """Reads on, page by page, as gateways do."""
        while since < position.offset:
            start = str(position._replace(offset=since))
            [[verdict, _, _, entries]] = self.redis.fcall_ro("group_read", 1, group_key("g"), 3, 10**6, start)
            if verdict != b"resumed":
                return False
            since = entries[-2]
        return True


@pytest.mark.timeout(0 if HISTORIES else 120)
def test_inboxes_equal_a_model_s_whatever_happens(redis, fail_over):
    Inbox.redis, Inbox.fail_over_server = redis, staticmethod(fail_over)
    run_state_machine_as_test(Inbox, settings=settings(
        max_examples=HISTORIES or 300, stateful_step_count=30 if HISTORIES else 15, derandomize=not HISTORIES, deadline=None,
        database=None, suppress_health_check=list(HealthCheck)))
