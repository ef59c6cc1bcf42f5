"""Clients that read one byte per second: their queues are bounded, others do not suffer, and later they get everything."""

import threading
import time

import pytest

from .bench.load import Load, site_config
from .bench.memory import resident
from .bench.timing import delays, percentile

pytestmark = pytest.mark.timeout(500)

HOT_GROUPS = 10
PADDING = 1000
# gateway.max_pending_bytes: what may be queued for one socket; plus one message, and the cost of any connection.
PENDING = 64 * 1024
PER_CLIENT = PENDING + 32 * 1024
# Allocators return bursts of memory late, or never.
SLACK = 32 << 20
# The others' p99 with slow clients, relative to the p99 without; below the floor it would go unnoticed.
FACTOR, FLOOR = 1.5, 0.05
WINDOW = 5.0


class Peak:
    """The peak memory of each gateway while the context is entered."""

    def __init__(self, gateways):
        self._gateways, self._ended = gateways, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.bytes = {gateway.id: 0 for gateway in gateways}

    def _run(self):
        while not self._ended.wait(0.2):
            for gateway in self._gateways:
                self.bytes[gateway.id] = max(self.bytes[gateway.id], resident(gateway.pid))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()


def windows(attempts, clients, since, until) -> float:
    """The median of the p99s of the delays, of 5 s each: the machine is busy at times."""
    starts = range(int((until - since) / WINDOW))
    p99s = [percentile(delays(attempts, clients, since + n * WINDOW, since + (n + 1) * WINDOW), 0.99) for n in starts]
    return percentile(p99s, 0.5)


@pytest.mark.quick
def test_f32_clients_read_one_byte_a_second(scale):
    slow_count, seconds = scale.pick(30, 1000), scale.pick(12, 60)
    configuration = site_config(gateway={"max_pending_bytes": PENDING, "slow_seconds": 600}, groups=[
        {"match": "*", "history": {"size": 5000, "ttl": "1d"}}])  # fmt: skip
    with Load(scale, configuration=configuration, haproxy_class=None) as load:
        hot = [f"hot-{n}" for n in range(HOT_GROUPS)]
        rate = scale.pick(400, 100)
        publishers = load.add_publishers("hot", hot, rate, padding=PADDING)
        slow = load.add_fleet("slow", [(f"/ws/{hot[n % 10]}", [hot[n % 10]]) for n in range(slow_count)], slow=True)
        publishers.start()
        calm = time.monotonic()
        time.sleep(scale.pick(4, 20))  # without them
        joining = time.monotonic()
        slow.start(within=scale.pick(0.5, 4))
        before = {gateway.id: resident(gateway.pid) for gateway in load.gateways}
        slow.tell("crawl")
        crawling = time.monotonic()
        with Peak(load.gateways) as peak:
            time.sleep(seconds)
        behind = sum(gateway.metric("tocsin_sessions_behind_total") for gateway in load.gateways)
        reading = time.monotonic()
        publishers.stop()
        slow.tell("read")
        load.healed()
        growth = max(peak.bytes[name] - before[name] for name in before)
        load.calm()
        verdict = load.judge(
            f"F32 {slow_count} clients read 1 byte/s for {seconds} s", memory_grown_MiB=round(growth / (1 << 20), 1),
            per_slow_client_KiB=round(growth * scale.gateways / slow_count / 1024, 1), fell_behind=int(behind),
        )  # fmt: skip
        assert verdict.reconnects == 0
        assert behind >= slow_count * 0.9, "they were not slow enough to be behind"
        assert growth <= slow_count / scale.gateways * PER_CLIENT + SLACK
        others = {name: log for name, log in load.logs.items() if not name.startswith("slow")}
        without = windows(load.attempts, others, calm, joining)
        beside = windows(load.attempts, others, crawling, reading)
        load.note(p99_without_ms=round(without * 1000, 1), p99_beside_ms=round(beside * 1000, 1))
        if scale.name == "full":  # a few seconds on a busy machine prove nothing
            assert beside <= max(FACTOR * without, FLOOR)


def test_f32_who_is_slow_for_too_long_is_cut_and_comes_back(scale):
    configuration = site_config(gateway={"slow_seconds": 3}, groups=[{"match": "*", "history": {"size": 5000, "ttl": "1d"}}])
    with Load(scale, configuration=configuration, haproxy_class=None) as load:
        publishers = load.add_publishers("hot", ["hot-0"], 50, padding=8000)
        slow = load.add_fleet("slow", [("/ws/hot-0", ["hot-0"])] * 30, slow=True)
        slow.start()
        slow.tell("crawl")
        publishers.start()
        # They stop for longer than allowed, twice.
        for _ in range(2):
            load.last(20, 30)
            slow.tell("crawl")
        publishers.stop()
        slow.tell("read")
        load.healed()
        load.calm()
        cut = sum(gateway.metrics()['tocsin_connections_cut_total{reason="slow"}'] for gateway in load.gateways)
        load.judge("F32 slow for longer than slow_seconds", cut=int(cut))
        assert cut >= 30
