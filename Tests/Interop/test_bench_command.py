"""tocsin bench against running gateways: what it counts, and its errors when it cannot measure."""

import json
import socket
import threading

import pytest
from harness.free_port import free_port
from harness.gateway import Gateway, config, tocsin

MESSAGES = ("--clients", 30, "--rate", 40, "--seconds", 0.5, "--bytes", 200)


@pytest.fixture(scope="module")
def gateways(redis_server):
    routes = [*config()["routes"], {"path": "/centrifuge/{room}", "groups": ["{room}"], "protocol": "centrifuge"}]
    settings = config(gateway={"allowed_hosts": [], "drain_seconds": 2}, routes=routes)
    with Gateway(redis_server.url, "one", settings) as one, Gateway(redis_server.url, "two", settings) as two:
        yield one, two


@pytest.fixture
def bench(redis_server, gateways):
    def run(path="/ws/bench", *arguments, **options):
        return tocsin("bench", gateways[0].url(path), "--redis", redis_server.url, *arguments, **options)

    return run


def complaint(done) -> str:
    """The error output of a run that could not measure."""
    assert done.returncode == 1, done.stdout + done.stderr
    assert not done.stdout
    return done.stderr.replace("\n", " ")


@pytest.mark.parametrize("how", [(), ("--history",)], ids=["PUBLISH", "group_send"])
def test_every_message_is_counted_once_for_every_client(bench, how):
    report = json.loads(bench("/ws/bench", *MESSAGES, *how, "--json").stdout)
    assert report["group"] == "bench" and report["clients"] == 30
    assert report["sent"] == 20 and report["refused"] == 0
    assert report["expected"] == report["delivered"] == 600
    assert (report["lost"], report["duplicates"], report["closed"]) == (0, 0, 0)
    latency = report["latency_ms"]
    assert 0 < latency["p50"] <= latency["p99"] <= latency["max"] < 10_000
    assert report["connects_per_second"] > 0 and report["deliveries_per_second"] > 0


def test_with_history_the_group_keeps_the_messages_and_without_it_does_not(bench, redis):
    bench("/ws/kept", *MESSAGES, "--history")
    assert redis.xlen("tocsin:log:kept") == 21, "20 and the first"
    message = redis.xrevrange("tocsin:log:kept", count=1)[0][1][b"m"]
    assert len(message) == 200 and json.loads(message)["type"] == "bench"
    bench("/ws/live", *MESSAGES)
    assert not redis.exists("tocsin:log:live")


def test_people_are_told_in_words_and_see_it_progress(bench):
    done = bench("/ws/bench", "--clients", 5, "--rate", 20, "--seconds", 3)
    assert "delivered    300 of 300" in done.stdout
    assert "lost         0" in done.stdout and "duplicates   0" in done.stdout
    assert "5 clients connected" in done.stderr
    assert "of 60 published" in done.stderr


def test_a_group_that_the_path_does_not_tell(bench):
    bench("/mine", *MESSAGES, "--group", "7.inbox", "--header", "X-Remote-User: 7")


def test_messages_of_others_do_not_count(bench, redis):
    stop = threading.Event()

    def disturb():
        while not stop.wait(0.005):
            redis.publish("asgi__group__shared", '{"type":"bench","bench":"0:1:2"}')

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        report = json.loads(bench("/ws/shared", *MESSAGES, "--json").stdout)
    finally:
        stop.set()
        thread.join()
    assert report["delivered"] == 600 and report["duplicates"] == 0


def test_losses_are_counted_and_make_the_exit_code_1(redis_server, gateways):
    """A gateway is killed in the middle of a run: its clients are closed and the remaining messages are lost."""
    with Gateway(redis_server.url, "doomed", config(gateway={"allowed_hosts": []})) as doomed:
        timer = threading.Timer(2.0, doomed.kill)
        timer.start()
        done = tocsin(
            "bench", doomed.url("/ws/doomed"), "--redis", redis_server.url, "--clients", 10, "--rate", 50,
            "--seconds", 4, "--json", check=False, timeout=60,
        )  # fmt: skip
        timer.join()
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert report["closed"] == 10
    assert report["lost"] > 0 and report["lost"] + report["delivered"] == report["expected"] == 2000


@pytest.mark.parametrize(
    ("path", "arguments", "words"),
    [
        ("/nowhere/x", (), ("404", "no route for /nowhere/x")),
        ("/mine", ("--group", "7.inbox"), ("403", "--header", "--origin")),
        ("/ws/bench", ("--origin", "https://evil.example"), ("403", "https://evil.example", "gateway.allowed_hosts")),
        ("/ws/bench", ("--group", "other"), ("no gateway listens to the group other", "--redis", "--group")),
        ("/centrifuge/room", (), ("protocol plain",)),
        ("/ws/bench", ("--bytes", 20), ("--bytes wants at least",)),
        ("/ws/bench", ("--group", "ö"), ("ö",)),
        ("/", (), ("--group",)),
    ],
)
def test_what_cannot_be_measured_is_told_with_its_remedy(bench, path, arguments, words):
    said = complaint(bench(path, "--clients", 10, *arguments, check=False))
    for word in words:
        assert word in said


def test_nobody_there(redis_server):
    port = free_port()
    done = tocsin("bench", f"ws://127.0.0.1:{port}/ws/x", "--redis", redis_server.url, check=False)
    assert f"cannot connect to 127.0.0.1:{port}: is the gateway running there?" in complaint(done)


def test_no_redis(gateways):
    done = tocsin("bench", gateways[0].url("/ws/x"), "--redis", f"redis://127.0.0.1:{free_port()}/3", check=False)
    assert "Is Redis running at" in complaint(done)


def test_something_that_is_no_gateway(redis_server):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def greet():
            connection, _ = listener.accept()
            connection.recv(4096)
            connection.sendall(b"220 mail.example ESMTP\r\n")
            connection.recv(4096)
            connection.close()

        thread = threading.Thread(target=greet)
        thread.start()
        port = listener.getsockname()[1]
        done = tocsin("bench", f"ws://127.0.0.1:{port}/ws/x", "--redis", redis_server.url, "--clients", 1, check=False)
        thread.join()
    assert "does not speak HTTP" in complaint(done)


@pytest.mark.parametrize("url", ["http://127.0.0.1/ws/x", "ws:///x", "nonsense"])
def test_an_address_that_is_none(url):
    assert "ws://127.0.0.1:8080/ws/bench" in complaint(tocsin("bench", url, check=False))


def test_the_help_teaches_its_use():
    text = tocsin("bench", "--help").stdout
    for word in ("ws://127.0.0.1:8001/ws/bench", "--redis", "--clients", "--history", "Exit code", "Latency is"):
        assert word in text
