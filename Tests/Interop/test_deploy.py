"""The files under deploy/, Dockerfile and docker-compose.yml work as documented. Docker itself is not needed."""

import http.client
import os
import re
import shutil
import signal
import subprocess

import pytest
import yaml
from harness import haproxy, nginx
from harness.free_port import free_port
from harness.gateway import ORIGIN, Gateway, binary, config
from harness.http_client import get
from harness.process import REPOSITORY
from harness.waiting import wait_until

COMPOSE = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())
COMPOSE_SETTINGS = REPOSITORY / "deploy" / "compose" / "tocsin.yaml"
SERVICES = COMPOSE["services"]
SAMPLE_SERVERS = ("10.0.0.11", "10.0.0.12", "10.0.0.13")


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, timeout=20, **options)


def seconds(text):
    return int(re.fullmatch(r"(\d+)s", text)[1])


# --- Proxies ----------------------------------------------------------------------------------------------------------


def test_haproxy_accepts_its_configuration_without_a_warning():
    checked = run("haproxy", "-c", "-f", str(haproxy.SHIPPED))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    warnings = [line for line in (checked.stdout + checked.stderr).splitlines() if "WARNING" in line]
    # A machine without a network cannot reach its nameserver, whatever the configuration.
    assert all("can't connect socket for nameserver" in line for line in warnings), warnings


def test_nginx_accepts_its_configuration_without_a_warning(tmp_path):
    # -t opens the port and the files: replaced by a free port and by a log and pid file in a writable place.
    text = nginx.SHIPPED.read_text()
    for shipped, ours in [
        ("listen 80;", f"listen 127.0.0.1:{free_port()};"),
        ("/var/log/nginx/access.log", f"{tmp_path}/access"),
        ("/var/log/nginx/error.log", f"{tmp_path}/errors"),
    ]:
        assert text.count(shipped) == 1
        text = text.replace(shipped, ours)
    (tmp_path / "nginx.conf").write_text(text)
    checked = run("nginx", "-t", "-e", "stderr", "-c", f"{tmp_path}/nginx.conf", "-g", f"pid {tmp_path}/pid;")
    assert checked.returncode == 0, checked.stderr
    assert "[warn]" not in checked.stderr


@pytest.fixture
def behind_nginx(redis_server):
    settings = config(gateway={"drain_seconds": 4})
    with (
        Gateway(redis_server.url, "left", settings) as left,
        Gateway(redis_server.url, "right", settings) as right,
        nginx.Nginx([left, right]) as proxy,
    ):
        yield proxy, left, right


def test_nginx_spreads_websockets_over_the_gateways_and_each_hears_once(behind_nginx, clients, redis):
    proxy, left, right = behind_nginx
    sockets = [clients.open(proxy.url("/ws/nginx?token=secret"))[0] for _ in range(4)]
    position, gateways = redis.fcall("group_send", 1, "asgi:group:nginx", '{"n":1}')
    assert gateways == 2
    redis.fcall("group_send", 1, "asgi:group:nginx", '{"marker":1}')
    assert [socket.until("marker") for socket in sockets] == [['{"n":1}']] * 4
    for socket in sockets:
        socket.close()
    clients.wait_for(lambda: proxy.access_log.count(" 101 ") == 4)
    assert "secret" not in proxy.access_log


def test_server_sent_events_leave_nginx_as_they_come(behind_nginx, redis):
    proxy, *_ = behind_nginx
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)
    try:
        connection.request("GET", "/ws/events", headers={"Accept": "text/event-stream", "Origin": ORIGIN})
        stream = connection.getresponse()
        assert stream.status == 200
        while not stream.readline().startswith(b"id:"):  # it has joined the group
            pass
        redis.fcall("group_send", 1, "asgi:group:events", '{"n":1}')
        while not (line := stream.readline()).startswith(b"data:"):
            pass
        assert line.strip() == b'data: {"n":1}'
    finally:
        connection.close()


def test_nginx_sends_clients_elsewhere_while_a_gateway_drains(behind_nginx, clients):
    proxy, left, right = behind_nginx
    stay = [clients.open(proxy.url("/ws/drain"))[0] for _ in range(4)]
    left.signal(signal.SIGTERM)
    # Until it has handled the signal it accepts clients, which it would then close.
    wait_until(lambda: left.readyz() == 503, 5, "the drain's beginning")
    moved = [clients.open(proxy.url("/ws/drain"))[0] for _ in range(6)]
    assert left.wait() == 0
    assert sorted(socket.close_code or 0 for socket in stay) == [0, 0, 1012, 1012]
    assert all(socket.open for socket in moved)


def test_a_client_behind_nginx_cannot_name_its_user(behind_nginx, clients):
    # The gateways of this test trust 127.0.0.1, which is nginx' address.
    proxy, left, _ = behind_nginx
    assert clients.status(left.url("/mine"), headers={"X-Remote-User": "42"}) == 101
    assert clients.status(proxy.url("/mine"), headers={"X-Remote-User": "42"}) == 403


def test_a_client_behind_haproxy_cannot_name_its_user(redis_server, clients):
    # The gateway trusts 127.0.0.1, which is HAProxy's address.
    with Gateway(redis_server.url) as gateway, haproxy.HAProxy([gateway]) as proxy:
        assert clients.status(proxy.url("/ws/room")) == 101
        assert clients.status(proxy.url("/mine"), headers={"X-Remote-User": "42"}) == 403


# --- docker-compose.yml -----------------------------------------------------------------------------------------------


def test_compose_file_is_for_both_generations_of_compose():
    # A "version:" makes the second generation warn; these keys the first one refuses or ignores.
    assert not {"version", "name", "include", "configs"} & COMPOSE.keys()
    for service in SERVICES.values():
        assert "develop" not in service
        assert "start_interval" not in service.get("healthcheck", {})


def test_gateway_can_be_scaled():
    assert not {"container_name", "ports", "hostname"} & SERVICES["gateway"].keys()


def test_what_is_published_is_published_on_loopback_only():
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published == ["127.0.0.1:${REDIS_PORT:-6379}:6379", "127.0.0.1:${PORT:-8000}:8080"]


@pytest.mark.parametrize("name", SERVICES)
def test_no_service_has_more_than_it_needs(name):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "network_mode", "pid"} & service.keys()


def test_a_gateway_has_the_time_to_drain():
    drain = yaml.safe_load(COMPOSE_SETTINGS.read_text())["gateway"]["drain_seconds"]
    assert seconds(SERVICES["gateway"]["stop_grace_period"]) > drain
    assert seconds(SERVICES["lb"]["stop_grace_period"]) > drain


def test_gateway_waits_for_redis_and_is_not_ordered_after_the_balancer():
    assert SERVICES["gateway"]["depends_on"] == {"redis": {"condition": "service_healthy"}}
    assert "depends_on" not in SERVICES["lb"]


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_mounted_is_in_the_repository(name):
    for volume in SERVICES[name].get("volumes", []):
        source, _, *options = volume.split(":")
        if source.startswith("."):
            assert (REPOSITORY / source).is_file()
            assert options == ["ro"]
        else:
            assert source in COMPOSE["volumes"]


def test_balancer_looks_where_the_gateways_are():
    template = re.search(r"server-template \S+ 1-(\d+) (\w+):(\d+) check port (\d+)", haproxy.SHIPPED.read_text())
    slots, host, port, admin = template.groups()
    assert host in SERVICES and int(slots) >= 10
    assert port == "8080"  # the default of gateway.bind, which is not overridden here
    assert SERVICES["gateway"]["environment"]["TOCSIN_GATEWAY_ADMIN"].endswith(f":{admin}")


def test_the_page_of_compose_names_redis_where_it_is_published():
    url = SERVICES["gateway"]["environment"]["TOCSIN_GATEWAY_DEMO_REDIS"]
    (published,) = SERVICES["redis"]["ports"]
    host, variable = re.fullmatch(r"(.*?):(\$\{.*?\}):6379", published).groups()
    assert url == f"redis://{host}:{variable}/3"


def test_a_gateway_takes_the_settings_of_compose_and_serves_the_page_and_its_websocket(redis_server, clients):
    with Gateway(redis_server.url, config=COMPOSE_SETTINGS) as gateway:
        page = get(gateway.port, "/")
        assert page.status == 200
        assert "text/html" in page.headers["Content-Type"]
        assert "redis-cli -p" in page.text
        # A browser on the page sends the page's own address as Origin. The Origin of another site is refused.
        assert clients.status(gateway.url("/ws/demo"), origin=f"http://127.0.0.1:{gateway.port}") == 101
        assert clients.status(gateway.url("/ws/demo"), origin="http://elsewhere.example") == 403


# --- Dockerfile -------------------------------------------------------------------------------------------------------

INSTRUCTIONS = [line.split() for line in (REPOSITORY / "Dockerfile").read_text().splitlines()]
COPIED = [
    source
    for words in INSTRUCTIONS
    if words[:1] == ["COPY"] and not words[1].startswith("--from")
    for source in words[1:-1]
]


def test_dockerfile_copies_what_is_there_and_what_dockerignore_lets_through():
    let_through = [line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line[:1] == "!"]
    for source in COPIED:
        assert list(REPOSITORY.glob(source)) or source.endswith("*"), source
        assert source.rstrip("*") in let_through


def test_every_link_in_sources_leads_to_something_that_the_dockerfile_copies():
    for folder, folders, files in os.walk(REPOSITORY / "Sources"):
        for path in (os.path.join(folder, name) for name in folders + files):
            if os.path.islink(path):
                target = os.path.relpath(os.path.realpath(path), REPOSITORY)
                assert any(target == source or target.startswith(source + "/") for source in COPIED), path


def test_the_program_in_the_image_is_not_root():
    users = [words[1] for words in INSTRUCTIONS if words[:1] == ["USER"]]
    assert users and re.fullmatch(r"[1-9]\d*(:[1-9]\d*)?", users[-1])


def healthcheck(port, host="0.0.0.0"):
    return run(str(REPOSITORY / "deploy" / "healthcheck"), env={"TOCSIN_GATEWAY_ADMIN": f"{host}:{port}"}).returncode


class OnIPv6(Gateway):
    """Its admin port listens on IPv6 loopback only."""

    def command(self):
        return [word.replace(f"127.0.0.1:{self.admin_port}", f"[::1]:{self.admin_port}") for word in super().command()]

    def ready(self):
        return '"message":"listening"' in self.log


def test_healthcheck_finds_an_admin_port_on_ipv6(redis_server):
    with OnIPv6(redis_server.url) as gateway:
        assert healthcheck(gateway.admin_port, "[::1]") == 0
    assert healthcheck(gateway.admin_port, "[::1]") != 0


def test_healthcheck_tells_a_living_gateway_from_none_and_from_something_else(redis_server):
    with Gateway(redis_server.url) as gateway:
        assert healthcheck(gateway.admin_port) == 0
        assert healthcheck(gateway.port) != 0  # 404
        gateway.pause()
        assert healthcheck(gateway.admin_port) != 0
        gateway.resume()
    assert healthcheck(free_port()) != 0


# --- systemd ----------------------------------------------------------------------------------------------------------

UNIT = REPOSITORY / "deploy" / "systemd" / "tocsin-gateway.service"


def test_systemd_accepts_the_unit_without_a_warning(tmp_path):
    text = UNIT.read_text()
    assert text.count("/usr/local/bin/tocsin ") == 1
    unit = tmp_path / UNIT.name
    unit.write_text(text.replace("/usr/local/bin/tocsin ", f"{os.path.realpath(binary())} "))
    checked = run("systemd-analyze", "verify", "--man=no", str(unit))
    # The output covers related units too; only Tocsin's matters here.
    assert not [line for line in checked.stderr.splitlines() if "tocsin" in line], checked.stderr


def test_systemd_gives_a_gateway_the_time_to_drain_by_default():
    assert seconds(re.search(r"^TimeoutStopSec=(.*)$", UNIT.read_text(), re.MULTILINE)[1]) > 30
