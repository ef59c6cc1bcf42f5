"""The target of bad clients: one gateway with the limits of a public site, its secrets marked, with good clients inside.

Shared by all tests of a run, as in real life: whatever they do, at the end it must be the same process, the good clients must
have everything, and none of its output may show a secret.
"""

import contextlib
import json
import re
import tempfile
import time
from pathlib import Path

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from harness.gateway import Gateway, config
from harness.http_client import get
from harness.redis_server import RedisServer
from harness.small_site import SmallSite
from jwt.algorithms import RSAAlgorithm

from .bad_client import MARK, BadSocket, Reply, ask, connect, handshake
from .crowd import Crowd

SECRET = f"{MARK}-secret-of-more-than-sixty-four-bytes-so-that-HS512-is-content-too"
ADMIN_KEY = f"{MARK}-admin-key"
REDIS_PASSWORD = f"{MARK}-redis-password"
RSA = rsa.generate_private_key(65537, 2048)
# GROUPS: the default of gateway.max_groups.
PER_ADDRESS, PER_USER, GROUPS = 200, 20, 128


def pem(key=RSA) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def claims(**more):
    return {"sub": "42", "exp": int(time.time()) + 600, "jti": MARK, **more}


class Site(SmallSite):
    """The sites the gateway asks: `/auth`, the login by cookie, which accepts everybody, and `/keys`, an issuer's keys."""

    def __init__(self):
        self.asked = 0
        self.key = {**json.loads(RSAAlgorithm.to_jwk(RSA.public_key())), "kid": "one", "alg": "RS256", "use": "sig"}
        super().__init__()

    def answer(self, path, headers):
        self.asked += path == "/auth"
        return 200, json.dumps({"user": "42"} if path == "/auth" else {"keys": [self.key]}).encode()


def settings(site_url, public_key_file) -> dict:
    jwt_login = {"kind": "jwt", "hs256_secret": SECRET, "leeway": 0}
    rooms = {"protocol": "centrifuge", "auth": "token", "may_join": ["room.*", "{user}.*"], "may_publish": ["room.open.*"]}
    return config(
        gateway={
            "allowed_hosts": ["http://site.example"], "max_connections_per_address": PER_ADDRESS,
            "max_connections_per_user": PER_USER, "compression": {"enabled": True, "threshold": 100}, "admin_key": ADMIN_KEY,
        },
        auth={
            "site": {"kind": "callback", "url": f"{site_url}/auth", "cache": "0s"},
            "token": jwt_login,
            "header_only": {**jwt_login, "query": ""},
            "audience": {**jwt_login, "audience": "gateway", "issuer": "https://site.example"},
            "rsa": {"kind": "jwt", "public_key_file": str(public_key_file)},
            "issuer": {"kind": "jwt", "jwks_url": f"{site_url}/keys"},
        },
        routes=[
            {"path": "/ws/{room}", "groups": ["{room}"]},
            {"path": "/echo/{room}", "groups": ["{room}"], "receive": "echo"},
            {"path": "/mirror/{room}", "groups": ["{room}"], "receive": "mirror"},
            {"path": "/say/{room}", "groups": ["{room}"], "receive": "group_send"},
            {"path": "/cookie", "auth": "site", "groups": ["{user}.inbox"]},
            *({"path": f"/{name}", "auth": name, "groups": ["{user}.inbox"]}
              for name in ("token", "header_only", "audience", "rsa", "issuer")),
            {"path": "/team", "auth": "token", "groups": ["team.{claims.team}"]},
            {"path": "/rooms", **rooms},
            {"path": "/open-rooms", "protocol": "centrifuge", "may_join": ["room.*"]},
        ],
        log={"level": "debug", "format": "json"},
    )  # fmt: skip


class Target:
    def __init__(self, rate):
        self._stack = contextlib.ExitStack()
        with contextlib.ExitStack() as stack:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tocsin-target-")))
            (directory / "rsa.pem").write_bytes(pem())
            self.site = Site()
            stack.callback(self.site.close)
            user = ("--user", "gateway", "on", f">{REDIS_PASSWORD}", "~*", "&*", "+@all")
            self.redis = stack.enter_context(RedisServer(args=user))
            url = f"redis://gateway:{REDIS_PASSWORD}@127.0.0.1:{self.redis.port}/3"
            self.gateway = stack.enter_context(Gateway(url, "target", settings(self.site.url, directory / "rsa.pem")))
            self.crowd = Crowd(self.redis, self.gateway, rate)
            stack.callback(self.crowd.close)
            self._stack = stack.pop_all()
        self.pid, self.port = self.gateway.pid, self.gateway.port
        self.store = self.redis.client()
        self._signatures: set[str] = set()  # of all tokens made
        self._heard = bytearray()  # every response to a bad client

    def close(self):
        self._stack.close()

    # Actions of bad clients

    def ask(self, data: bytes, source=None, timeout=10, port=None) -> Reply:
        reply = ask(port or self.port, data, source, timeout)
        self._heard += reply.raw
        return reply

    def handshake(self, path="/ws/a", *lines, **fields) -> Reply:
        return self.ask(handshake(path, *lines, **fields))

    def connect(self):
        return connect(self.port)

    def socket(self, path="/echo/bad", *lines, **fields) -> BadSocket:
        return BadSocket(self.port, path, *lines, **fields)

    def closed_by(self, data: bytes, path="/echo/bad") -> tuple[int | None, str]:
        """The code and reason with which a WebSocket that sends this is closed."""
        with self.socket(path) as bad:
            bad.flood(data)
            code, reason = bad.end()
        self._heard += reason.encode()
        return code, reason

    def token(self, key=SECRET, algorithm="HS256", headers=None, **more) -> str:
        token = jwt.encode(claims(**more), key, algorithm=algorithm, headers=headers)
        self._signatures.add(token.rpartition(".")[2])
        return token

    def bearer(self, path="/token", **more) -> BadSocket:
        """A WebSocket of a logged-in user."""
        return self.socket(path, f"Authorization: Bearer {self.token(**more)}")

    # Conditions that must hold

    def refused(self, reason) -> float:
        return self.gateway.metric("tocsin_handshakes_refused_total", reason=reason)

    def cut(self, reason) -> float:
        return self.gateway.metric("tocsin_connections_cut_total", reason=reason)

    def assert_unharmed(self):
        assert self.gateway.running and self.gateway.pid == self.pid, self.gateway.log[-4000:]
        assert self.gateway.readyz() == 200
        self.crowd.assert_nobody_was_cut()

    def assert_no_secret_was_shown(self):
        """Neither in the log, nor in the metrics, nor in responses to refused clients."""
        metrics = get(self.gateway.admin_port, "/metrics").text
        for text in self.gateway.log, metrics, self._heard.decode("latin-1"):
            assert MARK not in text
            # The signature is the secret part of a token.
            assert not self._signatures & set(re.findall(r"[\w-]{20,}", text))
