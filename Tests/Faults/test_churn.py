"""Clients come and go by the thousand, and descriptors run out: resources are released, and other clients do not suffer."""

import os
import time
from dataclasses import replace

import pytest
from harness.gateway import Gateway
from harness.waiting import wait_until

from .bench.load import Load
from .bench.memory import resident

pytestmark = pytest.mark.timeout(300)

GROWTH = 1.1  # memory at the end, relative to the memory after the first rounds
SLACK = 8 << 20
DESCRIPTORS = 200


def descriptors(gateway) -> int:
    return len(os.listdir(f"/proc/{gateway.pid}/fd"))


def rounds(load, count):
    """All clients disconnect, some with a reset, some in the middle of their handshake, and reconnect immediately."""
    for _ in range(count):
        load.fleet.flip(1.0)
        time.sleep(0.05)
    load.fleet.await_open()


def at_rest(load):
    """What each gateway holds, once three samples in a row agree: the last request for metrics has a connection, too."""
    seen = []

    def agrees():
        seen.append([descriptors(gateway) for gateway in load.gateways])
        return len(seen) > 2 and seen[-1] == seen[-2] == seen[-3]

    wait_until(agrees, 10, "descriptors that stay as they are", every=0.3)
    return [(count, resident(gateway.pid)) for count, gateway in zip(seen[-1], load.gateways, strict=True)]


def test_f38_twenty_thousand_connections_leave_nothing_behind(scale):
    clients = 200
    with Load(replace(scale, clients=clients), haproxy_class=None, rate=100, groups=40) as load:
        rounds(load, 10)
        load.calm()
        load.await_connections(clients)
        before = at_rest(load)
        rounds(load, scale.pick(20, 150))
        load.healed()
        load.calm()
        load.await_connections(clients)
        after = at_rest(load)
        opened = sum(gateway.metric("tocsin_connections_opened_total") for gateway in load.gateways)
        load.judge("F38 connections come and go", opened=int(opened))
        # Clients are distributed anew in each round, so gateways differ; the totals must not.
        assert sum(fds for fds, _ in after) == sum(fds for fds, _ in before)
        assert sum(memory for _, memory in after) <= sum(memory for _, memory in before) * GROWTH + SLACK


class Narrow(Gateway):
    def command(self):
        return ["prlimit", f"--nofile={DESCRIPTORS}:{DESCRIPTORS}", *super().command()]


def test_f39_descriptors_run_out(scale):
    """Late clients are turned away or wait; connected ones are served; when some have left, others are accepted."""
    small = replace(scale, gateways=1, three_groups_every=0)
    with Load(small, haproxy_class=None, clients=50, groups=20, rate=50, gateway_class=Narrow) as load:
        load.calm()
        crowd = load.add_fleet("crowd", [(f"/ws/{group}", [group]) for group in load.group_names] * 15)
        crowd.tell("start", within=1)
        load.last(4, 10)
        assert load.fleet.open == 50
        assert crowd.open < DESCRIPTORS
        load.kill_fleet(crowd)
        late = load.add_fleet("late", [(f"/ws/{group}", [group]) for group in load.group_names])
        late.start(timeout=30)
        load.healed()
        load.calm()
        verdict = load.judge("F39 descriptors run out")
        assert verdict.reconnects == 0
