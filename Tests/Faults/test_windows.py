"""How long clients may be away: everything that is kept is shown, the rest is reported, and nothing is silently missing."""

import json
import time
from dataclasses import replace

import pytest

from .bench import logs
from .bench.load import Load, site_config

pytestmark = pytest.mark.timeout(180)

CLIENTS, GROUPS = 50, 10
WINDOW = 1000
# A log is trimmed by whole nodes of its stream (redis/README.md), so it may hold this many more.
NODE = 100
SHOWN_WITHIN = 20
LARGEST = (1 << 20) - 100
# When the last message may be lost: how long to wait for the others.
BRIEF = 4


def small(scale, history=None, **options):
    """Few clients on one gateway, and only messages that the test sends."""
    if history:
        options["configuration"] = site_config(groups=[{"match": "*", "history": history}])
    scale = replace(scale, gateways=1, three_groups_every=0)
    return Load(scale, haproxy_class=None, clients=CLIENTS, groups=GROUPS, publishing=False, **options)


def show(load, count):
    """Sends this many messages to each group, and waits until all connected clients have seen them."""
    status = load.publishers.burst(count)
    assert load.fleet.await_shown(status["last"], SHOWN_WITHIN)


def away(load, count, seconds=0.0):
    """All clients are away while this many messages are sent to each group, and for a while longer."""
    load.fleet.drop()
    load.publishers.burst(count)
    time.sleep(seconds)
    load.fleet.start(within=0.2)


@pytest.mark.quick
def test_f35_a_full_window_is_caught_up(scale):
    with small(scale) as load:
        show(load, 3)
        away(load, WINDOW)
        load.judge("F35 away for a full window")


@pytest.mark.quick
def test_f35_one_more_than_a_window(scale):
    """Shown, if still in the log; otherwise reported."""
    with small(scale) as load:
        show(load, 3)
        away(load, WINDOW + 1)
        load.judge("F35 away for a window and one", allowed={"gap"})


@pytest.mark.quick
def test_f35_far_more_than_a_window(scale):
    with small(scale) as load:
        show(load, 3)
        away(load, WINDOW + 2 * NODE)
        verdict = load.judge("F35 away for more than a window", required={"gap"})
        # What is kept is shown: a gap is no excuse for an empty page.
        assert verdict.told <= CLIENTS * 2 * NODE


def test_f35_live_clients_keep_what_those_who_were_away_have_lost(scale):
    """The same messages on the same gateway: for one client a gap, for the other none."""
    with small(scale) as load:
        there = load.add_fleet("there", [(f"/ws/{group}", [group]) for group in load.group_names])
        there.start()
        show(load, 3)
        load.fleet.drop()
        for _ in range(12):
            status = load.publishers.burst(100)
            assert there.await_shown(status["last"], SHOWN_WITHIN)
        load.fleet.start()
        load.judge("F35 live clients beside", allowed={"gap"})
        assert {log.name[0] for log in load.logs.values() if log.of(logs.NOTICE)} == {"c"}


def test_f29_a_window_of_one(scale):
    with small(scale, {"size": 1, "ttl": "1d"}) as load:
        show(load, 3)
        away(load, 1)
        load.judge("F29 a window of one")


def test_f29_a_window_of_one_and_far_more(scale):
    with small(scale, {"size": 1, "ttl": "1d"}) as load:
        show(load, 3)
        away(load, 2 * NODE + 2)
        load.judge("F29 a window of one, away for more", required={"gap"})


def test_f29_inside_the_time(scale):
    with small(scale, {"size": 1000, "ttl": "4s"}) as load:
        show(load, 3)
        away(load, 5, seconds=1)
        load.judge("F29 back before the history's time is over")


def test_f29_outside_the_time(scale):
    with small(scale, {"size": 1000, "ttl": "2s"}, patience=BRIEF) as load:
        show(load, 3)
        away(load, 5, seconds=3)
        load.judge("F29 back after the history's time", required={"gap"})


@pytest.mark.parametrize("round", range(5))
def test_f29_at_the_edge_of_the_time(scale, round):
    """At the very moment when the log expires: everything or a notice, never a silent part."""
    with small(scale, {"size": 1000, "ttl": "2s"}, patience=BRIEF) as load:
        show(load, 3)
        away(load, 5, seconds=1.7 + round * 0.06)
        load.judge("F29 back at the edge of the history's time", allowed={"gap"})


def test_f29_a_part_of_the_window_is_too_old(scale):
    """The log survives, because a message was sent in time; messages older than the limit are not guaranteed."""
    with small(scale, {"size": 1000, "ttl": "2s"}) as load:
        show(load, 3)
        load.fleet.drop()
        for _ in range(4):
            load.publishers.burst(5)
            time.sleep(1)
        load.fleet.start(within=0.2)
        load.judge("F29 a part is too old", allowed={"gap"})


def test_f29_redis_restarts_within_the_time(scale):
    with small(scale, {"size": 1000, "ttl": "1h"}) as load:
        show(load, 3)
        load.fleet.drop()
        load.publishers.burst(5)
        load.redis.kill()
        load.redis.start()
        load.await_ready()
        load.publishers.burst(5)
        load.fleet.start(within=0.2)
        load.judge("F29 Redis restarts while clients are away")


def test_f29_an_expired_message_is_never_shown(scale):
    """TTL: it is not shown to clients that come later, and its absence is not a gap."""
    with small(scale) as load:
        show(load, 3)
        load.fleet.drop()
        client = load.redis.client()
        for group in load.group_names:
            client.fcall("group_send", 1, f"asgi:group:{group}", json.dumps({"id": f"p/{group}/ttl"}), "TTL", 1)
        load.publishers.burst(2)
        time.sleep(1.2)
        load.fleet.start(within=0.2)
        load.judge("F29 an expired message")


def test_f35_the_largest_messages_are_caught_up(scale):
    """Each is as large as a whole page of the log may be."""
    scale = replace(scale, gateways=1, three_groups_every=0)
    with Load(scale, haproxy_class=None, clients=4, groups=2, publishing=False, padding=LARGEST) as load:
        show(load, 1)
        away(load, 12)
        load.judge("F35 away for messages of 1 MiB")
