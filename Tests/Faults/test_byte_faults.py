"""Network faults on the byte level, between one gateway and Redis: split anywhere, cut anywhere, stalled, ended."""

import contextlib
import time

import pytest

from .bench.load import Load
from .bench.tcp_fault import TCPFault

pytestmark = pytest.mark.timeout(300)


@contextlib.contextmanager
def load_with_a_bad_line(scale, **options):
    """The first gateway reaches Redis through the line, which is yielded along with the load."""
    faults = []

    def url(redis, n):
        if n > 0:
            return redis.url
        faults.append(TCPFault(redis.port))
        return faults[0].url

    try:
        with Load(scale, redis_url=url, **options) as load:
            yield load, faults[0]
    finally:
        for fault in faults:
            fault.close()


def test_f37_bytes_drip(scale):
    """Every reply is split into small pieces, at every place. (One byte at a time would be too slow for the load.)"""
    with load_with_a_bad_line(scale) as (load, line):
        load.calm()
        line.do("drip", bytes=97)
        load.last(4, 15)
        line.do("pass")
        load.healed()
        load.calm()
        load.judge("F37 Redis' bytes drip")


def test_f37_bytes_drip_one_by_one(scale):
    with load_with_a_bad_line(scale, rate=2, clients=100, groups=10) as (load, line):
        line.do("drip", bytes=1)
        load.last(15, 30)
        line.do("pass")
        load.healed()
        load.calm()
        load.judge("F37 Redis' bytes drip one by one")


def test_f37_connections_are_cut_within_replies(scale):
    with load_with_a_bad_line(scale) as (load, line):
        load.calm()
        for count in (37, 1, 500, 4097, 1037, 11, 20_000, 333):
            line.do("cut", bytes=count)
            load.last(1.5, 3)
        line.do("pass")
        load.healed()
        load.calm()
        load.judge("F37 connections to Redis cut mid-reply")


@pytest.mark.parametrize("side", ["down", "up", "both"])
def test_f37_connections_stall(scale, side):
    """Nothing ends and nothing arrives: only a deadline reveals it."""
    with load_with_a_bad_line(scale) as (load, line):
        load.calm()
        line.do("stall", side=side)
        began = time.monotonic()
        load.await_ready_of(load.gateways[0], 503, 12)
        red = time.monotonic() - began
        load.last(10, 20)
        line.do("pass")
        load.healed()
        load.calm()
        load.judge(f"F37 connection to Redis stalls ({side})", red_after_s=round(red, 1))
        assert red <= 5


def test_f37_connections_end(scale):
    with load_with_a_bad_line(scale) as (load, line):
        load.calm()
        for _ in range(scale.pick(5, 10)):
            line.do("fin")
            load.last(0.7, 1)
        load.healed()
        load.calm()
        load.judge("F37 connections to Redis end")


def test_f37_connections_are_refused(scale):
    with load_with_a_bad_line(scale) as (load, line):
        load.calm()
        line.do("refuse")
        load.last(5, 15)
        line.do("pass")
        load.healed()
        load.await_ready()
        load.calm()
        load.judge("F37 connections to Redis refused")


@pytest.mark.quick
def test_f37_a_little_of_everything(scale):
    with load_with_a_bad_line(scale) as (load, line):
        load.calm()
        for word, order, seconds in [
            ("drip", {"bytes": 97}, 2), ("cut", {"bytes": 37}, 1.5), ("cut", {"bytes": 1037}, 1.5), ("fin", {}, 1.5),
            ("stall", {"side": "down"}, 6), ("reset", {}, 1),
        ]:  # fmt: skip
            line.do(word, **order)
            time.sleep(seconds)
        line.do("pass")
        load.healed()
        load.calm()
        load.judge("F37 drip, cut, end, stall, reset in turn")
