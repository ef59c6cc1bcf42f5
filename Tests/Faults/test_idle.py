"""Nothing is sent for a long time, through proxies that cut silent connections: comments and pings keep them open.

A short version: the proxies' time-out is 24 s instead of a minute or more, just above the 22 s of the longest ping interval.
"""

import re
import time

import pytest
from harness.clients import Clients
from harness.gateway import Gateway
from harness.haproxy import HAProxy
from harness.nginx import Nginx
from harness.redis_server import RedisServer

from .bench.fleet import Fleet
from .bench.load import site_config

pytestmark = pytest.mark.timeout(180)

PATIENCE = 24
LISTEN = 75
NO_PATIENCE = 5
GROUPS = [f"idle-{n}" for n in range(12)]


class ImpatientHAProxy(HAProxy):
    seconds = PATIENCE

    def configuration(self):
        text = super().configuration()
        for name in ("client", "server", "tunnel"):
            text, times = re.subn(rf"^    timeout {name} \S+$", f"    timeout {name} {self.seconds}s", text, flags=re.MULTILINE)
            assert times == 1, name
        return text


class ImpatientNginx(Nginx):
    seconds = PATIENCE

    def configuration(self):
        text = super().configuration()
        for name in ("read", "send"):
            text, times = re.subn(rf"proxy_{name}_timeout \S+;", f"proxy_{name}_timeout {self.seconds}s;", text)
            assert times == 1, name
        return text


@pytest.fixture(scope="module")
def gateway():
    with RedisServer() as redis, Gateway(redis.url, "idle", site_config()) as gateway:
        yield gateway


@pytest.mark.parametrize("proxy", [ImpatientHAProxy, ImpatientNginx], ids=["haproxy", "nginx"])
def test_f05_idle_clients_stay(gateway, proxy):
    with proxy([gateway]) as proxy, Clients() as clients:
        fleet = Fleet("idle", [("127.0.0.1", proxy.port)], [(f"/ws/{GROUPS[n % 12]}", [GROUPS[n % 12]]) for n in range(30)])
        try:
            fleet.start()
            sockets = clients.open(*(proxy.url(f"/ws/{GROUPS[n % 12]}") for n in range(30)))
            time.sleep(LISTEN)
            assert fleet.open == 30
            assert all(socket.open for socket in sockets)
            assert sum(len(log.of("closed")) for log in fleet.finish().values()) == 0
        finally:
            fleet.close()


@pytest.mark.parametrize("proxy", [ImpatientHAProxy, ImpatientNginx], ids=["haproxy", "nginx"])
def test_f05_control_proxies_do_cut_what_is_silent_for_too_long(gateway, proxy):
    proxy = proxy([gateway])
    proxy.seconds = NO_PATIENCE
    with proxy, Clients() as clients:
        began = time.monotonic()
        (socket,) = clients.open(proxy.url("/ws/idle-0"))
        socket.wait_closed(NO_PATIENCE + 5)
        assert NO_PATIENCE - 1 < time.monotonic() - began < NO_PATIENCE + 3
