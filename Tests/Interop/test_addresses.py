"""Printed addresses: IPv6 in brackets, so that they can be pasted; never with a password."""

import json
import re
import shutil
import socket
import subprocess

import pytest
from harness.free_port import free_port
from harness.gateway import Gateway, config, tocsin
from harness.http_client import get
from harness.redis_server import RedisServer
from harness.waiting import wait_until


@pytest.fixture(scope="module")
def redis_server():
    """Listens on IPv4 for the tests and on IPv6 for the gateways."""
    with RedisServer(args=("--bind", "127.0.0.1", "::1")) as server:
        yield server


@pytest.fixture(scope="module")
def url(redis_server):
    return f"redis://[::1]:{redis_server.port}/3"


class OnIPv6(Gateway):
    """Listens on IPv6 addresses only."""

    def command(self):
        return [word.replace("127.0.0.1", "[::1]") for word in super().command()]

    def ready(self):
        socket.create_connection(("::1", self.port), 1).close()
        return '"message":"listening"' in self.log

    def said(self, message):
        lines = [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]
        return next((line for line in lines if line["message"] == message), None)


@pytest.fixture(scope="module")
def gateway(url):
    with OnIPv6(url, "six") as gateway:
        yield gateway


def test_the_log_and_the_list_of_gateways_have_ipv6_in_brackets(gateway, url):
    line = gateway.said("listening")
    assert line["clients"] == f"[::1]:{gateway.port}"
    assert line["admin"] == f"[::1]:{gateway.admin_port}"
    assert line["redis"] == url
    (row,) = json.loads(tocsin("gateways", "--json", "--redis", url).stdout)
    assert row["bind"] == f"[::1]:{gateway.port}"
    assert f"bind=[::1]:{gateway.port}" in tocsin("gateways", "--redis", line["redis"]).stdout
    assert url in tocsin("doctor", "--redis", url).stdout


def test_errors_have_ipv6_in_brackets(gateway, url):
    away = f"redis://[::1]:{free_port()}/3"
    done = tocsin("gateways", "--redis", away.replace("//", "//:Tr0ub4dor@"), check=False)
    assert away.replace("//", "//***@") in done.stderr and "//::1" not in done.stderr
    for option, port in (("--bind", gateway.port), ("--admin", gateway.admin_port)):
        addresses = {"--bind": "[::1]:0", "--admin": "[::1]:0", option: f"[::1]:{port}"}
        done = tocsin("gateway", *sum(addresses.items(), ()), "--redis", url, check=False)
        assert f"cannot listen on [::1]:{port}" in done.stderr, done.stderr
    done = tocsin("bench", f"ws://[::1]:{free_port()}/ws/x", "--redis", url, "--clients", 1, check=False)
    assert re.search(r"\[::1\]:\d+", done.stderr) and " ::1:" not in done.stderr


def test_a_redis_that_goes_and_comes_is_named_in_brackets(redis_server, url):
    with RedisServer(args=("--bind", "127.0.0.1", "::1")) as server:
        url = f"redis://[::1]:{server.port}/3"
        with OnIPv6(url, "away") as gateway:
            server.stop()
            wait_until(lambda: gateway.log.count(url) >= 2, 10, "the log names it")  # once at the start
            server.start()
            wait_until(lambda: gateway.said("Redis is back"), 10, "it is back")
            assert gateway.said("Redis is back")["redis.address"] == url
            assert "redis://::1" not in gateway.log


# The demo page --------------------------------------------------------------------------------------------------------


def page(gateway):
    return re.search(r'data-command="(.*?)"', get(gateway.port, "/").text)[1]


def test_the_page_names_its_redis_by_http_and_never_its_password():
    password = "Tr0ub4dor-and-3"
    with RedisServer(args=("--requirepass", password)) as server:
        url = f"redis://:{password}@127.0.0.1:{server.port}/3"
        with Gateway(url, config=config(gateway={"demo_page": True})) as gateway:
            command = page(gateway)
            assert command == f"redis-cli -p {server.port} --askpass -n 3 FCALL group_send 1 asgi:group:"
            assert password not in get(gateway.port, "/").text


@pytest.mark.parametrize(
    "demo_redis, words",
    [("redis://127.0.0.1:6379/3", "redis-cli -n 3"), ("redis://redis.example.com/0", "redis-cli -h redis.example.com -n 0"),
     ("rediss://app:Tr0ub4dor@[fd00::7]:6380/3", "redis-cli -h fd00::7 -p 6380 --tls --user app --askpass -n 3")],
)  # fmt: skip
def test_where_people_find_redis_elsewhere_the_page_says_that(demo_redis, words, redis_server):
    settings = config(gateway={"demo_page": True, "demo_redis": demo_redis})
    with Gateway(redis_server.url, config=settings) as gateway:
        assert page(gateway) == f"{words} FCALL group_send 1 asgi:group:"
        assert "Tr0ub4dor" not in get(gateway.port, "/").text


def test_a_command_for_a_redis_on_ipv6_and_an_odd_prefix_sends_there(redis_server, url, clients):
    settings = config(gateway={"demo_page": True}, redis={"prefix": "it's$HOME"})
    with Gateway(url, config=settings) as gateway:
        (socket,) = clients.open(gateway.url("/ws/six"))
        command = page(gateway)
        assert "-h ::1" in command and shutil.which("redis-cli")
        sent = subprocess.run(f"{command}six '{{\"n\":1}}'", shell=True, capture_output=True, text=True, timeout=20)
        assert sent.stdout.endswith("\n1\n"), sent
        assert socket.wait(1) == ['{"n":1}']
