"""Redis fails and returns under 1,000 connections: no client is closed, and every group is live again immediately."""

import shutil
import time
from pathlib import Path

import pytest
from harness.free_port import free_port
from harness.gateway import Gateway
from harness.http_client import get
from harness.redis_server import RedisServer
from harness.waiting import wait_until

CONNECTIONS, GROUPS = 1000, 250
LIVE_AGAIN = 3.0


@pytest.fixture(scope="module")
def redis_server():
    """With an append-only file, on a port that a reconnecting gateway cannot pick as its own source port while it is free."""
    server = RedisServer(aof=True)
    server.port = free_port()
    with server:
        yield server


@pytest.fixture(scope="module")
def gateways(redis_server):
    with Gateway(redis_server.url, "one") as one, Gateway(redis_server.url, "two") as two:
        yield one, two


def group(number):
    return f"outage-{number}"


def await_readiness(gateways, status):
    wait_until(lambda: {gateway.readyz() for gateway in gateways} == {status}, 5, f"/readyz says {status} everywhere")


def assert_all_groups_are_live(redis_server, sockets, returned_at, marker):
    """Within LIVE_AGAIN of Redis' return both gateways subscribe to every group; then each socket receives its message once."""
    client = redis_server.client()
    channels = [f"asgi__group__{group(n)}" for n in range(GROUPS)]
    left = LIVE_AGAIN - (time.monotonic() - returned_at)
    wait_until(
        lambda: all(count == 2 for _, count in client.pubsub_numsub(*channels)), left, "every group subscribed again"
    )
    wait_until(lambda: client.fcall("tocsin_version", 0), 1, "the function library")
    for n in range(GROUPS):
        _, listening = client.fcall("group_send", 1, f"asgi:group:{group(n)}", f'{{"said":"{marker}"}}')
        assert listening == 2
    for socket in sockets:
        assert socket.wait(1)[0] == f'{{"said":"{marker}"}}'
    for n in range(GROUPS):
        client.publish(channels[n], '{"marker":1}')
    for socket in sockets:
        assert len(socket.until("marker")) == 1
        socket.clear()


def assert_outage_is_told_and_nobody_cut(gateways, sockets, away_for=2.0):
    await_readiness(gateways, 503)
    for gateway in gateways:
        assert get(gateway.admin_port, "/healthz").status == 200
        assert get(gateway.admin_port, "/readyz").status == 503
    # Long enough for several failed reconnects, so that the delay has backed off.
    time.sleep(away_for)
    assert [socket.close_code for socket in sockets if not socket.open] == []


@pytest.mark.timeout(180)
def test_a_thousand_connections_survive_a_crash_and_the_loss_of_redis(clients, gateways, redis_server):
    per_gateway = CONNECTIONS // len(gateways) // GROUPS
    urls = [gateway.url(f"/ws/{group(n)}") for gateway in gateways for n in range(GROUPS) for _ in range(per_gateway)]
    sockets = clients.open(*urls, timeout=60)
    assert len(sockets) == CONNECTIONS
    assert_all_groups_are_live(redis_server, sockets, time.monotonic(), "before")

    # A crash: Redis comes back with its data.
    redis_server.kill()
    assert_outage_is_told_and_nobody_cut(gateways, sockets)
    redis_server.start()
    assert_all_groups_are_live(redis_server, sockets, time.monotonic(), "after a crash")
    await_readiness(gateways, 200)

    # An empty Redis takes its place: no data, no functions, no settings made at run time.
    redis_server.stop()
    assert_outage_is_told_and_nobody_cut(gateways, sockets)
    shutil.rmtree(Path(redis_server.directory) / "appendonlydir")
    redis_server.start()
    assert_all_groups_are_live(redis_server, sockets, time.monotonic(), "after a loss")
    await_readiness(gateways, 200)
    members = redis_server.client().zcard(f"asgi:group:{group(0)}")
    assert members == 1
    assert all(socket.open for socket in sockets)


def test_a_client_that_comes_while_redis_is_away_is_told_to_come_back(clients, gateways, redis_server):
    redis_server.stop()
    await_readiness(gateways, 503)
    assert clients.status(gateways[0].url("/ws/late")) == 503
    redis_server.start()
    await_readiness(gateways, 200)
    assert clients.status(gateways[0].url("/ws/late")) == 101
