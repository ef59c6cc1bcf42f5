"""The admin port, which is not reachable for clients."""

import shutil
import subprocess

import pytest
from harness.gateway import Gateway
from harness.http_client import get
from harness.waiting import wait_until


@pytest.fixture(scope="module")
def gateway(redis_server):
    with Gateway(redis_server.url, "one") as gateway:
        yield gateway


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_is_answered_at_the_admin_port_only(path, gateway):
    answer = get(gateway.admin_port, path)
    assert answer.status == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert get(gateway.port, path).status == 404


def test_metrics_pass_promtool(gateway, clients, redis):
    clients.open(gateway.url("/ws/metrics"), count=3)
    redis.fcall("group_send", 1, "asgi:group:metrics", '{"n":1}')
    answer = get(gateway.admin_port, "/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    promtool = shutil.which("promtool")
    assert promtool, "promtool is in Debian's package prometheus"
    checked = subprocess.run([promtool, "check", "metrics"], input=answer.body, capture_output=True, timeout=30)
    assert checked.returncode == 0, checked.stdout.decode() + checked.stderr.decode()


def test_metrics_are_not_for_clients(gateway):
    assert get(gateway.port, "/metrics").status == 404


def test_metrics_know_how_many_are_connected(gateway, clients):
    before = gateway.metrics()["tocsin_connections"]
    sockets = clients.open(gateway.url("/ws/counted"), count=5)
    assert gateway.metrics()["tocsin_connections"] == before + 5
    for socket in sockets:
        socket.close()
    wait_until(lambda: gateway.metrics()["tocsin_connections"] == before, 10, "the count as it was")


def test_an_unknown_path_is_404(gateway):
    assert get(gateway.admin_port, "/nothing").status == 404
