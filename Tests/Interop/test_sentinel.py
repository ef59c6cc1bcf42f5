"""Redis behind Sentinels: every command and the gateway, logins of both, and Sentinels that are wrong."""

import contextlib
import json
import os
import signal
import time

import pytest
from harness.false_sentinel import ENDLESS, FalseSentinel
from harness.gateway import Gateway, config, tocsin
from harness.http_client import get
from harness.redis_server import RedisServer
from harness.sentinels import Sentinels
from harness.waiting import wait_until

REPLICA, NOBODY = object(), object()
LIES = {
    "a replica": (REPLICA, "is a replica of"),
    "nobody": (NOBODY, "cannot connect to"),
    "no such master": (b"*-1\r\n", "knows no master named mymaster"),
    "not an address": (b"*2\r\n$1\r\n \r\n$1\r\nx\r\n", "answers something that is no address"),
    "another reply": (b":7\r\n", "answers something that is no address"),
    "garbage": (b"HTTP/1.1 200 OK\r\n\r\n", "not RESP2"),
    "an endless reply": (ENDLESS, "that does not end"),
    "silence": (None, "did not answer within 1.0 s"),
    "an error": (b"-ERR \xff no\r\n", "Redis answered: ERR"),
}


@pytest.fixture(scope="module")
def sentinels():
    with Sentinels(count=1, replicas=1) as sentinels:
        yield sentinels


@pytest.mark.parametrize("lie", LIES)
def test_a_sentinel_that_is_wrong_is_named_and_the_next_one_asked(sentinels, lie):
    answer, words = LIES[lie]
    if answer is REPLICA:
        answer = FalseSentinel.address(sentinels.replicas[0].port)
    elif answer is NOBODY:
        answer = FalseSentinel.address(1)
    with (
        FalseSentinel(answer) as false,
        Gateway(sentinels.url_of(*sentinels.sentinels, ports=[false.port]), "lied-to") as gateway,
    ):
        line = wait_until(
            lambda: next((line for line in gateway.log.splitlines() if "a Sentinel is of no use" in line), None), 5, "a line"
        )
        assert words in line and f"127.0.0.1:{false.port}" in line
        done = tocsin("send", "lies", '{"n":1}', "--redis", gateway.redis_url)
        assert done.returncode == 0
        # Once a minute, however often it was asked.
        assert gateway.log.count("a Sentinel is of no use") == 1
        assert false.sent < 1 << 24


def test_when_every_sentinel_is_wrong_all_are_named_and_the_gateway_waits(sentinels):
    [real] = sentinels.sentinels
    replica = FalseSentinel.address(sentinels.replicas[0].port)
    with FalseSentinel(b"*-1\r\n") as one, FalseSentinel(b"*-1\r\n") as two:
        url = sentinels.url_of(ports=[one.port, two.port])
        done = tocsin("send", "lies", '{"n":1}', "--redis", url, check=False)
        assert done.returncode == 1
        for false in (one, two):
            assert f"127.0.0.1:{false.port} knows no master named mymaster" in done.stderr, done.stderr
        with contextlib.closing(Gateway(url, "waits").start(wait=False)) as gateway:
            wait_until(lambda: one.questions > 2 and gateway.readyz() == 503, 10, "a gateway that asks again and again")
            two.answer = replica
            wait_until(lambda: "is a replica of" in gateway.log, 10, "a line about the replica")
            assert gateway.readyz() == 503
            one.answer = FalseSentinel.address(sentinels.primary.port)
            wait_until(gateway.ready, 10, "a gateway that has found its primary")
    assert real.running


def test_one_failover_after_the_other_that_is_only_announced_does_not_make_a_gateway_redial_without_end(sentinels, clients):
    """By a Sentinel that is wrong, or by anybody who may publish on its channel."""
    primary, replica = sentinels.primary, sentinels.replicas[0]
    with (
        FalseSentinel(FalseSentinel.address(primary.port)) as false,
        Gateway(sentinels.url_of(*sentinels.sentinels, ports=[false.port]), "chased") as gateway,
    ):
        [socket] = clients.open(gateway.url("/ws/chased"))
        wait_until(lambda: false.subscribers, 5, "a gateway that listens to the false Sentinel")
        def dialled():
            return sum(server.client().info("stats")["total_connections_received"] for server in sentinels.servers)

        before = dialled()
        for number in range(300):
            false.announce(*((primary.port, replica.port) if number % 2 == 0 else (replica.port, primary.port)))
            time.sleep(0.01)
        count = dialled() - before
        assert count < 20, "300 announcements in three seconds, for two connections"
        wait_until(gateway.ready, 15, "a gateway that is at its primary")
        tocsin("send", "chased", '{"n":1}', "--redis", sentinels.url)
        assert json.loads(socket.wait(1, timeout=15)[0]) == {"n": 1}


def test_all_replicas_are_waited_for_where_that_is_wanted(sentinels):
    [replica] = sentinels.replicas
    with Gateway(None, "all", config(redis={"hosts": [sentinels.url], "wait_replicas": "all"})) as gateway:
        file = gateway.directory / "tocsin.yaml"
        assert json.loads(tocsin("send", "g", '{"n":1}', "--json", "--config", file).stdout)["position"]
        before = replica.client().xlen("tocsin:log:g")
        assert before == 1, "it has what was accepted"
        os.kill(replica.pid, signal.SIGSTOP)
        try:
            done = tocsin("send", "g", '{"n":2}', "--config", file, check=False)
        finally:
            os.kill(replica.pid, signal.SIGCONT)
        assert done.returncode == 1 and "0 of 1 replicas acknowledged" in done.stderr, done.stderr


def test_where_all_replicas_are_waited_for_one_has_to_be_there(redis_server, tmp_path):
    file = tmp_path / "tocsin.yaml"
    file.write_text(json.dumps({"redis": {"hosts": [redis_server.url], "wait_replicas": "all"}}))
    done = tocsin("send", "g", '{"n":1}', "--config", file, check=False)
    assert done.returncode == 1 and "no replica is connected to the primary" in done.stderr, done.stderr


def test_every_command_finds_the_primary(sentinels):
    with Gateway(sentinels.url, "found") as gateway:
        assert f"redis={sentinels.url}" in gateway.log or sentinels.url in gateway.log
        sent = tocsin("send", "all", '{"n":1}', "--json", "--redis", sentinels.url).stdout
        assert json.loads(sent)["position"]
        assert '{"n":1}' in tocsin("history", "all", "--redis", sentinels.url).stdout
        assert "found" in tocsin("gateways", "--redis", sentinels.url).stdout
        assert tocsin("who", "all", "--redis", sentinels.url).returncode == 0
        said = tocsin("doctor", "--redis", sentinels.url, check=False).stdout
        assert f"redis: {sentinels.url} answers" in said, said


def test_all_have_passwords(clients, tmp_path):
    """The servers' and the Sentinels' are different; the configuration file has them, and nothing that is written does."""
    with Sentinels(count=1, replicas=1, password="Tr0ub4dor") as sentinels:
        [sentinel] = sentinels.sentinels
        for server in sentinels.servers:
            server.client().execute_command("ACL", "SETUSER", "app", "on", ">h4mster", "~*", "&*", "+@all")
        entry = {
            "master_name": "mymaster", "sentinels": [["127.0.0.1", sentinel.port]], "db": 2, "username": "app",
            "password": "h4mster", "sentinel_kwargs": {"password": "Tr0ub4dor"},
        }  # fmt: skip
        gateway = Gateway(None, "by-file", config(redis={"hosts": [entry]}))
        with gateway:
            [socket] = clients.open(gateway.url("/ws/secret"))
            file = gateway.directory / "tocsin.yaml"
            tocsin("send", "secret", '{"n":1}', "--config", file)
            assert json.loads(socket.wait(1)[0]) == {"n": 1}
            assert sentinels.primary.client(2).exists("tocsin:pos:secret")
            for wrong in ("Tr0ub4dor", "h4mster"):
                broken = tmp_path / "broken.yaml"
                broken.write_text(file.read_text().replace(wrong, f"{wrong}-not"))
                done = tocsin("send", "secret", '{"n":1}', "--config", broken, check=False)
                assert done.returncode == 1 and "refused AUTH" in done.stderr and wrong not in done.stderr, done.stderr
            assert "Tr0ub4dor" not in gateway.log and "h4mster" not in gateway.log


def test_a_server_at_a_fixed_address_may_be_anything(redis_server):
    """Only what Sentinels name must be a primary: a name that leads to a replica for a moment is nothing new."""
    with RedisServer() as replica:
        replica.client().execute_command("REPLICAOF", redis_server.host, redis_server.port)
        wait_until(lambda: replica.client().info("replication")["master_link_status"] == "up", 10, "a linked replica")
        assert tocsin("who", "some", "--redis", replica.url, check=False).returncode == 0


def test_the_metrics_say_when_redis_is_there(sentinels):
    with Gateway(sentinels.url, "measured") as gateway:
        assert gateway.metric("tocsin_redis_up") == 1
        assert get(gateway.admin_port, "/readyz").status == 200
