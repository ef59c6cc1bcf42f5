"""What one client, one address and one user can use up: the answers, and that everybody else is served on."""

import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from harness.clients import RawSocket, frame
from harness.gateway import Gateway, config
from harness.waiting import wait_until

TEXT, PING = 1, 9


@pytest.fixture
def gateway(redis_server):
    """gateway(key=value, …) → a running gateway with these limits."""
    running = []

    def start(kind=Gateway, routes=(), **limits):
        settings = config(gateway=limits)
        settings["routes"] += routes
        one = kind(redis_server.url, f"limits-{len(running)}", settings)
        running.append(one)
        return one.start()

    yield start
    for one in running:
        one.close()


class FewFiles(Gateway):
    """A gateway that may open 64 files."""

    def command(self):
        return ["prlimit", "--nofile=64:64", *super().command()]


def handshake(port, path="/ws/a", headers=()):
    """The socket, the status and the headers of the answer."""
    tcp = socket.create_connection(("127.0.0.1", port), 10)
    lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Upgrade: websocket", "Connection: Upgrade",
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13", "Origin: http://site.example",
             *headers]  # fmt: skip
    try:
        tcp.sendall("\r\n".join([*lines, "", ""]).encode())
    except OSError:
        pass  # turned away before it was sent; the answer is there to be read
    data = b""
    while b"\r\n\r\n" not in data:
        try:
            part = tcp.recv(65536)
        except ConnectionResetError:
            part = b""
        if not part:
            break
        data += part
    status, *fields = data.split(b"\r\n\r\n")[0].decode().split("\r\n")
    found = dict(field.lower().split(": ", 1) for field in fields)
    return tcp, int(status.split(" ")[1]) if status else None, found


def resident_kilobytes(process):
    with open(f"/proc/{process.pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def test_one_more_connection_of_an_address_is_429_and_told_when_to_come_back(gateway):
    one = gateway(max_connections_per_address=3)
    inside = [handshake(one.port) for _ in range(3)]
    assert [status for _, status, _ in inside] == [101] * 3
    _, status, headers = handshake(one.port)
    assert status == 429 and int(headers["retry-after"]) > 0
    assert one.metric("tocsin_handshakes_refused_total", reason="address_full") == 1
    inside[0][0].close()
    wait_until(lambda: handshake(one.port)[1] == 101, 5, "the place that was left")


def test_one_more_connection_of_a_user_is_429_and_another_user_is_let_in(gateway):
    one = gateway(max_connections_per_user=2)
    mine = [handshake(one.port, "/mine", ["X-Remote-User: 42"]) for _ in range(3)]
    assert [status for _, status, _ in mine] == [101, 101, 429]
    assert int(mine[2][2]["retry-after"]) > 0
    assert handshake(one.port, "/mine", ["X-Remote-User: 43"])[1] == 101
    assert one.metric("tocsin_handshakes_refused_total", reason="user_full") == 1
    mine[0][0].close()
    wait_until(lambda: handshake(one.port, "/mine", ["X-Remote-User: 42"])[1] == 101, 5, "the place that was left")


def test_a_storm_of_handshakes_is_503_and_told_when_to_come_back(gateway):
    one = gateway(max_handshakes_per_second=5)
    answers = [handshake(one.port) for _ in range(20)]
    assert [status for _, status, _ in answers[:5]] == [101] * 5
    refused = [headers for _, status, headers in answers if status == 503]
    assert refused and all(int(headers["retry-after"]) > 0 for headers in refused)
    wait_until(lambda: handshake(one.port)[1] == 101, 5, "a later second")


def test_200_connections_against_100_are_503_and_the_memory_stays(gateway, clients, redis):
    one = gateway(max_connections=100)
    listeners = clients.open(one.url("/ws/full"), count=100)
    for _ in range(100):
        tcp, status, headers = handshake(one.port, "/ws/full")
        assert status == 503 and int(headers["retry-after"]) > 0
        tcp.close()
    before = resident_kilobytes(one)
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: handshake(one.port, "/ws/full"), range(2000)))
    assert {status for _, status, _ in answers} == {503}
    for tcp, _, _ in answers:
        tcp.close()
    assert resident_kilobytes(one) - before < 8 << 10
    redis.fcall("group_send", 1, "asgi:group:full", '{"marker":1}')
    for listener in listeners:
        assert listener.until("marker") == []


@pytest.mark.parametrize("opcode", [TEXT, PING], ids=["messages", "pings"])
def test_a_flood_is_closed_with_4429_and_the_others_are_served(opcode, gateway, clients):
    one = gateway()
    (good,) = clients.open(one.url("/echo/a"))
    with RawSocket(one.port, "/echo/a") as flooder:
        for _ in range(10):
            flooder.send(frame(opcode, b"x") * 50)
        assert flooder.close_code() == 4429
    good.send("still")
    assert good.wait(1) == ['"still"']
    assert one.metric("tocsin_connections_cut_total", reason="rate") == 1


CENTRIFUGE = [{"path": "/rooms", "protocol": "centrifuge", "may_join": ["room.*"]}]


def replies(raw, count):
    """So many replies to commands; pushes on the way are skipped."""
    found = {}
    while len(found) < count:
        opcode, payload = raw.frame()
        assert opcode == TEXT, (opcode, payload)
        for line in payload.decode().splitlines():
            reply = json.loads(line)
            if "id" in reply:
                found[reply["id"]] = reply
    return found


def say(raw, *commands):
    raw.send(frame(TEXT, "\n".join(map(json.dumps, commands)).encode()))


def test_too_many_joins_in_a_second_are_refused_for_now_and_too_many_groups_for_good(gateway):
    one = gateway(routes=CENTRIFUGE, max_joins_per_second=1, max_groups=4)
    with RawSocket(one.port, "/rooms") as raw:
        say(raw, {"id": 1, "connect": {}})
        assert "connect" in replies(raw, 1)[1]
        for number in range(2, 7):
            say(raw, {"id": number, "subscribe": {"channel": f"room.{number}"}})
        answers = replies(raw, 5)
        assert [answers[number].get("error", {}).get("code") for number in range(2, 7)] == [None] * 4 + [106]
        # It may change its mind about all of them, and then about as many as a second brings.
        errors = []
        for number in range(10, 30, 2):
            say(raw, {"id": number, "unsubscribe": {"channel": f"room.{number - 2 if number > 10 else 2}"}})
            say(raw, {"id": number + 1, "subscribe": {"channel": f"room.{number}"}})
            errors += [reply["error"] for reply in replies(raw, 2).values() if "error" in reply]
        assert 4 <= len(errors) <= 6
        assert errors[0] == {"code": 111, "message": "too many requests", "temporary": True}
    assert one.metric("tocsin_joins_refused_total", reason="rate") == len(errors)
    assert one.metric("tocsin_joins_refused_total", reason="full") == 1


def test_a_batch_of_commands_counts_as_its_commands(gateway):
    one = gateway(routes=CENTRIFUGE, max_messages_per_second=10)
    with RawSocket(one.port, "/rooms") as raw:
        say(raw, {"id": 1, "connect": {}})
        replies(raw, 1)
        say(raw, *({"id": number, "ping": {}} for number in range(2, 40)))
        assert raw.close_code() == 3013


def test_without_files_left_it_turns_away_with_503_and_lets_in_again_later(gateway, redis, clients):
    one = gateway(FewFiles)
    (good,) = clients.open(one.url("/ws/files"))
    answers = [handshake(one.port, "/ws/files") for _ in range(100)]
    statuses = [status for _, status, _ in answers]
    assert 101 in statuses and 503 in statuses, statuses
    assert {status for status in statuses} <= {101, 503, None}
    assert all(int(headers["retry-after"]) > 0 for _, status, headers in answers if status == 503)
    redis.fcall("group_send", 1, "asgi:group:files", '{"n":1}')
    assert good.wait(1) == ['{"n":1}']
    for tcp, _, _ in answers:
        tcp.close()
    wait_until(lambda: handshake(one.port, "/ws/files")[1] == 101, 10, "room for another one")
    assert one.readyz() == 200
    assert one.metric("tocsin_handshakes_refused_total", reason="descriptors") > 0


def test_300_slow_handshakes_do_not_hold_up_a_good_client(gateway):
    one = gateway()
    slow = []
    for _ in range(300):
        tcp = socket.create_connection(("127.0.0.1", one.port), 5)
        tcp.sendall(b"GET /ws/a HTTP/1.1\r\nHost: exam")
        slow.append(tcp)
    for _ in range(3):
        began = time.monotonic()
        assert handshake(one.port)[1] == 101
        assert time.monotonic() - began < 1
    for tcp in slow:
        tcp.close()
