"""Sentinels that fail over by themselves: messages whose sender was told that they are accepted are shown to everybody, or
everybody who misses one is told; no gateway is left behind at a server that is no primary any more."""

import json
import os
import re
import signal
import time
from itertools import pairwise

import pytest
from harness.clients import Clients
from harness.event_stream import EventStreams
from harness.gateway import Gateway, config
from harness.http_client import get
from harness.sentinels import Sentinels
from harness.waiting import wait_until

from .bench import figures
from .bench.api_publisher import APIPublishers

pytestmark = pytest.mark.timeout(180)

CLIENTS, GROUPS = 40, 8
TOLD = 4510  # the close code that says: messages are missing
RATE = 200
NUMBER = re.compile(rb'"n": (\d+)')


class Site:
    """A gateway with 40 WebSockets, an event stream in each group, publishers over its API, and the verdict over what was accepted and what was shown."""

    def __init__(self, sentinels, wait_replicas, gateways=1, url=None):
        self.sentinels = sentinels
        groups = [{"match": "*", "history": {"size": 5000, "ttl": "1d"}}]
        settings = config(redis={"wait_replicas": wait_replicas}, groups=groups)
        self.gateways = [Gateway(url or sentinels.url, f"s{n}", settings) for n in range(gateways)]
        self.groups = [f"sentinel-{n}" for n in range(GROUPS)]
        self.clients, self.event_streams = Clients(), EventStreams()

    def __enter__(self):
        for gateway in self.gateways:
            gateway.start()
        self.clients.__enter__()
        urls = [self.gateways[n % len(self.gateways)].url(f"/ws/{self.groups[n % GROUPS]}") for n in range(CLIENTS)]
        self.sockets = [(self.groups[n % GROUPS], self.clients.open(url)[0]) for n, url in enumerate(urls)]
        self.event_streams.__enter__()
        self.streams = {group: self.event_streams.open(self.gateways[0], f"/ws/{group}") for group in self.groups}
        self.publishers = APIPublishers(self.gateways, self.groups, RATE)
        self.publishers.__enter__()
        self.began = time.monotonic()
        return self

    def __exit__(self, *_):
        self.publishers.__exit__()
        self.event_streams.__exit__()
        self.clients.__exit__()
        for gateway in self.gateways:
            gateway.close()

    def await_ready(self, timeout=20):
        wait_until(lambda: {gateway.readyz() for gateway in self.gateways} == {200}, timeout, "every gateway ready")

    def await_publishing(self, timeout=20):
        """Every group's publisher has a message accepted that it began from now on."""
        before = {group: len(messages) for group, messages in self.publishers.accepted.items()}
        wait_until(
            lambda: all(len(self.publishers.accepted[group]) > count + 1 for group, count in before.items()),
            timeout, "accepted messages in every group",
        )  # fmt: skip

    def in_log(self, group) -> set[int]:
        entries = self.sentinels.client().xrange(f"tocsin:log:{group}")
        return {int(n) for _, fields in entries for value in fields.values() for n in NUMBER.findall(value)}

    def judge(self, title, scale, **facts):
        """Nothing that was accepted is missing to anybody who was not told, and nothing is shown out of order, or twice where it
        was accepted at once. Clients with cursors are told when accepted messages are no longer in the log."""
        self.publishers.stop()
        silent, told, disorder, rolled_back, untold = [], 0, [], 0, []
        for group, socket in self.sockets:
            numbers = [number for number, _ in self.publishers.accepted[group]]
            wait_until(
                lambda socket=socket, last=numbers[-1]: not socket.open or f'{{"n": {last}}}' in socket.messages[-1:],
                20, f"message {numbers[-1]} of {group}",
            )  # fmt: skip
            shown = [json.loads(message)["n"] for message in socket.messages]
            if not socket.open:
                assert socket.close_code == TOLD, (socket.close_code, socket.close_reason)
                told += 1
            elif missing := sorted(set(numbers) - set(shown)):
                silent.append((group, missing))
            # What its publisher sent again may have been shown before it was lost.
            retried = self.publishers.retried[group]
            if any(after < before or (after == before and after not in retried) for before, after in pairwise(shown)):
                disorder.append((group, shown))
        for group, stream in self.streams.items():
            gone = {number for number, _ in self.publishers.accepted[group]} - self.in_log(group)
            rolled_back += len(gone)
            notices = [event for event in stream.events if event.name != "message"]
            told += bool(notices)
            if gone and not notices:
                untold.append(group)
        facts = {"clients": CLIENTS, "accepted": self.publishers.count, "retries": self.publishers.retries,
                 "lost in silence": len(silent) + len(untold), "gone from the log": rolled_back, "told": told,
                 "longest pause s": round(self.publishers.longest_pause, 2),
                 "seconds": round(time.monotonic() - self.began, 1), **facts}  # fmt: skip
        figures.recorded.append(figures.Count(title, scale.name, **facts))
        assert not (silent or disorder or untold), json.dumps([silent[:3], disorder[:3], untold[:3]])
        return facts


@pytest.mark.quick
def test_f21_the_primary_is_killed(scale):
    """A message counts as accepted when one replica has it, and Sentinel promotes the replica that has most."""
    with Sentinels() as sentinels, Site(sentinels, wait_replicas=1) as site:
        time.sleep(scale.pick(1, 5))
        old = sentinels.primary
        old.kill()
        sentinels.await_failover(old)
        site.await_publishing()
        site.await_ready()
        time.sleep(scale.pick(0.5, 5))
        facts = site.judge("F21 the primary is killed, 3 Sentinels, wait_replicas 1", scale)
        assert facts["gone from the log"] == 0, facts


def test_f28_two_failovers_one_after_the_other(scale):
    with Sentinels() as sentinels, Site(sentinels, wait_replicas=1, gateways=2) as site:
        for _ in range(2):
            time.sleep(2)
            old = sentinels.primary
            old.kill()
            sentinels.await_failover(old)
            site.await_publishing()
            # Comes back as the new primary's replica: Sentinel sees to that.
            old.start()
            sentinels.await_replicas(2)
        site.judge("F28 two failovers, 3 Sentinels, wait_replicas 1", scale)


@pytest.mark.parametrize("wait_replicas", [1, 2])
def test_f25_a_planned_failover_without_a_pause(scale, wait_replicas):
    """The old primary accepts messages until it hears that it is none. With as many acknowledgements as there are replicas
    none of them counts as accepted; with fewer, a replica that follows still may acknowledge what is lost: that is told."""
    with Sentinels() as sentinels, Site(sentinels, wait_replicas, gateways=2) as site:
        time.sleep(2)
        for n in range(3):
            old = sentinels.primary
            sentinels.failover(n)
            sentinels.await_failover(old)
            sentinels.await_replicas(2)
            site.await_publishing()
        facts = site.judge(f"F25 SENTINEL FAILOVER three times, wait_replicas {wait_replicas}", scale)
        assert wait_replicas < 2 or facts["gone from the log"] == 0, facts


def test_f24_a_planned_failover_with_a_pause(scale):
    """CLIENT PAUSE before SENTINEL FAILOVER: nothing is accepted that the new primary lacks, whatever wait_replicas is. The pause
    ends by itself: until the announcement the old primary would take writes."""
    with Sentinels() as sentinels, Site(sentinels, wait_replicas=0, gateways=2) as site:
        time.sleep(2)
        for n in range(2):
            old = sentinels.primary
            old.client().execute_command("CLIENT", "PAUSE", 15000, "WRITE")
            offset = old.client().info("replication")["master_repl_offset"]
            wait_until(
                lambda: all(r.client().info("replication")["slave_repl_offset"] >= offset for r in sentinels.replicas),  # noqa: B023
                10, "replicas that have everything",
            )  # fmt: skip
            sentinels.failover(n)
            sentinels.await_failover(old)
            sentinels.await_replicas(2)
            site.await_publishing()
        facts = site.judge("F24 CLIENT PAUSE, then SENTINEL FAILOVER, twice", scale)
        assert facts["gone from the log"] == facts["told"] == 0, facts


def test_f23_the_primary_is_frozen(scale):
    """It answers nothing, and its connections stay open: gateways are told by Sentinel, not by the connection's end."""
    with Sentinels() as sentinels, Site(sentinels, wait_replicas=1) as site:
        time.sleep(1)
        old = sentinels.primary
        os.kill(old.pid, signal.SIGSTOP)
        try:
            sentinels.await_failover(old)
            site.await_publishing(10)
            site.await_ready()
        finally:
            os.kill(old.pid, signal.SIGCONT)
        site.await_publishing()
        site.judge("F23 the primary is frozen, 3 Sentinels, wait_replicas 1", scale)


def test_sentinels_die_one_by_one(scale):
    """A gateway that has its primary needs no Sentinel; one that must dial says which of them did not answer."""
    with Sentinels() as sentinels, Site(sentinels, wait_replicas=1) as site:
        first, second, third = sentinels.sentinels
        first.kill()
        site.await_publishing()
        # The subscription has moved to one that lives: a failover is followed as before.
        old = sentinels.primary
        sentinels.failover(1)
        sentinels.await_failover(old)
        site.await_publishing()
        sentinels.await_replicas(2)
        primary = sentinels.primary
        second.kill()
        third.kill()
        site.await_publishing()
        [gateway] = site.gateways
        site.await_ready()
        primary.client().execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        wait_until(lambda: gateway.readyz() == 503, 5, "a gateway that finds nobody to ask")
        wait_until(lambda: all(f"127.0.0.1:{s.port}" in gateway.log for s in sentinels.sentinels), 5, "all are named")
        third.start()
        site.await_ready()
        site.await_publishing()
        site.judge("Sentinels die one by one", scale)


@pytest.mark.quick
def test_f22_the_gateway_s_sentinel_names_the_old_primary_for_a_while(scale):
    """Its Sentinel is frozen when the others fail over, and tells of a server that is gone or a replica when it wakes up."""
    with Sentinels() as sentinels:
        stale, *others = sentinels.sentinels
        with Site(sentinels, 1, url=sentinels.url_of(stale, *others)) as site:
            os.kill(stale.pid, signal.SIGSTOP)
            old = sentinels.primary_of(others[0])
            old.kill()
            wait_until(lambda: sentinels.primary_of(others[0]) is not old, 20, "a failover by the others", every=0.05)
            site.await_publishing()
            os.kill(stale.pid, signal.SIGCONT)
            site.await_ready()
            site.await_publishing()
            wait_until(lambda: sentinels.primary_of(stale) is sentinels.primary_of(others[0]), 20, "a Sentinel that knows again")
            site.judge("F22 one of three Sentinels is frozen during the failover", scale)
            assert get(site.gateways[0].admin_port, "/healthz").status == 200
