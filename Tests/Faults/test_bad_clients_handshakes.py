"""Requests that are invalid, too large, or meant to be parsed differently by two parsers: S8, S9, S12, S13, S44."""

import pytest
from harness.haproxy import HAProxy
from harness.nginx import Nginx
from harness.waiting import wait_until

from .bench.bad_client import KEY, first_status, handshake
from .bench.memory import resident

pytestmark = pytest.mark.quick

KIB = 1024


def answered(target, status, data, port=None):
    """One response, then the end of the connection, whatever else was sent after the request."""
    reply = target.ask(data, port=port)
    assert (reply.status, reply.answers, reply.ended) == (status, 1, True), reply.raw[:300]
    return reply


# Size -----------------------------------------------------------------------------------------------------------------


def test_s8_a_header_that_is_too_large_is_431(target, attack):
    """The whole head may have 16 KiB, so a field of 9 KB, which the table refuses, is accepted."""
    assert target.handshake("/ws/a", f"X-Large: {'x' * 9 * KIB}").status == 101
    before = target.refused("headers")
    cases = {f"{size} KB": size for size in (17, 40, 90)}
    attack(cases, lambda size: answered(target, 431, handshake("/ws/a", f"X-Large: {'x' * size * KIB}")))
    assert target.refused("headers") >= before + 3


def test_s8_an_address_that_is_too_long_is_431(target, attack):
    attack({"17 KB": 17, "90 KB": 90}, lambda size: answered(target, 431, handshake("/ws/" + "a" * size * KIB)))


def test_s9_too_many_headers_are_431_and_cost_no_memory(target, attack):
    many = {
        "65": "\r\n".join(f"X-{n}: x" for n in range(59)),
        "257": "\r\n".join(f"X-{n}: x" for n in range(250)),
        "100,000": "\r\n".join(f"X-{n}: x" for n in range(100_000)),
        "3 MiB": "\r\n".join(f"X-{n}: {'x' * KIB}" for n in range(3 * KIB)),
    }
    answered(target, 431, handshake("/ws/a", many["3 MiB"]))
    before = resident(target.pid)
    attack(many, lambda lines: answered(target, 431, handshake("/ws/a", lines)))
    for _ in range(5):
        answered(target, 431, handshake("/ws/a", many["3 MiB"]))
    assert resident(target.pid) - before < 1 << 20


# Upgrades -------------------------------------------------------------------------------------------------------------

UPGRADES = {
    "POST": (405, {"request_line": "POST /ws/a HTTP/1.1"}),
    "OPTIONS": (405, {"request_line": "OPTIONS /ws/a HTTP/1.1"}),
    "CONNECT": (400, {"request_line": "CONNECT site.example:443 HTTP/1.1"}),
    "HTTP/1.0": (400, {"request_line": "GET /ws/a HTTP/1.0"}),
    "HTTP/2.0": (400, {"request_line": "GET /ws/a HTTP/2.0"}),
    "no Host": (400, {"without": ("Host",)}),
    "an absolute URI": (400, {"request_line": "GET http://site.example/ws/a HTTP/1.1"}),
    "kept alive": (426, {"Connection": "keep-alive"}),
    "another protocol": (426, {"Upgrade": "h2c"}),
    "no Upgrade": (426, {"without": ("Upgrade",)}),
    "no key": (400, {"without": ("Sec-WebSocket-Key",)}),
    "a key of 15 bytes": (400, {"Sec_WebSocket_Key": "MDEyMzQ1Njc4OWFiY2Rl"}),
    "a key of 17 bytes": (400, {"Sec_WebSocket_Key": "MDEyMzQ1Njc4OWFiY2RlZmc="}),
    "a key that is no base64": (400, {"Sec_WebSocket_Key": "dGhlIHNhbXBs*SBub25jZQ=="}),
    "version 8": (426, {"Sec_WebSocket_Version": "8"}),
    "version 12": (426, {"Sec_WebSocket_Version": "12"}),
    "version 777": (426, {"Sec_WebSocket_Version": "777"}),
    "version 013": (426, {"Sec_WebSocket_Version": "013"}),
    "no version": (426, {"without": ("Sec-WebSocket-Version",)}),
}
LINES = {
    "two Hosts": (400, "Host: site.example"),
    "two keys": (400, f"Sec-WebSocket-Key: {KEY}"),
    "two versions": (426, "Sec-WebSocket-Version: 13"),
}


def test_s12_an_upgrade_that_is_none_has_its_status(target, attack):
    def check(case):
        status, data = case
        reply = answered(target, status, data)
        if status == 426:
            assert reply.headers["sec-websocket-version"] == "13"
        if status == 405:
            assert reply.headers["allow"] == "GET"

    cases = {name: (status, handshake("/ws/a", **fields)) for name, (status, fields) in UPGRADES.items()}
    cases |= {name: (status, handshake("/ws/a", line)) for name, (status, line) in LINES.items()}
    cases["garbage"] = (400, b"GARBAGE\r\n\r\n")
    cases["TLS"] = (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 40)
    cases["HTTP/2's preface"] = (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    cases["a command for Redis"] = (400, b"*1\r\n$8\r\nFLUSHALL\r\n")
    attack(cases, check)


# Smuggling ------------------------------------------------------------------------------------------------------------

SECOND = handshake("/ws/smuggled")
BODIES = {
    "a length": handshake("/ws/a", f"Content-Length: {len(SECOND)}") + SECOND,
    "two lengths": handshake("/ws/a", "Content-Length: 3", f"Content-Length: {len(SECOND)}") + SECOND,
    "a length that is a list": handshake("/ws/a", f"Content-Length: 0, {len(SECOND)}") + SECOND,
    "a negative length": handshake("/ws/a", "Content-Length: -1") + SECOND,
    "chunks": handshake("/ws/a", "Transfer-Encoding: chunked") + b"0\r\n\r\n" + SECOND,
    "chunks and a length": handshake("/ws/a", "Content-Length: 5", "Transfer-Encoding: chunked") + b"0\r\n\r\n" + SECOND,
    "an encoding nobody knows": handshake("/ws/a", "Transfer-Encoding: xchunked") + b"0\r\n\r\n" + SECOND,
    "an encoding twice": handshake("/ws/a", "Transfer-Encoding: chunked", "Transfer-Encoding: identity") + SECOND,
    "a space before the colon": handshake("/ws/a", "Transfer-Encoding : chunked") + b"0\r\n\r\n" + SECOND,
    "a tab before the value": handshake("/ws/a", "Transfer-Encoding:\tchunked") + b"0\r\n\r\n" + SECOND,
}
FILLED = handshake("/ws/a", "Transfer-Encoding: chunked") + f"{len(SECOND):x}\r\n".encode() + SECOND + b"\r\n0\r\n\r\n"
CHARACTERS = {
    "a folded line": handshake("/ws/a", "X-Folded: a\r\n b"),
    "LF alone": handshake("/ws/a").replace(b"\r\n", b"\n"),
    "one LF alone": handshake("/ws/a", "X-One: a\nX-Two: b"),
    "a CR alone": handshake("/ws/a", "X-One: a\rX-Two: b"),
    "a zero byte in a value": handshake("/ws/a", "X-Zero: a\0b"),
    "a zero byte in a name": handshake("/ws/a", "X-Ze\0ro: a"),
    "a line without a colon": handshake("/ws/a", "nothing"),
    "a space in a name": handshake("/ws/a", "X Two: b"),
    "two spaces in the first line": handshake(request_line="GET  /ws/a HTTP/1.1"),
    "an empty line first": b"\r\n" + handshake("/ws/a"),
}


def test_s13_what_two_readers_could_read_differently_is_400_and_nothing_behind_it_is_answered(target, attack):
    cases = {name: data + SECOND for name, data in CHARACTERS.items()} | BODIES
    attack(cases, lambda data: answered(target, 400, data))
    assert not target.store.exists("asgi:group:smuggled")


def test_s13_a_request_behind_a_wrong_version_is_not_answered(target, attack):
    attack({"": handshake("/ws/a", Sec_WebSocket_Version="8") + SECOND}, lambda data: answered(target, 426, data))
    assert not target.store.exists("asgi:group:smuggled")


@pytest.mark.parametrize(
    "proxy, let_in, group",
    [
        pytest.param(HAProxy, set(), b"smuggle1", id="haproxy"),
        # It turns an empty chunked body into a request without one, which is valid.
        pytest.param(Nginx, {101}, b"smuggle2", id="nginx"),
    ],
)
def test_s13_behind_a_proxy_nobody_is_let_in_with_a_body_and_nothing_is_smuggled(proxy, let_in, group, target, attack):
    with proxy([target.gateway]) as proxy:
        assert first_status(proxy.port, handshake("/ws/a")) == 101

        def check(data):
            status = first_status(proxy.port, data.replace(b"smuggled", group))
            assert status in {400, 411, 501} | (let_in if data != FILLED else set())

        attack(BODIES | {"a body in chunks": FILLED}, check)
        # What follows a body's end is the client's next request, if the proxy has recognised it as one, too.
        if target.store.exists(b"asgi:group:" + group):
            seen = (lambda: proxy.access_log) if proxy.name == "nginx" else (lambda: proxy.log)
            wait_until(lambda: f"/ws/{group.decode()}" in seen(), 10, "the request in the proxy's own log")


@pytest.mark.parametrize("proxy", [HAProxy, Nginx], ids=["haproxy", "nginx"])
def test_s8_s13_behind_a_proxy_odd_characters_and_large_headers_harm_nobody(proxy, target, attack):
    """Both accept some of them (nginx writes its own request from what it has read); the gateway relies on neither."""
    large = {f"{size} KB": handshake("/ws/a", f"X-Large: {'x' * size * KIB}") for size in (17, 40)}
    with proxy([target.gateway]) as proxy:

        def check(data):
            assert first_status(proxy.port, data) in (101, 400, 414, 431)

        attack(CHARACTERS | large, check)


# The admin port's addresses -------------------------------------------------------------------------------------------

ADMIN = [
    "/metrics", "/healthz", "/readyz", "/v1/gateways", "/v1/groups/a/messages", "/openapi.json", "/", "//metrics",
    "/./metrics", "/ws/../metrics", "/ws/a/../../metrics", "/%2e%2e/metrics", "/%6detrics", "/ws/..;/metrics", "/metrics/",
    "/metrics?a=b", "/metrics;a=b", "/METRICS", "/ws/a%2f..%2f..%2fmetrics", "/debug/pprof", "/.env", "/server-status",
    "/ws", "/ws/", "/ws/a/b", "/WS/a", "//ws/a", "/ws/../ws/a", "/nothing",
]  # fmt: skip


def test_s44_clients_find_nothing_of_the_admin_port(target, attack):
    def check(path):
        for data in handshake(path), f"GET {path} HTTP/1.1\r\nHost: site.example\r\n\r\n".encode():
            reply = target.ask(data)
            # An escaped slash is not a slash: for the route it is part of a group's name, and an invalid one.
            assert reply.status in ((400, 426) if "%2f" in path else (404,)), reply.raw
            assert b"tocsin_" not in reply.raw

    attack({path: path for path in ADMIN}, check)
