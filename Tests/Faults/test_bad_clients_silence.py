"""Clients that take their time: S6, S10, S11. A thousand good ones and new clients must not wait for them."""

import time

import pytest
from harness.clients import frame
from harness.waiting import wait_until

from .bench import figures
from .bench.bad_client import ask, connect, handshake, read
from .bench.crowd import CLIENTS
from .bench.many import SlowHandshakes
from .bench.memory import resident
from .bench.target import Target

pytestmark = pytest.mark.timeout(300)

HANDSHAKE_SECONDS = 5
LATE = 2.5  # a timer's tick, plus some for a busy machine
NEWCOMER_SECONDS = 1.0


@pytest.fixture(scope="module", autouse=True)
def stale(besieged: Target):
    """Clients of the centrifuge protocol that never authenticate: they wait while the other tests run."""
    with besieged.socket("/rooms") as one, besieged.socket("/rooms") as other:
        other.send(frame(9, b"still here"))
        assert other.frame() == (10, b"still here")
        yield one, other


def rosters(store) -> int:
    """All members of groups, as recorded by the gateways."""
    return sum(store.hlen(key) for key in store.scan_iter("tocsin:roster:*", 1000))


def newcomers_while(slow: SlowHandshakes, port) -> list[float]:
    """How long good handshakes take until all slow ones have ended."""
    took, next_drip = [], time.monotonic()
    while not slow.all_ended:
        if time.monotonic() >= next_drip:
            slow.drip()
            next_drip += 1.0
        began = time.monotonic()
        assert ask(port, handshake("/ws/newcomer"), "127.0.0.7").status == 101
        took.append(time.monotonic() - began)
        time.sleep(0.05)  # sets the rate of new clients
    return took


@pytest.mark.quick
def test_s10_500_slow_handshakes_end_with_408_and_a_good_one_takes_less_than_a_second(target, attack):
    def action():
        slow = SlowHandshakes(target.port, 500)
        try:
            took = newcomers_while(slow, target.port)
        finally:
            slow.close()
        assert set(slow.statuses) == {408} and len(slow.statuses) == 500
        assert HANDSHAKE_SECONDS - 1 < min(slow.seconds) and max(slow.seconds) < HANDSHAKE_SECONDS + LATE
        assert max(took) < NEWCOMER_SECONDS

    before = target.refused("timeout")
    action()
    assert target.refused("timeout") == before + 500
    attack.unnoticed(action)


@pytest.mark.quick
def test_s10_thousands_of_slow_handshakes_at_once(target, scale):
    """2,000 at the small scale. All of them are in progress when the new clients come."""
    count = scale.pick(2000, 10_000)
    before = resident(target.pid)
    newcomers, grown = [], 0
    slow = SlowHandshakes(target.port, count)

    def action():
        nonlocal grown
        grown = resident(target.pid) - before
        newcomers.extend(newcomers_while(slow, target.port))

    try:
        delays = target.crowd.delays_during(action)
    finally:
        slow.close()
    fact = figures.Count(
        f"{count:,} slow handshakes at once", scale.name, newcomers=len(newcomers),
        slowest_newcomer_ms=round(max(newcomers) * 1000, 1), slowest_end_s=round(max(slow.seconds), 1),
        memory_grown_MiB=round(grown / (1 << 20), 1), good_clients_p99_ms=round(delays.p99, 1),
    )  # fmt: skip
    figures.recorded.append(fact)
    assert set(slow.statuses) == {408}
    assert max(newcomers) < NEWCOMER_SECONDS, fact
    assert grown < count * 8192, fact


@pytest.mark.quick
def test_s11_who_connects_and_says_nothing_is_told_and_closed_after_5_s(target):
    silent = [connect(target.port, f"127.0.0.{n + 10}") for n in range(20)]
    began = time.monotonic()
    for tcp in silent:
        with tcp:
            assert read(tcp).status == 408
    assert HANDSHAKE_SECONDS - 1 < time.monotonic() - began < HANDSHAKE_SECONDS + LATE


@pytest.mark.quick
def test_s6_who_does_not_say_who_it_is_within_10_s_is_closed_and_was_in_no_group(target, stale):
    """3502 of the centrifuge protocol, the table's 4408. Otherwise the login is part of the handshake."""
    one, other = stale
    assert one.end() == other.end() == (3502, "stale")
    wait_until(lambda: rosters(target.store) == CLIENTS, 5, "nobody in any group but the good clients")
