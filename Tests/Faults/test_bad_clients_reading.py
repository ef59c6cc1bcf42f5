"""Clients that read a large log again and again, and disconnect: S49."""

import select
import statistics
import time

import pytest
from harness.names import group_key, own
from harness.waiting import wait_until

from .bench.bad_client import connect, handshake

pytestmark = [pytest.mark.quick, pytest.mark.timeout(300)]

GROUP = "heavy"
MESSAGES, LENGTH = 100, 1 << 20
CLIENTS = 40


@pytest.fixture
def start(target):
    """The position before the first of a hundred messages of 1 MiB, which anybody may claim as a cursor."""
    message = b'{"pad":"%s"}' % (b"x" * (LENGTH - 10))
    for _ in range(MESSAGES):
        position, _ = target.store.fcall("group_send", 1, group_key(GROUP), message)
    yield position.decode().rpartition(":")[0] + ":0"
    target.store.delete(own(f"log:{GROUP}"), own(f"pos:{GROUP}"))


def resume(target, start, number):
    """A stream from that position, from one of twenty addresses."""
    tcp = connect(target.port, f"127.0.3.{number % 20 + 1}")
    lines = ("Accept: text/event-stream", f"Last-Event-ID: {start}")
    tcp.sendall(handshake(f"/ws/{GROUP}", *lines, without=("Upgrade", "Connection", "Cookie")))
    return tcp


def read_until(streams, size, seconds=120):
    """Reads all of them until each has received this many bytes."""
    left, ends = dict.fromkeys(streams, size), time.monotonic() + seconds
    while waiting := [tcp for tcp, count in left.items() if count > 0]:
        assert time.monotonic() < ends, f"{len(waiting)} of {len(streams)} still wait"
        for tcp in select.select(waiting, [], [], 1)[0]:
            data = tcp.recv(1 << 20)
            assert data, "the stream has ended"
            left[tcp] -= len(data)


def spent(target) -> float:
    """Seconds that Redis has spent reading logs so far, by its own clock."""
    return target.store.info("commandstats").get("cmdstat_fcall_ro", {}).get("usec", 0) / 1e6


def connections(target) -> float:
    return target.gateway.metric("tocsin_connections")


def test_s49_a_catch_up_costs_redis_its_messages_and_no_more(target, start):
    key, one = group_key(GROUP), []
    for _ in range(7):
        before = spent(target)
        target.store.fcall_ro("group_read", 1, key, 1, 1, start)
        one.append(spent(target) - before)
    before = spent(target)
    with resume(target, start, 0) as tcp:
        read_until([tcp], MESSAGES * LENGTH)
    assert spent(target) - before <= 3 * MESSAGES * statistics.median(one)


def test_s49_clients_that_read_a_large_log_and_leave_cost_nobody_anything(target, start, attack):
    """Forty connect, read a MiB or two each, and leave; as often as they like."""
    before = connections(target)

    def action():
        streams = [resume(target, start, number) for number in range(CLIENTS)]
        try:
            read_until(streams, LENGTH)
        finally:
            for tcp in streams:
                tcp.close()

    action()
    wait_until(lambda: connections(target) == before, 60, "they have gone")
    # Their requests are abandoned: Redis has nearly all of the next second for others.
    busy = spent(target)
    time.sleep(1)
    assert spent(target) - busy < 0.25, "reads go on for nobody"
    attack.once(action, per_second=1)
