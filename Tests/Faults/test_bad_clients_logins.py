"""Tokens that are forged, old, or somebody else's: S5, S7, S39, and the part of S47 about users."""

import base64
import hmac
import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from harness.clients import frame
from harness.gateway import Gateway
from harness.haproxy import HAProxy
from harness.http_client import request
from harness.nginx import Nginx
from harness.waiting import wait_until

from .bench.bad_client import MARK, first_status, handshake
from .bench.target import ADMIN_KEY, RSA, SECRET, claims, pem

pytestmark = pytest.mark.quick

TEXT = 1
REFUSED = b"403 not logged in\n"


def bearer(path, token, **fields) -> bytes:
    return handshake(path, f"Authorization: Bearer {token}", **fields)


# In the address -------------------------------------------------------------------------------------------------------


def test_s5_a_token_in_the_address_counts_only_where_that_is_switched_on(target):
    token = target.token()
    assert target.handshake(f"/token?token={token}").status == 101
    assert target.handshake(f"/header_only?token={token}").status == 403
    assert target.ask(bearer("/header_only", token)).status == 101


@pytest.mark.parametrize("proxy", [HAProxy, Nginx], ids=["haproxy", "nginx"])
def test_s5_a_token_in_the_address_is_in_no_log_of_the_proxies_that_we_ship(proxy, target):
    """Even when no gateway answers, which nginx logs to another file."""
    token = target.token()
    gone = Gateway(target.redis.url, "gone")
    with gone, proxy([target.gateway]) as proxy, Nginx([gone]) as left_alone:
        assert first_status(proxy.port, handshake(f"/token?token={token}x")) == 403
        gone.kill()
        assert first_status(left_alone.port, handshake(f"/token?token={token}y")) == 502

        def words():
            files = (each.access_log + each.error_log for each in (proxy, left_alone) if each.name == "nginx")
            return proxy.log + left_alone.log + "".join(files)

        wait_until(lambda: words().count("/token") == 2, 10, "a line about each request")
        assert token not in words() and "/token?" not in words()


# Forged ---------------------------------------------------------------------------------------------------------------


def by_hand(header, key, **more) -> str:
    def part(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    signed = f"{part(json.dumps(header).encode())}.{part(json.dumps(claims(**more)).encode())}"
    return f"{signed}.{part(hmac.digest(key, signed.encode(), 'sha256'))}"


def now():
    return int(time.time())


STRANGER = rsa.generate_private_key(65537, 2048)
FORGED = {
    "no signature": ("/token", lambda t: jwt.encode(claims(), None, algorithm="none"), 'alg\\" is none'),
    "no signature, in capitals": ("/token", lambda t: by_hand({"alg": "NONE"}, b""), 'alg\\" is none'),
    "a signature cut off": ("/token", lambda t: t.token().rpartition(".")[0] + ".", "signature is wrong"),
    "another key": ("/token", lambda t: t.token(SECRET + "!"), "signature is wrong"),
    "another hash": ("/token", lambda t: t.token(algorithm="HS512"), "says HS512"),
    "the public key as the secret": ("/rsa", lambda t: by_hand({"alg": "HS256"}, pem()), "says HS256"),
    "another hash of RSA": ("/rsa", lambda t: t.token(RSA, "RS512"), "says RS512"),
    "another RSA key": ("/rsa", lambda t: t.token(STRANGER, "RS256"), "signature is wrong"),
    "an elliptic key": ("/rsa", lambda t: t.token(ec.generate_private_key(ec.SECP256R1()), "ES256"), "says ES256"),
    "a name of a key that is a path": (
        "/token", lambda t: by_hand({"alg": "HS256", "kid": "../../../dev/null"}, b""), "signature is wrong"
    ),
    "a key that nobody knows": ("/issuer", lambda t: t.token(RSA, "RS256", {"kid": "two"}), "names no key of the set"),
    "a key of one's own": (
        "/issuer", lambda t: t.token(STRANGER, "RS256", {"kid": "one", "jku": "http://127.0.0.1:1/"}), "signature is wrong"
    ),
    "expired": ("/token", lambda t: t.token(exp=now() - 60), "has expired"),
    "not valid yet": ("/token", lambda t: t.token(nbf=now() + 60), "not valid yet"),
    "a time that is none": ("/token", lambda t: by_hand({"alg": "HS256"}, SECRET.encode(), exp="soon"), "is not a time"),
    "for somebody else": ("/token", lambda t: t.token(aud="somebody"), "audience: names none"),
    "for another audience": ("/audience", lambda t: t.token(iss="https://site.example", aud="x"), "another audience"),
    "for no audience": ("/audience", lambda t: t.token(iss="https://site.example"), "names no audience"),
    "of another issuer": ("/audience", lambda t: t.token(iss="https://evil.example", aud="gateway"), "another issuer"),
    "wanting an extension": ("/token", lambda t: t.token(headers={"crit": ["x"], "x": 1}), "extensions"),
    "nobody's": ("/token", lambda t: t.token(sub=""), "names no user"),
    "of 9 KB": ("/token", lambda t: t.token(pad="x" * 9000), "more than 8192 bytes"),
    "no token": ("/token", lambda t: MARK, "1 part"),
    "of five parts": ("/token", lambda t: "a.b.c.d.e", "5 parts"),
    "not in base64": ("/token", lambda t: "!.!.!", "not in base64url"),
}  # fmt: skip


@pytest.mark.parametrize("name", FORGED)
def test_s7_what_is_not_right_is_refused_alike_and_only_the_log_says_why(name, target):
    """403, where the table has 401 or 4401: the login comes before the upgrade, and its answer is the same for all."""
    path, forge, why = FORGED[name]
    before = len(target.gateway.log)
    reply = target.ask(bearer(path, forge(target)))
    assert (reply.status, reply.body, reply.ended) == (403, REFUSED, True)
    wait_until(lambda: why in target.gateway.log[before:], 5, f"{why!r} in the log")


def test_s7_forged_tokens_go_unnoticed(target, attack):
    cases = {name: bearer(path, forge(target)) for name, (path, forge, _) in FORGED.items()}

    def check(data):
        assert target.ask(data).body == REFUSED

    attack(cases, check)


def test_s7_a_token_of_a_megabyte_is_refused_unread(target, attack):
    large = "x" * (1 << 20)
    cases = {
        "in the address": handshake(f"/token?token={large}"),
        "in a field": bearer("/token", large),
        "in a cookie": handshake("/token", Cookie=f"jwt={large}"),
    }

    def check(data):
        assert target.ask(data).status == 431

    attack(cases, check)


def test_s7_refusals_take_the_same_time_whatever_is_wrong(target, scale):
    """The lowest times are within 5 ms of each other, for a nonsense token and for those that are nearly valid."""
    names = ("another key", "expired", "for somebody else", "no token", "the public key as the secret", "of 9 KB")
    requests = {name: bearer(FORGED[name][0], FORGED[name][1](target)) for name in names}
    assert_alike({name: lambda data=data: target.ask(data) for name, data in requests.items()}, scale)


def assert_alike(actions, scale):
    """In turns, so that other work of the machine affects all of them; the lowest times are without it."""
    times = {name: [] for name in actions}
    for _ in range(scale.pick(50, 1000)):
        for name, action in actions.items():
            began = time.monotonic()
            action()
            times[name].append(time.monotonic() - began)
    least = {name: min(each) * 1000 for name, each in times.items()}
    assert max(least.values()) - min(least.values()) < 5, least


def test_s47_a_user_who_exists_takes_as_long_as_one_who_does_not(target, scale):
    """Both tokens are forged; one of the two users is connected."""
    with target.bearer(sub="present"):
        requests = {name: bearer("/token", target.token(SECRET + "!", sub=name)) for name in ("present", "absent")}
        assert len({target.ask(data).raw for data in requests.values()}) == 1
        assert_alike({name: lambda data=data: target.ask(data) for name, data in requests.items()}, scale)


# No longer right ------------------------------------------------------------------------------------------------------


def test_s39_when_the_token_s_time_is_over_the_connection_is_closed_with_4401(target):
    began = time.monotonic()
    with target.bearer(sub="brief", exp=now() + 2) as brief:
        assert brief.end() == (4401, "login expired")
    assert time.monotonic() - began < 7


def test_s39_a_user_who_is_logged_out_is_closed_with_4401_at_once(target):
    with target.bearer(sub="leaver") as one, target.bearer(sub="leaver") as two, target.bearer(sub="stayer") as other:
        began = time.monotonic()
        answer = request(
            target.gateway.admin_port, "DELETE", "/v1/users/leaver/connections",
            headers={"Authorization": f"Bearer {ADMIN_KEY}"},
        )  # fmt: skip
        assert answer.status == 200
        assert one.end() == two.end() == (4401, "ended by the operator")
        assert time.monotonic() - began < 5
        other.send(frame(9, b"still here"))
        assert other.frame() == (10, b"still here")


def test_s39_a_fresh_token_extends_the_connection_and_only_its_own_user_s_does(target):
    def say(client, command):
        client.send(frame(TEXT, json.dumps(command).encode()))

    def replies(client):
        while (one := client.frame()) is not None and one[0] == TEXT:
            yield json.loads(one[1])

    with target.socket("/rooms") as client:
        answers = replies(client)
        say(client, {"id": 1, "connect": {"token": target.token(sub="renewer", exp=now() + 3)}})
        assert next(answers)["connect"]["ttl"] <= 3
        say(client, {"id": 2, "refresh": {"token": target.token(sub="renewer", exp=now() + 600)}})
        assert next(answers)["refresh"]["ttl"] > 590
        say(client, {"id": 3, "refresh": {"token": target.token(sub="somebody else")}})
        assert client.end() == (3500, "invalid token")
