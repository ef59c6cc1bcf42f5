"""Redis is up but refuses all writes or lacks a right. The gateway reports it, keeps its clients and recovers by itself."""

import subprocess
import time
from pathlib import Path

import pytest
from harness.clients import ORIGIN
from harness.free_port import free_port
from harness.gateway import Gateway, binary, config, tocsin
from harness.http_client import get, request
from harness.redis_server import RedisServer
from harness.switching_proxy import SwitchingProxy
from harness.waiting import wait_until

LASTS = 4.0  # seconds that a trouble lasts: enough to count log lines and connections
LINES = 8  # log lines of one trouble, from its beginning to its end
UPGRADE = {
    "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Origin": ORIGIN,
}  # fmt: skip


@pytest.fixture
def server():
    with RedisServer() as server:
        yield server


@pytest.fixture
def app(server):
    """A server with a user that has every right; returns its URL."""
    setuser(server, "on", ">secret", "~*", "&*", "+@all")
    return f"redis://app:secret@127.0.0.1:{server.port}/3"


def setuser(server, *rules):
    server.client().execute_command("ACL", "SETUSER", "app", *rules)


def dials(server):
    return server.client().info("stats")["total_connections_received"]


def lines(gateway):
    return gateway.log.splitlines()


def await_red(gateway, words, within=8.0):
    def red():
        answer = get(gateway.admin_port, "/readyz")
        return answer.status == 503 and words in answer.text

    wait_until(red, within, lambda: f"503 with {words!r}, not {get(gateway.admin_port, '/readyz').text!r}")


def await_green(gateway, within=12.0):
    wait_until(lambda: get(gateway.admin_port, "/readyz").status == 200, within, "/readyz is 200 again")


def assert_newcomers_are_told_to_come_back(gateway):
    answer = request(gateway.port, "GET", "/ws/late", headers=UPGRADE)
    assert answer.status == 503 and int(answer.headers["Retry-After"]) >= 1, answer


def hears(socket, server, word):
    socket.clear()
    assert server.client().fcall("group_send", 1, "asgi:group:room", f'{{"said":"{word}"}}')[1] >= 1
    assert socket.wait(1)[0] == f'{{"said":"{word}"}}'


def go_through(gateway, clients, server, words, begin, end, most_dials=2):
    """A trouble from its beginning to its end, as seen by operators, newcomers and a connected client."""
    [socket] = clients.open(gateway.url("/ws/room"))
    hears(socket, server, "before")
    said, dialled = len(lines(gateway)), dials(server)
    begin()
    await_red(gateway, words)
    assert gateway.metric("tocsin_redis_up") == 0
    assert_newcomers_are_told_to_come_back(gateway)
    until = time.monotonic() + LASTS
    while time.monotonic() < until:
        assert get(gateway.admin_port, "/readyz").status == 503, "it does not flap while the trouble lasts"
        time.sleep(0.2)
    assert_newcomers_are_told_to_come_back(gateway)
    assert dials(server) - dialled <= most_dials + 4, "the tests' own connections are four at most"
    end()
    await_green(gateway)
    assert gateway.metric("tocsin_redis_up") == 1
    assert socket.open
    assert clients.status(gateway.url("/ws/late")) == 101
    hears(socket, server, "after")
    assert len(lines(gateway)) - said <= LINES, lines(gateway)[said:]
    return lines(gateway)[said:]


def settings(server, **values):
    """Returns two functions: one sets the values, the other restores the previous ones."""
    client = server.client()
    before = {name: client.config_get(name)[name] for name in values}

    def put(values):
        for name, value in values.items():
            client.config_set(name, value)

    return lambda: put(values), lambda: put(before)


# Writes ---------------------------------------------------------------------------------------------------------------


def test_a_demoted_redis_makes_the_gateway_red_and_dial_again(clients, server):
    client = server.client()
    with Gateway(server.url, "demoted") as gateway:
        said = go_through(
            gateway, clients, server, "Redis refuses writes: READONLY",
            lambda: client.replicaof("127.0.0.1", free_port()), lambda: client.replicaof("NO", "ONE"), most_dials=14,
        )  # fmt: skip
    assert any("READONLY" in line for line in said)


def test_full_memory_makes_the_gateway_red_though_its_lease_is_let_through(clients, server):
    used = server.client().info("memory")["used_memory"]
    begin, end = settings(server, maxmemory=used // 2)
    with Gateway(server.url, "full") as gateway:
        go_through(gateway, clients, server, "Redis refuses writes: OOM", begin, end)


def test_full_memory_ends_no_lease_not_even_that_of_a_gateway_which_loses_its_connection(server):
    client = server.client()
    begin, end = settings(server, maxmemory=client.info("memory")["used_memory"] // 2)

    def seen():
        return float(client.hget("tocsin:gateway:full", "seen"))

    with Gateway(server.url, "full") as gateway:
        begin()
        await_red(gateway, "OOM")
        before = seen()
        wait_until(lambda: seen() > before, 8, "the lease to be renewed")
        client.client_kill_filter(_type="normal", skipme=True)
        before = seen()
        wait_until(lambda: seen() > before, 8, "the lease to be renewed over a new connection")
        assert "OOM" in get(gateway.admin_port, "/readyz").text
        end()
        await_green(gateway)


def test_too_few_replicas_make_the_gateway_red(clients, server):
    begin, end = settings(server, **{"min-replicas-to-write": 1})
    with Gateway(server.url, "lonely") as gateway:
        go_through(gateway, clients, server, "Redis refuses writes: NOREPLICAS", begin, end)


def test_a_disk_that_fails_makes_the_gateway_red(clients):
    with RedisServer(args=("--save", "3600 1000000")) as server:
        client = server.client()
        obstacle = Path(server.directory) / client.config_get("dbfilename")["dbfilename"]

        def save(status):
            client.bgsave()
            wait_until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == status, 10, f"BGSAVE: {status}")

        def begin():
            obstacle.mkdir()
            save("err")

        def end():
            obstacle.rmdir()
            save("ok")

        with Gateway(server.url, "disk") as gateway:
            go_through(gateway, clients, server, "Redis refuses writes: MISCONF", begin, end)


def test_a_departure_during_a_refusal_is_made_up_for(clients, server):
    begin, end = settings(server, **{"min-replicas-to-write": 1})
    with Gateway(server.url, "gone") as gateway:
        stays, goes = clients.open(gateway.url("/ws/room"), count=2)
        assert server.client().hlen("tocsin:roster:room") == 2
        begin()
        await_red(gateway, "NOREPLICAS")
        goes.close()
        end()
        await_green(gateway)
        wait_until(lambda: server.client().hlen("tocsin:roster:room") == 1, 5, "the one who went is out of the roster")
        assert stays.open


@pytest.mark.parametrize("replicas", [0, 1])
def test_a_failover_behind_one_address_is_followed_by_every_link(clients, replicas):
    """When replicas are waited for, client messages use a separate connection."""
    with RedisServer() as one, RedisServer() as two, SwitchingProxy(one.port) as proxy:
        two.client().replicaof("127.0.0.1", one.port)
        wait_until(lambda: two.client().info("replication")["master_link_status"] == "up", 20, "the replica to follow")
        with Gateway(proxy.url, "follower", config(redis={"wait_replicas": replicas})) as gateway:
            [socket] = clients.open(gateway.url("/say/room"))
            hears(socket, one, "before")
            wait_until(lambda: two.client().hlen("tocsin:roster:room") == 1, 5, "the replica to have it")
            said, dialled = len(lines(gateway)), proxy.connections
            two.client().replicaof("NO", "ONE")
            one.client().replicaof("127.0.0.1", two.port)
            proxy.target = two.port
            wait_until(lambda: clients_of(two, "follower") == 2 + replicas, 10, "all links at the new primary")
            await_green(gateway)
            hears(socket, two, "after")
            wait_until(lambda: two.client().info("replication")["connected_slaves"] == 1, 20, "its replica")
            socket.send('{"own":1}')
            socket.until('"own":1')
            assert clients.status(gateway.url("/ws/late")) == 101
            assert proxy.connections - dialled <= 10 and len(lines(gateway)) - said <= LINES, lines(gateway)[said:]
            wait_until(lambda: clients_of(one, "follower") == 0, 5, "nobody left at the old one")


def clients_of(server, name):
    return sum(each["name"] == f"tocsin-{name}" for each in server.client().client_list())


# Rights ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("taken", "given", "words"),
    [
        (["-fcall"], ["+fcall"], "'fcall'"),
        (["-info"], ["+info"], "ACL SETUSER app +info"),
        (["-@write"], ["+@write"], "+hset"),
        (["resetkeys", "~asgi*"], ["~*"], "~tocsin:*"),
        (["-subscribe"], ["+subscribe"], "ACL SETUSER app +subscribe"),
        (["resetchannels"], ["&*"], "ACL SETUSER app &asgi__group__*"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_a_right_that_is_taken_away_is_named_and_given_back_it_is_used(clients, server, app, taken, given, words):
    with Gateway(app, "robbed") as gateway:
        go_through(
            gateway, clients, server, words, lambda: setuser(server, *taken), lambda: setuser(server, *given), 12)


def test_info_that_is_forbidden_is_found_at_the_start(clients, server, app):
    setuser(server, "-info")
    gateway = Gateway(app, "uninformed")
    try:
        gateway.start(wait=False)
        wait_until(lambda: gateway.readyz() == 503, 20, "the admin port")
        await_red(gateway, "ACL SETUSER app +info")
        assert_newcomers_are_told_to_come_back(gateway)
        setuser(server, "+info")
        await_green(gateway)
        assert clients.status(gateway.url("/ws/room")) == 101
    finally:
        gateway.close()


def test_a_user_without_channels_is_refused_further_and_further_apart(clients, server, app):
    setuser(server, "resetchannels")
    gateway = Gateway(app, "deaf")
    try:
        gateway.start(wait=False)
        wait_until(lambda: gateway.readyz() == 503, 20, "the admin port")
        await_red(gateway, "NOPERM")
        dialled, said = dials(server), len(lines(gateway))
        time.sleep(8)
        assert dials(server) - dialled <= 14, "one link, 3 s apart in the end; and the tests' own"
        assert len(lines(gateway)) - said <= 3, lines(gateway)[said:]
        assert "Redis is back" not in gateway.log
        answer = get(gateway.admin_port, "/readyz").text
        assert "ACL SETUSER app &asgi__group__*" in answer and "Redis refuses subscriptions: NOPERM" in answer
        setuser(server, "&*")
        await_green(gateway)
        assert clients.status(gateway.url("/ws/room")) == 101
    finally:
        gateway.close()


# Doctor ---------------------------------------------------------------------------------------------------------------


def findings(*arguments):
    done = tocsin("doctor", *arguments, check=False)
    return done.returncode, {line.split(": ", 1)[0]: line for line in done.stdout.splitlines()}, done.stdout


@pytest.mark.parametrize(
    ("taken", "words"),
    [
        ([], None),
        (["resetchannels"], "ACL SETUSER app &asgi__group__* &asgi__gateways__* &asgi__probe__* &asgi__control"),
        (["-subscribe"], "ACL SETUSER app +subscribe"),
        (["-info"], "ACL SETUSER app +info"),
        (["-time"], "ACL SETUSER app +time"),
        (["-fcall"], "ACL SETUSER app +fcall"),
        (["resetkeys", "~asgi*"], "ACL SETUSER app ~tocsin:*"),
        (["-set"], "ACL SETUSER app +set"),
        (["-ping", "-config", "-client|setname"], None),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value or ["nothing"]),
)
def test_doctor_names_the_right_that_is_missing_and_the_line_that_gives_it(server, app, taken, words):
    server.load_library()
    setuser(server, *taken)
    status, by_check, text = findings("--redis", app)
    assert status == (1 if words else 0), text
    if words:
        assert words in by_check["WRONG  rights"], text
    else:
        assert by_check["ok     rights"], text


def test_doctor_says_what_keeps_the_functions_from_being_loaded(server, app):
    status, by_check, text = findings("--redis", app)
    assert status == 0 and "not loaded yet" in by_check["warn   functions"], text
    setuser(server, "-function")
    status, by_check, text = findings("--redis", app)
    assert status == 1 and "cannot load them" in by_check["WRONG  functions"] and "NOPERM" in text
    with RedisServer(args=("--rename-command", "FUNCTION", "")) as disabled:
        status, by_check, text = findings("--redis", disabled.url)
        assert status == 1 and "unknown command" in by_check["WRONG  functions"], text


def test_doctor_says_why_writes_are_refused_and_what_to_do(server, app):
    server.load_library()
    client = server.client()
    for begin, end, words in (
        (lambda: client.replicaof("127.0.0.1", free_port()), lambda: client.replicaof("NO", "ONE"), "This is a replica"),
        (*settings(server, maxmemory=1), "Raise maxmemory"),
        (*settings(server, **{"min-replicas-to-write": 1}), "min-replicas-to-write"),
    ):
        begin()
        status, by_check, text = findings("--redis", app)
        end()
        assert status == 1 and words in by_check["WRONG  writes"], text
    status, by_check, text = findings("--redis", app)
    assert status == 0 and "ok     writes" in by_check, text


def test_doctor_leaves_no_key_behind(server, app):
    server.load_library()
    tocsin("doctor", "--redis", app)
    assert server.client().keys("*") == []


def test_tail_says_that_it_may_not_listen(server, app, tmp_path):
    setuser(server, "resetchannels")
    with open(tmp_path / "words", "w") as words:
        tail = subprocess.Popen([binary(), "tail", "room", "--redis", app], stdout=words, stderr=words)
        try:
            wait_until(lambda: "(SUBSCRIBE asgi__group__room)" in (tmp_path / "words").read_text(), 10, "the reason")
        finally:
            tail.kill()
            tail.wait()
