"""Many at once: clients that reconnect together, bursts, and endless coming and going."""

import time
from dataclasses import replace

import pytest

from .bench.load import Load

pytestmark = pytest.mark.timeout(300)


def test_f33_the_clients_of_one_gateway_come_back_together(scale):
    """A third of 2,000, to the remaining two gateways, which do not expect them."""
    with Load(replace(scale, rate=scale.pick(20, 100))) as load:
        load.calm()
        load.gateways[0].kill()
        load.healed()
        load.last(5, 10)
        load.gateways[0].start()
        load.calm()
        verdict = load.judge("F33 herd: one gateway's clients")
        assert verdict.reconnects >= len(load.logs) // 4


def test_f33_all_clients_come_back_together(scale):
    with Load(replace(scale, rate=scale.pick(20, 100))) as load:
        load.calm()
        for gateway in load.gateways:
            gateway.kill()
        for gateway in load.gateways:
            gateway.start(wait=False)
        for gateway in load.gateways:
            gateway.wait_ready()
        load.healed()
        load.calm()
        verdict = load.judge("F33 herd: all gateways at once")
        assert verdict.reconnects >= len(load.logs)


def test_f34_a_burst_to_one_group(scale):
    """Faster than it can be written to so many: two windows' worth without a pause."""
    with Load(scale, clients=scale.pick(100, 300), groups=1, publishing=False) as load:
        for _ in range(4):
            load.publishers.burst(500)
        load.healed()
        # Longer than the history: clients that cannot keep up are told.
        load.judge("F34 burst to one group", allowed={"gap"})


def test_f36_clients_come_and_go_while_messages_are_sent(scale):
    """Fifty clients of twenty groups disconnect and reconnect a hundred times a second, amid a group's messages."""
    with Load(scale, haproxy_class=None) as load:
        groups = load.group_names[:20]
        storm = load.add_fleet("s", [(f"/ws/{groups[n % 20]}", [groups[n % 20]]) for n in range(50)])
        storm.start()
        load.calm()
        ends = time.monotonic() + scale.pick(6, 20)
        while time.monotonic() < ends:
            storm.flip(0.02)
            time.sleep(0.01)
        load.healed()
        load.calm()
        verdict = load.judge("F36 subscribe and unsubscribe storm")
        assert verdict.reconnects > scale.pick(200, 1000)


def test_f36_groups_are_left_and_joined_again_while_messages_are_sent(scale):
    """Nobody else is in these groups: each flip ends a subscription and makes it again."""
    with Load(scale, haproxy_class=None, clients=20, groups=20, rate=scale.pick(100, 300)) as load:
        load.calm()
        ends = time.monotonic() + scale.pick(6, 20)
        while time.monotonic() < ends:
            load.fleet.flip(0.05)
            time.sleep(0.01)
        load.healed()
        load.calm()
        load.judge("F36 subscriptions end and begin")
