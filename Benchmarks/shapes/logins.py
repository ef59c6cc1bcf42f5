"""The cost that each kind of login adds to a handshake."""

import contextlib
import json
import re
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from harness.small_site import SmallSite

from ..house import house
from ..servers.server import PLAIN
from ..servers.tocsin import Tocsin
from ..wsload import shown, wsload
from .load import ROOM, Load
from .shape import Figure, Row, Run

SECRET = "a-secret-of-the-bench-that-is-long-enough-for-HS512-to-be-content-with-it"
SESSION, KEY = {"_auth_user_id": "42"}, "k" * 32


@dataclass
class Logins(Load):
    """Clients connect and join with different logins."""

    clients: int = 2000

    def __post_init__(self):
        self.figures = (
            Figure("connect_ms", "CPU ms per 1,000 connects", headline=True),
            Figure("connects", "connects per s", better="higher", digits=0),
            Figure("redis_ms", "Redis ms per 1,000 connects"),
        )
        self.against = "none"
        self.note = "The gateway's own CPU time: what the site spends that a callback asks is not in it."
        self.estimate = 6

    def rows(self, servers):
        if not any(server.name == "tocsin" for server in servers):
            return []
        return [Row(name, title, partial(self.run_one, name)) for name, title in TITLES.items()]

    def run_one(self, name) -> Run:
        with contextlib.ExitStack() as stack:
            auth, headers = LOGINS[name](stack)
            redis, (server,) = stack.enter_context(house(guarded(auth)))
            if name == "cache":
                with redis.client(db=1) as client:
                    client.set(f":1:django.contrib.sessions.cache{KEY}", json.dumps(SESSION))
            arguments = self.arguments(server, redis, PLAIN, False)
            arguments[-1:-1] = [word for header in headers for word in ("--header", header)]
            raw = wsload(arguments, 60)
        connect = raw["connect"]
        figures = {
            "connect_ms": connect["server_cpu_ms_per_1000"],
            "connects": connect["connects_per_s"],
            "redis_ms": connect["redis_cpu_ms_per_1000"],
        }
        command = re.sub(r"(Bearer |sessionid=)[\w.:-]{20,}", r"\1…", shown(arguments))
        return Run(figures, command, raw)

    def arguments(self, server, redis, protocol, history):
        # Each client is a different user, as far as a site can tell.
        clients = str(self.scale.clients(self.clients))
        return ["--users", clients, *super().arguments(server, redis, protocol, history)]

    def phases(self, server, publisher):
        return ["--settle", "0.5"]


def guarded(auth):
    """Tocsin with this login on its route."""

    class Guarded(Tocsin):
        def program(self):
            command = super().program()
            path = Path(command[command.index("--config") + 1])
            configuration = json.loads(path.read_text())
            configuration["auth"] = {"bench": {**auth, **self.of_this_house(auth)}} if auth else {}
            configuration["routes"] = [{"path": f"/ws/{ROOM}", "groups": [ROOM], **({"auth": ["bench"]} if auth else {})}]
            path.write_text(json.dumps(configuration))
            return command

        def of_this_house(self, auth):
            if "public_key_file" in auth:
                (self.directory / "key.pem").write_bytes(auth["public_key_file"])
                return {"public_key_file": str(self.directory / "key.pem")}
            return {"redis": self.redis.url_of(1)} if auth.get("engine") == "cache" else {}

    return Guarded


# The logins: their configuration, and the clients' headers -----------------------------------------------------------------


def nobody(stack):
    return {}, []


def by_header(stack):
    return {"kind": "header", "header": "X-User", "trusted": ["127.0.0.0/8"]}, ["X-User: 42"]


def by_token(algorithm, stack):
    import jwt
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    makers = {
        "RS256": lambda: rsa.generate_private_key(65537, 2048),
        "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
        "EdDSA": ed25519.Ed25519PrivateKey.generate,
    }
    claims = {"sub": "42", "exp": int(time.time()) + 3600}
    if algorithm == "HS256":
        return {"kind": "jwt", "hs256_secret": SECRET}, [f"Authorization: Bearer {jwt.encode(claims, SECRET, algorithm)}"]
    key = makers[algorithm]()
    pem = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return {"kind": "jwt", "public_key_file": pem}, [f"Authorization: Bearer {jwt.encode(claims, key, algorithm)}"]


def by_signed_cookie(stack):
    from django.conf import settings
    from django.core import signing

    if not settings.configured:
        settings.configure(SECRET_KEY=SECRET)
    salt = "django.contrib.sessions.backends.signed_cookies"
    cookie = signing.dumps(SESSION, key=SECRET, salt=salt, compress=True)
    return {"kind": "django_session", "engine": "signed_cookies", "secret_keys": [SECRET]}, [f"Cookie: sessionid={cookie}"]


def by_cached_session(stack):
    return {"kind": "django_session", "engine": "cache", "redis": ""}, [f"Cookie: sessionid={KEY}"]


class Site(SmallSite):
    """Answers which user a cookie belongs to."""

    protocol = "HTTP/1.1"

    def answer(self, path, headers):
        return 200, json.dumps({"user": headers["Cookie"]}).encode()


def by_callback(stack):
    site = stack.enter_context(Site())
    return {"kind": "callback", "url": f"{site.url}/", "timeout": "10s"}, ["Cookie: sessionid={u}"]


LOGINS = {
    "none": nobody, "header": by_header, "hs256": partial(by_token, "HS256"), "rs256": partial(by_token, "RS256"),
    "es256": partial(by_token, "ES256"), "eddsa": partial(by_token, "EdDSA"), "signed": by_signed_cookie,
    "cache": by_cached_session, "callback": by_callback,
}  # fmt: skip
TITLES = {
    "none": "no login", "header": "header", "hs256": "jwt, HS256", "rs256": "jwt, RS256 (2048 bits)", "es256": "jwt, ES256",
    "eddsa": "jwt, EdDSA", "signed": "django_session, signed_cookies", "cache": "django_session, cache",
    "callback": "callback",
}  # fmt: skip
