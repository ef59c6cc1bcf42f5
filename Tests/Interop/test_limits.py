"""Limits that are off by default or set by the machine: the responses, and that other clients are served on. The limits that
every public site has are in Tests/Faults/test_bad_clients_limits.py."""

import json
import socket

import pytest
from harness.clients import RawSocket, frame
from harness.gateway import Gateway, config
from harness.waiting import wait_until

TEXT = 1


@pytest.fixture
def gateway(redis_server):
    """Returns gateway(key=value, …), which starts a gateway with these limits."""
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
    """Returns the socket, the status and the headers of the response."""
    tcp = socket.create_connection(("127.0.0.1", port), 10)
    lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Upgrade: websocket", "Connection: Upgrade",
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13", "Origin: http://site.example",
             *headers]  # fmt: skip
    try:
        tcp.sendall("\r\n".join([*lines, "", ""]).encode())
    except OSError:
        pass  # refused before it was sent; the response can be read
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


def test_a_storm_of_handshakes_is_503_and_told_when_to_come_back(gateway):
    one = gateway(max_handshakes_per_second=5)
    answers = [handshake(one.port) for _ in range(20)]
    assert [status for _, status, _ in answers[:5]] == [101] * 5
    refused = [headers for _, status, headers in answers if status == 503]
    assert refused and all(int(headers["retry-after"]) > 0 for headers in refused)
    wait_until(lambda: handshake(one.port)[1] == 101, 5, "a later second")


CENTRIFUGE = [{"path": "/rooms", "protocol": "centrifuge", "may_join": ["room.*"]}]


def replies(raw, count):
    """Returns so many replies to commands and skips pushes."""
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
        # It may replace each of them once, and then about as many per second as the rate allows.
        errors = []
        for number in range(10, 30, 2):
            say(raw, {"id": number, "unsubscribe": {"channel": f"room.{number - 2 if number > 10 else 2}"}})
            say(raw, {"id": number + 1, "subscribe": {"channel": f"room.{number}"}})
            errors += [reply["error"] for reply in replies(raw, 2).values() if "error" in reply]
        assert 4 <= len(errors) <= 6
        assert errors[0] == {"code": 111, "message": "too many requests", "temporary": True}
    assert one.metric("tocsin_joins_refused_total", reason="rate") == len(errors)
    assert one.metric("tocsin_joins_refused_total", reason="full") == 1


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
