"""The network itself: cut silently, or slow and lossy. Everything runs in separate namespaces."""

import contextlib

import pytest
from harness.clients import Clients

from .bench.load import Load, durable_redis
from .bench.network import Namespace, Wan, inside

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("namespaces")]

CUT_SECONDS = 30
DELAY, LOSS = 100, 5  # ms and percent, each way: 200 ms round trip
# After a cut TCP retransmits at intervals that have doubled meanwhile: the last is up to half as long as the cut.
PATIENCE = 60
HALF_OPEN_SECONDS = 35  # FAULTS F09


@pytest.fixture
def site():
    """Where the test runs: its gateways, HAProxy, and what it starts."""
    with Namespace("site") as namespace, namespace.entered():
        yield namespace


@pytest.fixture
def elsewhere():
    with Namespace("else") as namespace:
        yield namespace


@pytest.fixture
def link(site, elsewhere):
    with Wan(site, elsewhere) as link:
        yield link


def away_clients(scale, link, elsewhere, **options):
    """Clients are at the other end of the link."""
    return Load(scale, host=link.a, clients_in=elsewhere, patience=PATIENCE, **options)


def away_redis(scale, link, elsewhere, **options):
    """Redis and its publishers are at the other end of the link."""
    redis = durable_redis("everysec", "--protected-mode", "no", host=link.b, wrapper=inside(elsewhere))
    return Load(scale, redis=redis, publishers_in=elsewhere, patience=PATIENCE, **options)


def test_f08_clients_are_cut_off_for_30_s(scale, link, elsewhere):
    with away_clients(scale, link, elsewhere) as load:
        load.calm()
        link.set(loss=100)
        load.last(CUT_SECONDS, CUT_SECONDS)
        link.set(loss=0)
        load.healed()
        load.calm()
        load.judge(f"F08 clients cut off {CUT_SECONDS} s")


@pytest.mark.parametrize("kind", ["sockets", "streams"])
def test_f09_clients_vanish(scale, link, elsewhere, kind):
    """Their machine vanishes without closing anything. What was kept for them is released nevertheless."""
    with contextlib.ExitStack() as stack:
        load = stack.enter_context(away_clients(scale, link, elsewhere, haproxy_class=None, clients=60))
        if kind == "sockets":
            load.kill_fleet(load.fleet)
            with elsewhere.entered():
                # Its thread runs in the namespace where it was created.
                sockets = stack.enter_context(Clients())
            sockets.open(*(gateway.url(f"/ws/{group}") for gateway in load.gateways for group in load.group_names[:20]))
        load.await_connections(60)
        link.set(loss=100)
        if kind == "streams":
            load.kill_fleet(load.fleet)
        load.await_connections(0, HALF_OPEN_SECONDS)


def test_f10_clients_have_a_bad_link(scale, link, elsewhere):
    with away_clients(scale, link, elsewhere) as load:
        load.calm()
        link.set(delay=DELAY, loss=LOSS)
        load.last(10, 60)
        link.set(delay=0, loss=0)
        load.healed()
        load.calm()
        load.judge(f"F10 clients with {LOSS} % loss, {2 * DELAY} ms")


def test_f08_redis_is_cut_off_for_30_s(scale, link, elsewhere):
    """It keeps accepting. Gateways notice, report it, and catch up when the network is back."""
    with away_redis(scale, link, elsewhere) as load:
        load.calm()
        link.set(loss=100)
        load.await_ready(503, 6)
        load.last(CUT_SECONDS - 3, CUT_SECONDS - 3)
        link.set(loss=0)
        load.healed()
        load.await_ready()
        load.calm()
        verdict = load.judge(f"F08 Redis cut off {CUT_SECONDS} s")
        assert verdict.reconnects == 0


def test_f10_redis_has_a_bad_link(scale, link, elsewhere):
    """At a load that such a link can carry: one connection gets about 40 KB/s through it (Mathis et al., 1997)."""
    with away_redis(scale, link, elsewhere, rate=50) as load:
        load.calm()
        link.set(delay=DELAY, loss=LOSS)
        load.last(10, 60)
        link.set(delay=0, loss=0)
        load.healed()
        load.calm()
        load.judge(f"F10 Redis with {LOSS} % loss, {2 * DELAY} ms")
