"""Two Redis servers: what Django's layer with the same hosts sends reaches browsers, and every command finds a group's server."""

import asyncio
import json
import socket

import pytest
from channels_redis.core import RedisChannelLayer
from harness.gateway import Gateway, config, tocsin
from harness.http_client import get, request
from harness.names import fleet_member, shard_of
from harness.redis_server import RedisServer
from harness.waiting import wait_until

GROUPS = [f"room-{n}" for n in range(24)]


@pytest.fixture(scope="module")
def servers():
    with RedisServer() as one, RedisServer() as two:
        yield one, two


@pytest.fixture(scope="module")
def gateway(servers):
    with Gateway(None, "sharded", config(redis={"hosts": [server.url for server in servers]})) as gateway:
        yield gateway


@pytest.fixture
def sockets(clients, gateway):
    return {group: clients.open(gateway.url(f"/ws/{group}"))[0] for group in GROUPS}


def with_layer(servers, body):
    async def run():
        layer = RedisChannelLayer(hosts=[server.url for server in servers])
        try:
            await body(layer)
        finally:
            await layer.close_pools()

    asyncio.run(run())


def test_both_servers_have_groups():
    assert {shard_of(group, 2) for group in GROUPS} == {0, 1}


def test_django_s_core_layer_reaches_browsers_through_both(servers, sockets):
    async def send(layer):
        for n in range(5):
            for group in GROUPS:
                await layer.group_send(group, {"type": "receive", "to": group, "n": n})

    with_layer(servers, send)
    for group, each in sockets.items():
        assert [json.loads(message) for message in each.wait(5)] == [
            {"type": "receive", "to": group, "n": n} for n in range(5)
        ]
    for shard, server in enumerate(servers):
        for group in GROUPS:
            kept = server.client().exists(f"asgi:group:{group}", f"tocsin:log:{group}", f"tocsin:roster:{group}")
            assert kept == (3 if shard_of(group, 2) == shard else 0)
            if kept:
                assert server.client().zrange(f"asgi:group:{group}", 0, -1) == [fleet_member(group, 2).encode()]


def test_django_s_send_reaches_one_browser_wherever_it_goes(servers, gateway, sockets):
    """channels_redis looks for a consumer's inbox on the wrong server half of the time: the gateway reads its own on both."""
    names = []
    for group in GROUPS:
        [member] = request(gateway.admin_port, "GET", f"/v1/groups/{group}/members").json["members"]
        names.append(member["channel"])
    assert {shard_of(name, 2) for name in names} == {0, 1}

    async def send(layer):
        for name in names:
            await layer.send(name, {"type": "receive", "only": name})

    with_layer(servers, send)
    for name, each in zip(names, sockets.values(), strict=True):
        assert json.loads(each.wait(1)[0])["only"] == name


def test_every_command_finds_the_group(servers, gateway, sockets):
    file = gateway.directory / "tocsin.yaml"
    for group in (GROUPS[0], next(g for g in GROUPS if shard_of(g, 2) != shard_of(GROUPS[0], 2))):
        tocsin("send", group, '{"by":"command"}', "--config", file)
        assert json.loads(sockets[group].wait(1)[0]) == {"by": "command"}
        assert '{"by":"command"}' in tocsin("history", group, "--config", file).stdout
        assert "gateway=sharded" in tocsin("who", group, "--config", file).stdout
        sent = request(gateway.admin_port, "POST", f"/v1/groups/{group}/messages", b'{"by":"api"}', {"Content-Type": "application/json"})
        assert sent.status == 201
        assert json.loads(sockets[group].wait(2)[1]) == {"by": "api"}
    # Written with the lease, every 5 s; the sum over both servers.
    wait_until(
        lambda: f"groups={len(GROUPS)}  " in tocsin("gateways", "--config", file).stdout, 10, "the number of groups", every=0.5
    )
    assert len(tocsin("gateways", "--config", file).stdout.splitlines()) == 1
    said = tocsin("doctor", "--config", file, check=False).stdout
    for shard, server in enumerate(servers):
        assert f"redis of shard {shard}: {server.url} answers" in said, said


def test_kick_and_direct_messages_reach_connections_of_both(gateway, clients):
    for group in GROUPS[:6]:
        [each] = clients.open(gateway.url(f"/ws/{group}"))
        file = gateway.directory / "tocsin.yaml"
        name = request(gateway.admin_port, "GET", f"/v1/groups/{group}/members").json["members"][0]["channel"]
        tocsin("send", name, '{"only":"you"}', "--config", file)
        assert json.loads(each.wait(1)[0]) == {"only": "you"}
        tocsin("kick", "--connection", name, "--config", file)
        assert each.wait_closed() == 4401


def test_one_of_three_is_away():
    """The others serve, what is on it is refused at once, and /readyz says which one it is."""
    with RedisServer() as one, RedisServer() as two, RedisServer() as three:
        servers = [one, two, three]
        with Gateway(None, "two-thirds", config(redis={"hosts": [server.url for server in servers]})) as gateway:
            two.kill()
            answer = wait_until(
                lambda: (a := get(gateway.admin_port, "/readyz")) and two.url in a.text and a, 10, "a remark in /readyz"
            )
            assert answer.status == 200 and answer.text.startswith(f"ready, but {two.url}: ")
            assert gateway.metrics()['tocsin_redis_up{shard="1"}'] == 0
            assert gateway.metrics()['tocsin_redis_up{shard="0"}'] == 1
            for group in GROUPS:
                is_away = shard_of(group, 3) == 1
                sent = request(
                    gateway.admin_port, "POST", f"/v1/groups/{group}/messages", b"{}", {"Content-Type": "application/json"}
                )
                assert sent.status == (503 if is_away else 201), (group, sent.text)
                assert handshake(gateway, group) == (503 if is_away else 101)
            file = gateway.directory / "tocsin.yaml"
            done = tocsin("gateways", "--config", file)
            assert "two-thirds" in done.stdout and two.url in done.stderr
            three.kill()
            wait_until(lambda: gateway.readyz() == 503, 10, "a gateway that is not ready")
            text = get(gateway.admin_port, "/readyz").text
            assert two.url in text and three.url in text and one.url not in text


def handshake(gateway, group) -> int:
    with socket.create_connection(("127.0.0.1", gateway.port), 5) as tcp:
        tcp.sendall(
            f"GET /ws/{group} HTTP/1.1\r\nHost: x\r\nOrigin: http://site.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        return int(tcp.recv(4096).split()[1])


# Inboxes --------------------------------------------------------------------------------------------------------------


def test_a_user_s_inboxes_schedule_and_erasure_are_one_over_both_servers(servers):
    hosts = [server.url for server in servers]
    groups = [{"match": "{user}.inbox", "inbox": True}, {"match": "{user}.news", "inbox": True}]
    # A user whose groups are on different servers.
    user = next(f"u{n}" for n in range(100) if shard_of(f"u{n}.inbox", 2) != shard_of(f"u{n}.news", 2))
    names = [f"{user}.inbox", f"{user}.news"]
    with Gateway(None, "sharded-inbox", config(redis={"hosts": hosts}, groups=groups)) as gateway:

        def ask(method, path, body=None):
            answer = request(gateway.admin_port, method, path, json.dumps(body).encode() if body else None)
            assert answer.status in (200, 201, 202), answer.text
            return answer.json

        for name in names:
            ask("POST", f"/v1/groups/{name}/messages", {"n": 1})
        inboxes = ask("GET", f"/v1/users/{user}/inbox")["inboxes"]
        assert [(inbox["group"], inbox["unread"]) for inbox in inboxes] == [(name, 1) for name in names]
        ids = [
            ask("POST", f"/v1/groups/{name}/messages?in={hours}h", {"n": hours})["scheduled"]
            for hours, name in zip((2, 3, 1, 4), names + names, strict=True)
        ]
        listed = ask("GET", "/v1/scheduled?limit=3")["scheduled"]
        assert [entry["message"]["n"] for entry in listed] == [1, 2, 3]
        assert ask("DELETE", f"/v1/scheduled/{ids[0]}") == {"cancelled": ids[0]}
        assert ask("DELETE", f"/v1/users/{user}")["groups"] == names
        assert ask("GET", "/v1/scheduled")["scheduled"] == []
        for server in servers:
            assert server.client().keys(f"tocsin:*{user}.*") == []
