"""Clocks jump: a gateway's clock has no influence on deliveries, and that of Redis affects lifetimes but never the order."""

import json
import time
from datetime import datetime

import pytest

from .bench.load import Load, durable_redis, site_config
from .bench.skew import Skew

pytestmark = pytest.mark.timeout(300)

HOUR, DAY = 3600, 86_400
TOLERANCE = 5.0


@pytest.fixture
def skew():
    with Skew() as skew:
        yield skew


def gateway_clock(gateway) -> float:
    """From the last line of its log."""
    time = datetime.fromisoformat(json.loads(gateway.log.splitlines()[-1])["time"])
    return time.timestamp()


def redis_clock(load) -> float:
    seconds, microseconds = load.redis.client().time()
    return seconds + microseconds / 1e6


def is_off_by(seconds, clock) -> bool:
    return abs(clock - time.time() - seconds) < TOLERANCE


def test_f31_the_clock_of_one_gateway_jumps(scale, skew):
    with Load(scale, environment={0: skew.environment}) as load:
        load.calm()
        for seconds in (HOUR, -HOUR, 0):
            skew.move(seconds)
            load.last(4, 15)
        load.healed()
        load.calm()
        verdict = load.judge("F31 clock of a gateway ± 1 h")
        assert verdict.reconnects == 0
        # Make sure that the clock was moved at all.
        skew.move(HOUR)
        load.gateways[0].stop()
        assert is_off_by(HOUR, gateway_clock(load.gateways[0]))


def skewed_redis(skew):
    return durable_redis("everysec", environment=skew.environment)


def move_redis(load, skew, seconds):
    skew.move(seconds)
    load.last(4, 15)
    assert is_off_by(seconds, redis_clock(load))


@pytest.mark.parametrize("seconds", [90, -HOUR], ids="{:+d}".format)
def test_f30_the_clock_of_redis_jumps(scale, skew, seconds):
    with Load(scale, redis=skewed_redis(skew)) as load:
        load.calm()
        move_redis(load, skew, seconds)
        move_redis(load, skew, 0)
        load.healed()
        load.calm()
        load.judge(f"F30 clock of Redis {seconds:+d} s")


def test_f30_the_clock_of_redis_jumps_a_day_ahead(scale, skew):
    """Every log expires immediately. Connected clients do not notice; positions live ten times as long as logs."""
    with Load(scale, redis=skewed_redis(skew), configuration=site_config()) as load:
        load.calm()
        move_redis(load, skew, DAY + HOUR)
        load.healed()
        load.calm()
        verdict = load.judge("F30 clock of Redis + 1 d", allowed={"gap"})
        epochs = {(a.id.split("/")[1], a.detail.split(".")[0]) for a in load.attempts if a.outcome == "ok"}
        assert len(epochs) == len(load.group_names), "a position began anew"
        assert verdict.reconnects == 0
