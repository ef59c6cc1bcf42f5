"""Logins without asking the site: tokens signed by PyJWT, key sets that are rotated, sessions made by Django itself.
Forged ones are in Tests/Faults/test_bad_clients_logins.py."""

import json
import os
import time

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from harness.clients import RawSocket
from harness.django_site import DjangoSite
from harness.free_port import free_port
from harness.gateway import ORIGIN, Gateway, config, tocsin
from harness.sdk import Sdk
from harness.small_site import SmallSite
from harness.waiting import wait_until
from jwt.algorithms import get_default_algorithms
from websockets.sync.client import connect

SECRET = "interop-marked-secret-of-sixty-four-bytes-and-some-more-so-that-HS512-is-content"
DEBUG = {"level": "debug", "format": "json"}
RSA, EC, ED = (
    rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP384R1()), ed25519.Ed25519PrivateKey.generate(),
)  # fmt: skip


def pem(key) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def claims(**more):
    return {"sub": "42", "exp": int(time.time()) + 600, **more}


def token(key=SECRET, algorithm="HS256", headers=None, **more):
    return jwt.encode(claims(**more), key, algorithm=algorithm, headers=headers)


def bearer(text):
    return {"headers": {"Authorization": f"Bearer {text}"}}


class Issuer(SmallSite):
    """Publishes a key set as an identity provider does; the response can be changed while it runs."""

    def __init__(self):
        self.asked, self.status, self.body = 0, 200, b"{}"
        super().__init__()

    def answer(self, path, headers):
        self.asked += 1
        return self.status, self.body

    def publish(self, **keys):
        """kid=(private key, algorithm)"""
        entries = [
            {**json.loads(get_default_algorithms()[algorithm].to_jwk(key.public_key())), "kid": kid, "alg": algorithm,
             "use": "sig", "key_ops": ["verify"]}
            for kid, (key, algorithm) in keys.items()
        ]  # fmt: skip
        self.status, self.body = 200, json.dumps({"keys": entries}).encode()


@pytest.fixture
def issuer():
    with Issuer() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """Files with the public keys and with a secret."""
    folder = tmp_path_factory.mktemp("keys")
    for name, key in (("rsa", RSA), ("ec", EC), ("ed", ED)):
        (folder / name).write_bytes(pem(key))
    (folder / "secret").write_text(SECRET + "\n")
    return folder


@pytest.fixture(scope="module")
def gateway(redis_server, keys):
    settings = config(
        auth={
            "hs": {"kind": "jwt", "hs256_secret": SECRET, "cookie": "jwt", "user_key": "sub"},
            "file": {"kind": "jwt", "hs256_secret_file": str(keys / "secret")},
            "strict": {"kind": "jwt", "hs256_secret": SECRET, "issuer": "https://site.example", "audience": "gateway",
                       "leeway": 0},
            "rsa": {"kind": "jwt", "public_key_file": str(keys / "rsa"), "algorithms": ["RS256", "PS512"]},
            "ec": {"kind": "jwt", "public_key_file": str(keys / "ec")},
            "ed": {"kind": "jwt", "public_key_file": str(keys / "ed")},
        },
        routes=[
            *({"path": f"/{name}", "auth": name, "groups": ["{user}.inbox"]}
              for name in ("hs", "file", "strict", "rsa", "ec", "ed")),
            {"path": "/any", "auth": ["ec", "hs"], "groups": ["{user}.inbox"]},
            {"path": "/team", "auth": "hs", "groups": ["team.{claims.team}"]},
            {"path": "/centrifuge", "auth": "hs", "protocol": "centrifuge", "may_join": ["team.{claims.team}.*"]},
        ],
        log=DEBUG,
    )  # fmt: skip
    with Gateway(redis_server.url, "logins", settings) as gateway:
        yield gateway


def roster(redis_server, user):
    """The groups of the user's connections."""
    entries = json.loads(tocsin("who", "--user", user, "--json", "--redis", redis_server.url).stdout)
    return sorted({entry["group"] for entry in entries})


# jwt ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path, key, algorithm",
    [("/hs", SECRET, "HS256"), ("/file", SECRET, "HS256"), ("/rsa", RSA, "RS256"), ("/rsa", RSA, "PS512"),
     ("/ec", EC, "ES384"), ("/ed", ED, "EdDSA"), ("/any", EC, "ES384"), ("/any", SECRET, "HS256")],
)  # fmt: skip
def test_what_pyjwt_signs_opens_the_route(path, key, algorithm, gateway, clients, redis_server):
    user = f"u{path[1:]}{algorithm}"
    text = token(key, algorithm, sub=user, groups=["all", f"g.{algorithm}"])
    (socket,) = clients.open(gateway.url(path), **bearer(text))
    assert roster(redis_server, user) == sorted(["all", f"g.{algorithm}", f"{user}.inbox"])
    tocsin("send", f"{user}.inbox", '{"n":1}', "--redis", redis_server.url)
    assert json.loads(socket.wait(1)[0]) == {"n": 1}


def test_a_token_may_come_in_the_address_in_a_cookie_or_as_a_subprotocol(gateway, clients):
    text = token()
    assert clients.status(gateway.url(f"/hs?token={text}")) == 101
    assert clients.status(gateway.url("/hs"), cookie=f"a=b; jwt={text}") == 101
    with connect(gateway.url("/hs"), subprotocols=[f"bearer.{text}"], origin=ORIGIN, proxy=None) as socket:
        assert socket.subprotocol == f"bearer.{text}", "alone, it is what a browser wants to hear"
    assert clients.status(gateway.url("/file"), cookie=f"jwt={text}") == 403, "that login names no cookie"


def test_of_the_subprotocols_beside_a_token_one_is_chosen(gateway):
    """Otherwise a browser drops the connection."""
    offer = f"chat, bearer.{token()}"
    with connect(gateway.url("/hs"), subprotocols=offer.split(", "), origin=ORIGIN, proxy=None) as socket:
        assert socket.subprotocol == "chat"


def test_a_token_is_found_in_the_second_of_several_cookie_headers(gateway):
    """HTTP/2 splits cookies, and not every proxy joins them."""
    for lines, status in ([f"jwt={token()}"], 101), ([], 403):
        lines = [f"Cookie: {line}" for line in ["theme=dark", *lines]]
        with RawSocket(gateway.port, "/hs", headers=lines) as raw:
            assert raw.status == status


def test_claims_name_groups(gateway, clients, redis_server):
    clients.open(gateway.url("/team"), **bearer(token(sub="claimant", team="red")))
    assert roster(redis_server, "claimant") == ["team.red"]
    for team in None, "", "a b", ["red"], {"red": 1}:
        assert clients.status(gateway.url("/team"), **bearer(token(team=team))) == 400


def test_claims_decide_what_a_centrifuge_client_may_join(gateway, clients):
    (socket,) = clients.open(gateway.url("/centrifuge"), **bearer(token(team="blue")))
    socket.send('{"id":1,"connect":{}}')
    socket.send('{"id":2,"subscribe":{"channel":"team.blue.1"}}\n{"id":3,"subscribe":{"channel":"team.red.1"}}')
    clients.wait_for(lambda: sum(text.count('"id":') for text in socket.messages) >= 3)
    replies = {reply["id"]: reply for text in socket.messages for reply in map(json.loads, text.splitlines()) if "id" in reply}
    assert "subscribe" in replies[2] and replies[3]["error"]["code"] == 103


# A token in a command of the centrifuge protocol ----------------------------------------------------------------------


@pytest.fixture
def sdk():
    with Sdk() as sdk:
        yield sdk


def test_the_sdk_brings_its_token_with_connect(gateway, sdk):
    client = sdk.connect(gateway.url("/centrifuge"), token=token(team="blue"))
    assert client.subscribe("team.blue.1").wait_subscribed()
    assert client.subscribe("team.red.1").unsubscribed == [(103, "permission denied")]


@pytest.mark.parametrize("bad", [lambda: "garbage", lambda: token(SECRET + "!"), lambda: token(aud="x")])
def test_a_connect_token_that_lets_nobody_in_ends_the_connection_for_good(bad, gateway, sdk):
    client = sdk.connect(gateway.url("/centrifuge"), wait=False, token=bad())
    sdk.wait_for(lambda: client.disconnected, what=lambda: "the end")
    assert client.disconnected == [(3500, "invalid token")]


def test_the_sdk_is_asked_for_a_fresh_token_when_its_own_has_expired(gateway, sdk):
    async def fresh():
        return token(team="blue")

    client = sdk.connect(gateway.url("/centrifuge"), token=token(team="blue", exp=int(time.time()) - 60), get_token=fresh)
    assert client.subscribe("team.blue.1").wait_subscribed()


def test_refresh_takes_a_fresh_token_of_the_same_user_only(gateway, clients):
    (socket,) = clients.open(gateway.url("/centrifuge"))
    socket.send(json.dumps({"id": 1, "connect": {"token": token(team="blue")}}))
    (reply,) = map(json.loads, socket.wait(1))
    assert reply["connect"]["expires"] is True and reply["connect"]["ttl"] > 0
    socket.send(json.dumps({"id": 2, "refresh": {"token": token(team="blue", exp=int(time.time()) + 3600)}}))
    reply = json.loads(socket.wait(2)[1])
    assert 3500 <= reply["refresh"]["ttl"] <= 3630
    socket.send(json.dumps({"id": 3, "refresh": {"token": token(team="blue", sub="somebody else")}}))
    assert socket.wait_closed() == 3500


def test_no_secret_and_no_token_is_ever_in_the_log(gateway, clients):
    text = token()
    clients.status(gateway.url(f"/hs?token={text}x"))
    clients.status(gateway.url(f"/hs?token={text}"))
    assert SECRET not in gateway.log and text.split(".")[2] not in gateway.log


# jwks_url -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def remote(redis_server, issuer):
    settings = config(
        auth={"remote": {"kind": "jwt", "jwks_url": f"http://127.0.0.1:{issuer.port}/keys", "jwks_refresh": "10s"}},
        routes=[{"path": "/", "auth": "remote", "groups": ["{user}.inbox"]}],
        log=DEBUG,
    )
    with Gateway(redis_server.url, "remote", settings) as gateway:
        yield gateway


@pytest.mark.slow
def test_keys_turn_over_and_made_up_names_cost_nothing(remote, issuer, clients):
    def status(key, algorithm, kid):
        return clients.status(remote.url("/"), **bearer(token(key, algorithm, {"kid": kid} if kid else None)))

    issuer.status = 500
    assert status(RSA, "RS256", "one") == 503, "there were never any keys"
    issuer.publish(one=(RSA, "RS256"))
    wait_until(lambda: status(RSA, "RS256", "one") == 101, timeout=20, every=0.5)
    assert status(RSA, "RS256", None) == 101
    assert status(EC, "ES384", "two") == 403

    asked = issuer.asked
    for number in range(100):
        assert status(EC, "ES384", f"made-up-{number}") == 403
    assert issuer.asked - asked <= 2

    issuer.publish(one=(RSA, "RS256"), two=(EC, "ES384"))
    wait_until(lambda: status(EC, "ES384", "two") == 101, timeout=20, every=0.5)

    issuer.status = 503
    time.sleep(11)
    for _ in range(3):
        assert status(EC, "ES384", "two") == 101, "the last good keys stay"
    issuer.publish(two=(EC, "ES384"))
    wait_until(lambda: status(RSA, "RS256", "one") == 403, timeout=40, every=0.5, what="the withdrawn key")
    assert status(EC, "ES384", "two") == 101


# django_session -------------------------------------------------------------------------------------------------------


class Site(DjangoSite):
    """The example site with another session engine."""

    def __init__(self, *arguments, engine, caches=None, **options):
        super().__init__(*arguments, **options)
        (self.directory / "other_settings.py").write_text(
            "from mysite.settings import *\n"
            f"SESSION_ENGINE = 'django.contrib.sessions.backends.{engine}'\n"
            + (f"CACHES = {caches!r}\n" if caches else "")
        )

    def environment(self):
        environment = super().environment()
        path = f"{self.directory}{os.pathsep}{environment['PYTHONPATH']}"
        return {**environment, "PYTHONPATH": path, "DJANGO_SETTINGS_MODULE": "other_settings"}

    def secret_key(self):
        return self.python("from django.conf import settings; print(settings.SECRET_KEY)").strip()


def session_gateway(redis_server, name, **keys):
    settings = config(
        auth={"django": {"kind": "django_session", "user_key": "userId", **keys}},
        routes=[{"path": "/users/isinsufficient", "auth": "django", "groups": ["{user}isInsufficient"]}],
        log=DEBUG,
    )
    return Gateway(redis_server.url, name, settings)


def session_cookie(header):
    return next(pair for pair in header.split("; ") if pair.startswith("sessionid="))


def test_a_session_that_django_signed_opens_the_route(redis_server, site_database, clients):
    with Site(redis_server.url, engine="signed_cookies", database=site_database) as site:
        cookie, secret = site.login("42"), site.secret_key()
        gateway = session_gateway(redis_server, "signed", engine="signed_cookies", secret_keys=["newer", secret])
        with gateway:
            (socket,) = clients.open(gateway.url("/users/isinsufficient"), cookie=cookie)
            site.set_balance("42", 3.5)
            assert json.loads(socket.wait(1)[0])["balance"] == 3.5
            assert clients.status(gateway.url("/users/isinsufficient")) == 403
            session = session_cookie(cookie)
            with RawSocket(gateway.port, "/users/isinsufficient", headers=("Cookie: theme=dark", f"Cookie: {session}")) as raw:
                assert raw.status == 101
            for forged in session[:-1] + ("A" if session[-1] != "A" else "E"), session.replace("=", "=."), "sessionid=x":
                assert clients.status(gateway.url("/users/isinsufficient"), cookie=forged) == 403
            assert secret not in gateway.log and session.split("=")[1] not in gateway.log


def test_a_session_in_djangos_cache_opens_the_route_until_the_logout(redis_server, site_database, clients):
    location = redis_server.url_of(5)
    caches = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": location,
                          "KEY_PREFIX": "site", "OPTIONS": {"serializer": "django.core.signing.JSONSerializer"}}}  # fmt: skip
    with Site(redis_server.url, engine="cache", caches=caches, database=site_database) as site:
        gateway = session_gateway(redis_server, "cached", engine="cache", redis=location, key_prefix="site")
        with gateway:
            cookie = site.login("43")
            (socket,) = clients.open(gateway.url("/users/isinsufficient"), cookie=cookie)
            site.set_balance("43", 1.5)
            assert json.loads(socket.wait(1)[0])["balance"] == 1.5
            site.logout("43")
            assert clients.status(gateway.url("/users/isinsufficient"), cookie=cookie) == 403


def test_a_pickled_session_is_never_read_and_the_log_says_what_to_do(redis_server, site_database, clients):
    location = redis_server.url_of(6)
    caches = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": location}}
    with Site(redis_server.url, engine="cache", caches=caches, database=site_database) as site:
        gateway = session_gateway(redis_server, "pickled", engine="cache", redis=location)
        with gateway:
            assert clients.status(gateway.url("/users/isinsufficient"), cookie=site.login("44")) == 503
            assert "pickle, which is never read" in gateway.log


# The command ----------------------------------------------------------------------------------------------------------


def test_tocsin_token_prints_a_token_that_its_configuration_accepts(gateway, clients, redis_server, tmp_path):
    file = gateway.directory / "tocsin.yaml"
    text = tocsin("token", "--user", "typed", "--groups", "a,b", "--auth", "strict", "--config", file).stdout.strip()
    decoded = jwt.decode(text, SECRET, algorithms=["HS256"], audience="gateway", issuer="https://site.example")
    assert decoded["sub"] == "typed" and decoded["groups"] == ["a", "b"]
    assert 3590 <= decoded["exp"] - time.time() <= 3601
    clients.open(gateway.url(f"/strict?token={text}"))
    assert roster(redis_server, "typed") == ["a", "b", "typed.inbox"]
    short = tocsin("token", "--user", "typed", "--expires", "5m", "--auth", "hs", "--config", file).stdout.strip()
    assert jwt.decode(short, SECRET, algorithms=["HS256"])["exp"] - time.time() <= 301

    def refused(*arguments):
        done = tocsin("token", *arguments, check=False)
        assert done.returncode != 0 and done.stdout == "" and SECRET not in done.stderr
        return done.stderr

    assert "several of the kind jwt: --auth, one of ec, ed, file, hs, rsa, strict" in refused("--user", "x", "--config", file)
    assert "no such entry" in refused("--user", "x", "--auth", "nope", "--config", file)
    assert "public key" in refused("--user", "x", "--auth", "rsa", "--config", file)
    assert "--expires" in refused("--user", "x", "--auth", "hs", "--expires", "soon", "--config", file)
    assert "group" in refused("--user", "x", "--auth", "hs", "--groups", "a b", "--config", file)
    assert "no entry of the kind jwt" in refused("--user", "x")


def test_doctor_looks_at_the_logins(gateway, redis_server, issuer, tmp_path):
    issuer.publish(one=(RSA, "RS256"), two=(EC, "ES384"))
    file = tmp_path / "tocsin.yaml"
    file.write_text(json.dumps({"auth": {
        "hs": {"kind": "jwt", "hs512_secret": SECRET},
        "lost": {"kind": "jwt", "public_key_file": "/nowhere/key.pem"},
        "remote": {"kind": "jwt", "jwks_url": f"http://127.0.0.1:{issuer.port}/"},
        "away": {"kind": "jwt", "jwks_url": f"http://127.0.0.1:{free_port()}/"},
        "django": {"kind": "django_session", "engine": "signed_cookies", "secret_keys": [SECRET]},
        "cache": {"kind": "django_session", "engine": "cache", "redis": redis_server.url_of(1)},
    }}))  # fmt: skip
    done = tocsin("doctor", "--config", file, "--redis", redis_server.url, "--json", check=False)
    found = {finding["check"]: finding for finding in json.loads(done.stdout)}
    verdicts = {name: found[f"login {name}"]["verdict"] for name in ("hs", "lost", "remote", "away", "django", "cache")}
    assert verdicts == {"hs": "fine", "lost": "wrong", "remote": "fine", "away": "warning", "django": "fine", "cache": "fine"}
    assert done.returncode == 1 and found["login hs"]["detail"] == "HS512" and SECRET not in done.stdout
    assert found["login remote"]["detail"].startswith("2 keys")
