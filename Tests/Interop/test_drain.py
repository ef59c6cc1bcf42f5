"""SIGTERM: first no new clients, then the close frames, spread over the drain time, then the exit."""

import signal
import threading
import time

import pytest
from harness.gateway import Gateway, config
from harness.haproxy import HAProxy
from harness.http_client import get
from harness.waiting import wait_until

SERVICE_RESTART = 1012
DRAIN_SECONDS = 4
CLIENTS = 80


@pytest.fixture
def gateway(redis_server):
    with Gateway(redis_server.url, "leaving", config(gateway={"drain_seconds": DRAIN_SECONDS})) as gateway:
        yield gateway


class Readiness:
    """Polls /readyz and records when it first returned 503."""

    def __init__(self, gateway):
        self._gateway = gateway
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.red_at = None
        self.healthz_while_red = None

    def _watch(self):
        while not self._ended.is_set() and self.red_at is None:
            try:
                if get(self._gateway.admin_port, "/readyz").status == 503:
                    self.red_at = time.monotonic()
                    self.healthz_while_red = get(self._gateway.admin_port, "/healthz").status
            except OSError:
                pass
            time.sleep(0.005)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()


def test_sigterm_drains_readiness_first_then_1012_spread_over_the_drain_and_exits_0(gateway, clients):
    sockets = clients.open(gateway.url("/ws/drained"), count=CLIENTS)
    with Readiness(gateway) as readiness:
        began = time.monotonic()
        gateway.signal(signal.SIGTERM)
        code = gateway.wait(DRAIN_SECONDS + 10)
        took = time.monotonic() - began
    assert code == 0
    assert took < DRAIN_SECONDS + 3
    assert {socket.wait_closed() for socket in sockets} == {SERVICE_RESTART}
    closed = sorted(socket.closed_at - began for socket in sockets)
    assert readiness.red_at is not None, "nobody saw 503"
    assert readiness.red_at - began <= closed[0]
    assert readiness.healthz_while_red == 200
    # Spread out: no tenth of the drain time holds more than a third of the closes, and most of the drain time is used.
    tenth = DRAIN_SECONDS / 10
    crowd = max(sum(start <= at < start + tenth for at in closed) for start in closed)
    assert crowd <= CLIENTS / 3, closed
    assert closed[-1] - closed[0] >= DRAIN_SECONDS * 0.4, closed


def is_refused(clients, gateway):
    """True when the handshake gets 503 or the port is closed: both make a load balancer use another gateway."""
    try:
        return clients.status(gateway.url("/ws/serving")) == 503
    except ConnectionRefusedError:
        return True


def test_while_it_drains_new_clients_are_refused_and_old_ones_still_served(gateway, clients, redis):
    sockets = clients.open(gateway.url("/ws/serving"), count=CLIENTS)
    gateway.signal(signal.SIGTERM)
    wait_until(lambda: gateway.readyz() == 503, 5, "readiness gone")
    assert is_refused(clients, gateway)
    clients.wait_for(lambda: any(not socket.open for socket in sockets), 10)
    remaining = [socket for socket in sockets if socket.open]
    assert len(remaining) > CLIENTS / 2
    assert is_refused(clients, gateway)
    redis.fcall("group_send", 1, "asgi:group:serving", '{"still":"here"}')
    for socket in sockets:
        socket.wait_closed()
    # A client closed at that moment may have missed it; most were open.
    assert sum(socket.messages == ['{"still":"here"}'] for socket in remaining) > len(remaining) / 2
    assert gateway.wait() == 0


def test_a_gateway_without_clients_ends_at_once(gateway):
    began = time.monotonic()
    assert gateway.stop() == 0
    assert time.monotonic() - began < DRAIN_SECONDS


def test_behind_haproxy_the_others_take_over(redis_server, gateway, clients):
    with Gateway(redis_server.url, "staying") as staying, HAProxy([gateway, staying]) as haproxy:
        sockets = [clients.open(haproxy.url("/ws/moving"))[0] for _ in range(10)]
        gateway.signal(signal.SIGTERM)
        haproxy.wait_for(gateway, "DOWN")
        for _ in range(10):
            (moved,) = clients.open(haproxy.url("/ws/moving"))
            assert moved.open
        assert gateway.wait() == 0
        assert sum(socket.close_code == SERVICE_RESTART for socket in sockets) == 5
        listening = redis_server.client().fcall("group_send", 1, "asgi:group:moving", '{"n":1}')[1]
        assert listening == 1
