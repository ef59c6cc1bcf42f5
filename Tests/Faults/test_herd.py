"""Ten thousand clients, each in its own group, disconnect, miss ten messages each, and return within two seconds."""

import time
from collections import Counter
from dataclasses import replace

import pytest

from .bench.load import Load
from .bench.logs import OPEN
from .bench.timing import percentile

pytestmark = pytest.mark.timeout(300)

MISSED = 10
BACK_WITHIN = 2.0
# Joins, and reads of missed messages, are batched, one batch in flight at a time: a client costs a small part of a call.
CLIENTS_PER_CALL = 5


def calls(client) -> Counter:
    """Commands that Redis has executed, by name."""
    return Counter({name.removeprefix("cmdstat_"): s["calls"] for name, s in client.info("commandstats").items()})


def test_f33_ten_thousand_clients_drop_and_return(scale):
    count = scale.pick(1000, 10_000)
    with Load(
        replace(scale, three_groups_every=0), clients=count, groups=count, haproxy_class=None, publishing=False, processes=2
    ) as load:
        load.publishers.burst(1)
        load.fleet.drop()
        last = load.publishers.burst(MISSED)["last"]
        load.await_connections(0)
        client = load.redis.client()
        before = calls(client)
        load.healed()
        began = time.monotonic()
        load.fleet.tell("start", within=BACK_WITHIN)
        assert load.fleet.await_shown(last, 60)
        back = time.monotonic() - began
        made = calls(client) - before
        verdict = load.judge(
            f"F33 {count} clients return within {BACK_WITHIN:g} s", back_after_s=round(back, 2), missed=MISSED * count,
            calls_of_functions=made["fcall"] + made["fcall_ro"], subscribe=made["subscribe"], commands=made.total(),
        )  # fmt: skip
        assert verdict.reconnects == count
        resumed = [max(e.time for e in log.events if e.kind == "message") - log.of(OPEN)[1].time for log in load.logs.values()]
        load.note(resumed_p50_ms=round(percentile(resumed, 0.5) * 1000), resumed_p99_ms=round(percentile(resumed, 0.99) * 1000))
        assert made["fcall"] + made["fcall_ro"] <= count / CLIENTS_PER_CALL
