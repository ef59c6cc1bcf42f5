"""What must and must not be in the log, the metrics and the responses after all this: S42, S43.

The target's passwords, keys, cookies and tokens are marked, and after the last test of all files its output is searched
again (conftest.py, besieged)."""

import json
import struct

import pytest
from harness.clients import frame
from harness.gateway import Gateway, config
from harness.http_client import request
from harness.redis_server import RedisServer
from harness.waiting import wait_until

from .bench.bad_client import MARK, handshake
from .bench.target import ADMIN_KEY, REDIS_PASSWORD, SECRET

pytestmark = pytest.mark.quick

TEXT, CLOSE = 1, 8
LONG = 1 << 20


def test_s42_no_secret_that_a_client_brings_is_shown_wherever_it_is_put(target, attack):
    wrong = target.token(SECRET + "!")
    places = {
        "the query": handshake(f"/token?token={wrong}"),
        "another parameter": handshake(f"/token?password={MARK}"),
        "Authorization": handshake("/token", f"Authorization: Bearer {wrong}"),
        "Basic": handshake("/token", f"Authorization: Basic {MARK}"),
        "a subprotocol": handshake("/token", f"Sec-WebSocket-Protocol: bearer.{wrong}"),
        "a cookie": handshake("/token", Cookie=f"jwt={wrong}; sessionid={MARK}"),
        "the path": handshake(f"/{MARK}/{MARK}"),
        "a group's name": handshake(f"/ws/{MARK}%20"),
        "the Origin": handshake("/ws/a", Origin=f"http://{MARK}.example"),
        "Host": handshake("/ws/a", f"Host: {MARK}"),
        "User-Agent": handshake("/token", f"User-Agent: {MARK}"),
        "the method": handshake(request_line=f"{MARK.upper()} / HTTP/1.1"),
        "a field's name": handshake("/nothing", f"{MARK}: x"),
        "the key": handshake("/ws/a", Sec_WebSocket_Key=MARK),
        "the version": handshake("/ws/a", Sec_WebSocket_Version=MARK),
        "the extensions": handshake("/ws/a", f"Sec-WebSocket-Extensions: {MARK}; ="),
    }

    def check(data):
        assert target.ask(data).status in (400, 403, 404, 405, 426)

    before = len(target.gateway.log)
    attack(places, check)
    for path, payload in ("/say/a", MARK), ("/echo/a", "\x00" + MARK), ("/rooms", MARK), ("/rooms", f'{{"id":1,"{MARK}":{{}}}}'):
        with target.socket(path) as socket:
            socket.send(frame(TEXT, payload.encode()) + frame(CLOSE, struct.pack(">H", 1000) + MARK.encode()))
            assert MARK not in socket.end()[1] or path == "/echo/a"
    # The search has something to find: refusals are in the log, with their reasons.
    assert "login refused" in target.gateway.log[before:]
    target.assert_no_secret_was_shown()


def test_s42_the_admin_key_is_shown_to_nobody_right_or_wrong(target):
    for key in ADMIN_KEY, ADMIN_KEY + "!", MARK:
        for path in "/v1/gateways", f"/v1/users/{MARK}/connections", f"/v1/groups/{MARK}%20/messages", f"/{MARK}":
            answer = request(target.gateway.admin_port, "GET", path, headers={"Authorization": f"Bearer {key}"})
            assert ADMIN_KEY not in answer.text and key not in answer.text
    target.assert_no_secret_was_shown()


@pytest.mark.parametrize("password, is_right", [(f"{REDIS_PASSWORD}-wrong", False), (REDIS_PASSWORD, True)])
def test_s42_the_password_of_redis_is_not_in_the_log_of_a_gateway_without_redis(password, is_right):
    """While it is wrong, or Redis is down, and in what the program prints at its end."""
    settings = {**config(), "log": {"level": "trace", "format": "text"}}
    user = ("--user", "gateway", "on", f">{REDIS_PASSWORD}", "~*", "&*", "+@all")
    with RedisServer(args=user) as redis:
        gateway = Gateway(f"redis://gateway:{password}@127.0.0.1:{redis.port}/3", "away", settings)
        try:
            gateway.start(wait=is_right)
            if is_right:
                redis.kill()
            wait_until(lambda: "no connection to Redis" in gateway.log, 10, "some words about it")
            gateway.stop()
            assert MARK not in gateway.log
        finally:
            gateway.close()


INJECTIONS = {
    "a line": "INJECTED\r\n{\"level\":\"critical\"}",
    "a terminal's command": "\x1b[2J\x1b]0;INJECTED\x07",
    "a megabyte": "INJECTED" * (LONG // 8),
    "no UTF-8": "INJECTED\udcff\udcfe",
    "right to left": "INJECTED\u202e\u2028",
    "a format": "INJECTED%s%n${jndi:ldap://x}",
}


def test_s43_nobody_writes_a_line_into_the_log_or_a_long_one(target, attack):
    """Names, User-Agent, claims and close reasons; each line stays JSON of at most 2 KiB, with none of them on its own line."""

    def check(text):
        short = text.encode("utf-8", "surrogateescape")[:100]
        escaped = "".join(f"%{byte:02x}" for byte in short)
        target.handshake(f"/ws/{escaped}")
        target.handshake(f"/token?token={escaped}", f"User-Agent: {text}", f"Authorization: Bearer {text}")
        if len(text) < 1000:
            for claims in {"sub": text}, {"aud": text}, {"iss": text}, {"exp": text}:
                token = target.token(**{name: value.replace("\udcff\udcfe", "") for name, value in claims.items()})
                target.handshake("/audience", f"Authorization: Bearer {token}")
        target.closed_by(frame(CLOSE, struct.pack(">H", 1000) + short))
        target.closed_by(frame(TEXT, short), "/say/a")

    before = len(target.gateway.log)
    attack(INJECTIONS, check)
    lines = target.gateway.log[before:].splitlines()
    assert lines and all(len(line) < 2048 for line in lines)
    assert all(json.loads(line)["level"] in ("debug", "info", "notice") for line in lines)
    assert not any("INJECTED" in line or "\x1b" in line or "\\u001b" in line for line in lines)
