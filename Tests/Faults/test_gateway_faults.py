"""Gateways die, restart, freeze: their clients get what they missed, and no other clients notice."""

import signal

import pytest
from harness.waiting import wait_until

from .bench.load import Load, durable_redis, site_config

pytestmark = pytest.mark.timeout(300)

# A gateway that was disconnected reconnects by itself; its clients stay connected.
CUT_BY_REDIS = "scheduled to be closed ASAP for overcoming of output buffer limits"


@pytest.mark.quick
def test_f01_a_gateway_is_killed_and_restarted(scale):
    with Load(scale) as load:
        load.calm()
        load.gateways[0].kill()
        load.last(3, 10)
        load.gateways[0].start()
        load.healed()
        load.calm()
        verdict = load.judge("F01 gateway SIGKILL")
        assert verdict.reconnects >= len(load.logs) // 4


@pytest.mark.quick
def test_f02_all_gateways_are_restarted_one_after_the_other(scale):
    with Load(scale) as load:
        load.calm()
        for gateway in load.gateways:
            gateway.signal(signal.SIGTERM)
            assert gateway.wait(30) == 0
            gateway.start()
            load.haproxy.wait_for(gateway, "UP")
            load.last(0, 8)
        load.healed()
        load.calm()
        verdict = load.judge("F02 rolling restart")
        assert verdict.reconnects >= len(load.logs)


def test_f03_a_gateway_is_frozen_for_20_s(scale):
    with Load(scale) as load:
        load.calm()
        load.gateways[0].pause()
        load.last(20, 20)
        load.gateways[0].resume()
        load.healed()
        load.calm()
        load.judge("F03 gateway SIGSTOP 20 s")


def test_f04_a_frozen_gateway_is_cut_by_redis(scale):
    """It wakes up with what Redis could still send it, then gets nothing, and has to notice."""
    with Load(scale, redis=durable_redis("everysec", "--loglevel", "notice"), padding=2000) as load:
        load.redis.client().config_set("client-output-buffer-limit", "pubsub 512kb 256kb 2")
        load.calm()
        load.gateways[0].pause()
        wait_until(lambda: CUT_BY_REDIS in load.redis.log, 60, "Redis cuts the frozen gateway")
        load.last(3, 10)
        load.gateways[0].resume()
        load.healed()
        load.calm()
        load.judge("F04 output-buffer kill")


# The bench itself: faults that are not repaired are detected, through all the real processes.


@pytest.mark.quick
def test_f01_control_clients_that_forget_their_cursor_lose_messages(scale):
    with Load(scale, forgetful=True) as load:
        load.calm()
        load.gateways[0].kill()
        load.last(2, 2)
        load.gateways[0].start()
        load.calm()
        verdict = load.compare()
        assert verdict.lost > 0 and verdict.untold > 0 and not verdict.passes
        assert (verdict.duplicated, verdict.reordered, verdict.phantoms) == (0, 0, 0)


def test_f01_control_without_history_clients_are_told_what_they_lost(scale):
    with Load(scale, configuration=site_config(0)) as load:
        load.calm()
        load.gateways[0].kill()
        load.last(2, 2)
        load.gateways[0].start()
        load.calm()
        verdict = load.judge("F01 control: no history", allowed={"dropped"})
        assert verdict.told > 0
