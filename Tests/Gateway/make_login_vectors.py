"""Writes Authentication/login_vectors.json: tokens signed by PyJWT, sessions signed by Django, data deflated by zlib.

    .venv/bin/python Tests/Gateway/make_login_vectors.py

New keys are generated each time, and only their public halves are written.
"""

import base64
import hashlib
import hmac
import importlib.metadata
import json
import pickle
import random
import zlib
from pathlib import Path
from unittest import mock

import django
import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from django.conf import settings
from django.core import signing
from jwt.algorithms import get_default_algorithms

NOW = 1_790_000_000
SECRET = "a secret of sixty-four bytes, which is as much as HS512 can want"
CLAIMS = {
    "sub": "42", "exp": NOW + 3600, "nbf": NOW - 5, "iat": NOW - 5, "iss": "https://issuer.example", "aud": "gateway",
    "groups": ["news", "staff.1"], "info": {"name": "Zoë"}, "team": "red", "level": 3, "admin": True, "tags": ["a"],
}  # fmt: skip
PRIVATE = {
    "rsa": rsa.generate_private_key(65537, 2048),
    "rsa1024": rsa.generate_private_key(65537, 1024),
    "p256": ec.generate_private_key(ec.SECP256R1()),
    "p384": ec.generate_private_key(ec.SECP384R1()),
    "p521": ec.generate_private_key(ec.SECP521R1()),
    "k256": ec.generate_private_key(ec.SECP256K1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate(),
}
KEY_OF = {"HS": "secret", "RS": "rsa", "PS": "rsa", "ES256": "p256", "ES384": "p384", "ES512": "p521", "Ed": "ed25519"}
ALGORITHMS = [kind + size for kind in ("HS", "RS", "PS", "ES") for size in ("256", "384", "512")] + ["EdDSA"]


def public(name, kind=serialization.PublicFormat.SubjectPublicKeyInfo):
    return PRIVATE[name].public_key().public_bytes(serialization.Encoding.PEM, kind).decode()


def key_of(algorithm):
    name = KEY_OF.get(algorithm) or KEY_OF[algorithm[:2]]
    return name, SECRET if name == "secret" else PRIVATE[name]


def token(claims=CLAIMS, algorithm="HS256", key=None, **headers):
    return jwt.encode(claims, key if key is not None else key_of(algorithm)[1], algorithm=algorithm, headers=headers or None)


def b64(data):
    data = data if isinstance(data, bytes) else data.encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def by_hand(header, payload, secret=SECRET.encode()):
    """HS256, whatever the header claims; header and payload are strings."""
    signed = f"{b64(header)}.{b64(payload)}"
    return f"{signed}.{b64(hmac.digest(secret, signed.encode(), 'sha256'))}"


def but(**changes):
    """The claims with changes; None removes one."""
    return {key: value for key, value in {**CLAIMS, **changes}.items() if value is not None}


def accepted():
    vectors = [{"key": key_of(name)[0], "algorithm": name, "token": token(algorithm=name)} for name in ALGORITHMS]
    return vectors + [
        {"key": "secret", "algorithm": "HS256", "token": token(kid="whatever", typ="at+jwt")},
        {"key": "secret", "algorithm": "HS256", "token": token(but(exp=NOW + 0.5, nbf=NOW + 0.5))},
        {"key": "secret", "algorithm": "HS256", "token": token(but(aud=["other", "gateway"]))},
        {"key": "secret", "algorithm": "HS256", "token": by_hand(
            '\n{ "alg" : "HS256" }', json.dumps(CLAIMS, indent=2))},
    ]  # fmt: skip


def refused():
    head, good = '{"alg":"HS256","typ":"JWT"}', json.dumps(CLAIMS)
    hs = token()
    parts = hs.split(".")
    es = token(algorithm="ES256").split(".")
    other = ec.generate_private_key(ec.SECP256R1())
    pem = public("rsa")
    embedded = json.loads(get_default_algorithms()["ES256"].to_jwk(other.public_key()))
    none = jwt.encode(CLAIMS, None, algorithm="none")
    wrong = "the token's signature is wrong"
    vectors = [
        # Algorithms.
        ("secret", "HS256", none, "the token is not signed: its \"alg\" is none"),
        *[("rsa", "RS256", by_hand(json.dumps({"alg": alg}), good), "the token is not signed: its \"alg\" is none")
          for alg in ("none", "None", "NONE", "nOnE")],
        ("secret", "HS256", none.rsplit(".", 1)[0], "the token has 2 parts, not the three of a signed one"),
        ("secret", "HS256", by_hand('{"alg":"HS1"}', good), "the token's \"alg\" is not supported"),
        ("secret", "HS256", by_hand('{"alg":"hs256"}', good), "the token's \"alg\" is not supported"),
        ("secret", "HS256", by_hand('{"alg":256}', good), "the token's header has no \"alg\""),
        ("secret", "HS256", by_hand('{"typ":"JWT"}', good), "the token's header has no \"alg\""),
        ("rsa", "RS256", by_hand(head, good, pem.encode()), "the token says HS256, the key is for RS256"),
        ("rsa", "RS256", by_hand(head, good, pem.strip().encode()), "the token says HS256, the key is for RS256"),
        ("p256", "ES256", by_hand(head, good, public("p256").encode()), "the token says HS256, the key is for ES256"),
        ("ed25519", "EdDSA", by_hand(head, good, public("ed25519").encode()), "the token says HS256, the key is for EdDSA"),
        ("secret", "HS256", token(algorithm="HS512"), "the token says HS512, the key is for HS256"),
        ("secret", "HS512", token(algorithm="HS256"), "the token says HS256, the key is for HS512"),
        ("rsa", "RS256", token(algorithm="PS256"), "the token says PS256, the key is for RS256"),
        ("rsa", "RS256", token(algorithm="ES256"), "the token says ES256, the key is for RS256"),
        ("p384", "ES384", token(algorithm="ES256"), "the token says ES256, the key is for ES384"),
        # Signatures.
        ("secret", "HS256", token(key=SECRET[:-1] + "!"), wrong),
        ("secret", "HS256", by_hand(head, good, b""), wrong),
        ("rsa", "RS256", token(algorithm="RS256", key=PRIVATE["rsa1024"]), wrong),
        ("rsa", "RS256", by_hand('{"alg":"RS256"}', good, pem.encode()), wrong),
        ("rsa", "PS256", ".".join(b64('{"alg":"PS256"}') if i == 0 else part
                                  for i, part in enumerate(token(algorithm="RS256").split("."))), wrong),
        ("p256", "ES256", token(algorithm="ES256", key=other), wrong),
        ("p256", "ES256", token(algorithm="ES256", key=other, jwk=embedded), wrong),
        ("p256", "ES256", f"{es[0]}.{es[1]}.{b64(bytes(64))}", wrong),
        ("p256", "ES256", f"{es[0]}.{es[1]}.{b64(b'')}", wrong),
        ("p256", "ES256", f"{es[0]}.{es[1]}.{b64(der(es))}", wrong),
        ("ed25519", "EdDSA", token(algorithm="EdDSA", key=ed25519.Ed25519PrivateKey.generate()), wrong),
        ("secret", "HS256", f"{parts[0]}.{b64(json.dumps(but(sub='1')))}.{parts[2]}", wrong),
        ("secret", "HS256", f"{parts[0]}.{parts[1]}.", wrong),
        ("secret", "HS256", f"{parts[0]}.{parts[1]}.{b64(base64.urlsafe_b64decode(parts[2] + '=')[:16])}", wrong),
        # Form.
        ("secret", "HS256", "", "the token has 1 part, not the three of a signed one"),
        ("secret", "HS256", hs + "." + parts[2], "the token has 4 parts, not the three of a signed one"),
        ("secret", "HS256", "a.b.c.d.e", "the token has 5 parts, not the three of a signed one"),
        ("secret", "HS256", "..", "the token's header is not a JSON object"),
        ("secret", "HS256", hs + "=", "the token is not in base64url"),
        ("secret", "HS256", hs + " ", "the token is not in base64url"),
        ("secret", "HS256", hs[:-1] + chr(ord(hs[-1]) + 1), "the token is not in base64url"),
        ("secret", "HS256", hs.replace(".", "\n.", 1), "the token is not in base64url"),
        ("secret", "HS256", by_hand(head, good).replace(b64(head), base64.b64encode((head + " ").encode()).decode()),
         "the token is not in base64url"),
        ("secret", "HS256", by_hand(json.dumps([json.loads(head)]), good), "the token's header is not a JSON object"),
        ("secret", "HS256", by_hand(head + head, good), "the token's header is not a JSON object"),
        ("secret", "HS256", by_hand("{'alg':'HS256'}", good), "the token's header is not a JSON object"),
        ("secret", "HS256", by_hand(head, f"[{good}]"), "the token's payload is not a JSON object"),
        ("secret", "HS256", by_hand(head, good + good), "the token's payload is not a JSON object"),
        ("secret", "HS256", by_hand(head, '"42"'), "the token's payload is not a JSON object"),
        ("secret", "HS256", by_hand(head, ""), "the token's payload is not a JSON object"),
        ("secret", "HS256", token(crit=["exp"], exp=NOW), "the token's header wants extensions that are not supported"),
        ("secret", "HS256", by_hand('{"alg":"HS256","b64":true}', good),
         "the token's header wants extensions that are not supported"),
        ("secret", "HS256", by_hand('{"alg":"HS256","kid":7}', good), "the token's \"kid\" is not a string of 1 to 256 bytes"),
        ("secret", "HS256", by_hand('{"alg":"HS256","kid":""}', good), "the token's \"kid\" is not a string of 1 to 256 bytes"),
        ("secret", "HS256", token(kid="x" * 257), "the token's \"kid\" is not a string of 1 to 256 bytes"),
        # Claims.
        ("secret", "HS256", token(but(exp=NOW - 30)), "the token has expired"),
        ("secret", "HS256", token(but(exp=0)), "the token has expired"),
        ("secret", "HS256", token(but(exp=-1)), "the token has expired"),
        ("secret", "HS256", token(but(nbf=NOW + 31)), "the token is not valid yet"),
        *[("secret", "HS256", by_hand(head, json.dumps(but(exp=0)).replace('"exp": 0', f'"exp": {exp}')),
           "the token's \"exp\" is not a time")
          for exp in (f'"{NOW + 60}"', "true", "[]", "{}", "NaN", "Infinity", "-Infinity", "1e300", f"{NOW}000", "1e999")],
        ("secret", "HS256", by_hand(head, json.dumps(but(nbf="soon"))), "the token's \"nbf\" is not a time"),
        ("secret", "HS256", token(but(iss=None)), "the token names no issuer"),
        ("secret", "HS256", token(but(iss="https://issuer.example/")), "the token is of another issuer"),
        ("secret", "HS256", by_hand(head, json.dumps(but(iss=["https://issuer.example"]))), "the token names no issuer"),
        ("secret", "HS256", token(but(aud=None)), "the token names no audience"),
        ("secret", "HS256", token(but(aud="Gateway")), "the token is for another audience"),
        ("secret", "HS256", token(but(aud=[])), "the token is for another audience"),
        ("secret", "HS256", token(but(aud=["a", "b"])), "the token is for another audience"),
        ("secret", "HS256", by_hand(head, json.dumps(but(aud={"gateway": 1}))),
         "the token's \"aud\" is neither a text nor a list of texts"),
        ("secret", "HS256", by_hand(head, json.dumps(but(aud=["gateway", 1]))),
         "the token's \"aud\" is neither a text nor a list of texts"),
        *[("secret", "HS256", by_hand(head, json.dumps({**CLAIMS, "sub": user})), "the token's \"sub\" names no user")
          for user in (None, "", True, ["42"], {"id": 42}, float("-inf"))],
        ("secret", "HS256", by_hand(head, json.dumps(but(sub=None))), "the token's \"sub\" names no user"),
        ("secret", "HS256", token(but(groups="news")), "the token: the \"groups\" are not a list of names"),
        ("secret", "HS256", token(but(groups=["news", 1])), "the token: the \"groups\" are not a list of names"),
        ("secret", "HS256", token(but(groups=["a b"])), "the token: the \"groups\" contain an invalid group name"),
    ]  # fmt: skip
    return [{"key": key, "algorithm": alg, "token": text, "why": why} for key, alg, text, why in vectors]


def der(parts):
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    raw = base64.urlsafe_b64decode(parts[2] + "==")
    return encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))


def key_set():
    """As issuers publish them: including types and uses that are not for signatures."""
    keys = []
    for name, algorithm in (("rsa", "RS256"), ("p256", "ES256"), ("p384", "ES384"), ("p521", "ES512"), ("ed25519", "EdDSA")):
        key = json.loads(get_default_algorithms()[algorithm].to_jwk(PRIVATE[name].public_key()))
        key.pop("key_ops", None)
        keys.append({**key, "kid": name, "use": "sig", **({} if name == "rsa" else {"alg": algorithm})})
    keys[1]["key_ops"] = ["verify"]
    rsa_key = keys[0]
    return {"keys": keys + [
        {**rsa_key, "kid": "for encryption", "use": "enc"}, {**rsa_key, "kid": "for other work", "key_ops": ["encrypt"]},
        {**rsa_key, "kid": "of the future", "alg": "RS1024"}, {**rsa_key, "kid": "PS", "alg": "PS256"},
        {**rsa_key, "kid": "padded", "n": rsa_key["n"] + "=="}, {**rsa_key, "kid": "no e", "e": ""},
        {"kty": "oct", "kid": "a secret", "k": b64(SECRET), "alg": "HS256"}, {"kty": "XYZ", "kid": "unknown"}, 7, None, {},
        {**keys[1], "kid": "off the curve", "y": keys[1]["x"]}, {**keys[1], "kid": "secp256k1", "crv": "secp256k1"},
    ]}  # fmt: skip


def sessions():
    settings.configure(SECRET_KEY="vector-secret-key", SECRET_KEY_FALLBACKS=[])
    django.setup()
    salt = "django.contrib.sessions.backends.signed_cookies"
    full = {
        "_auth_user_id": "42", "_auth_user_backend": "django.contrib.auth.backends.ModelBackend",
        "_auth_user_hash": "a" * 64, "userId": 42, "name": "Zoë 😀",
    }  # fmt: skip

    class Pickle:
        dumps = staticmethod(pickle.dumps)

    def cookie(data, when=NOW, **options):
        with mock.patch("time.time", return_value=when):
            return signing.dumps(data, **{"salt": salt, "compress": True, **options})

    small = cookie({"userId": 42})
    return {
        "secret": "vector-secret-key",
        "accepted": [
            {"cookie": small, "userId": "42"},
            {"cookie": cookie(full), "userId": "42"},
            {"cookie": cookie(full, compress=False), "userId": "42"},
            {"cookie": cookie({**full, "cart": list(range(500))}), "userId": "42"},
            {"cookie": cookie({"userId": "anna"}, NOW - 1_209_600), "userId": "anna"},
            {"cookie": cookie({"userId": 1.5}, NOW + 100), "userId": "1.5"},
            {"cookie": cookie({"userId": "old"}, key="the key before"), "userId": "old"},
        ],
        "refused": [
            {"cookie": cookie({"userId": 42}, NOW - 1_209_601), "why": "the session has expired"},
            {"cookie": cookie({"userId": 42}, salt="django.contrib.sessions.SessionStore"),
             "why": "the session cookie's signature is wrong"},
            {"cookie": cookie({"userId": 42}, key="another key"), "why": "the session cookie's signature is wrong"},
            {"cookie": "f" + small[1:], "why": "the session cookie's signature is wrong"},
            {"cookie": small.replace(":1", ":2", 1), "why": "the session cookie's signature is wrong"},
            {"cookie": "." + small, "why": "the session cookie's signature is wrong"},
            {"cookie": small[:-1] + ("A" if small[-1] != "A" else "E"), "why": "the session cookie's signature is wrong"},
            {"cookie": small + "=", "why": "the session cookie is not signed by Django"},
            {"cookie": small.rsplit(":", 1)[0], "why": "the session cookie is not signed by Django"},
            {"cookie": small + ":" + small, "why": "the session cookie is not signed by Django"},
            {"cookie": "4zk7qu3z26cmlfkz6r9h33d861v75yyh", "why": "the session cookie is not signed by Django"},
            {"cookie": cookie({}), "why": "nobody is logged in in this session"},
            {"cookie": cookie({"userId": None}), "why": "nobody is logged in in this session"},
            {"cookie": cookie({"userId": ""}), "why": "nobody is logged in in this session"},
            {"cookie": cookie({"userId": [42]}), "why": "nobody is logged in in this session"},
            {"cookie": cookie({"userId": 42, "x": "x" * 100_000}), "why": "the session has more than 65536 bytes"},
        ],
        "unreadable": [
            {"cookie": cookie([42]), "why": "the session is not a JSON object"},
            {"cookie": cookie({"userId": 42}, serializer=Pickle),
             "why": "the session is a Python pickle, which is never read: let the site write JSON (docs/configuration.md)"},
        ],
        "stored": {"json": signing.JSONSerializer().dumps(full).decode(), "pickle": base64.b64encode(pickle.dumps(full)).decode()},
    }  # fmt: skip


def deflated():
    chance = random.Random(1)
    texts = [b"", b"a", b"a" * 1000, b"abc" * 400, bytes(range(256)) * 3, chance.randbytes(500),
             json.dumps([chance.randrange(10**6) for _ in range(300)]).encode(), b"x" * 65535 + b"y"]  # fmt: skip
    vectors = []
    for text in texts:
        for level, strategy in ((0, 0), (1, 0), (6, 0), (9, 0), (6, zlib.Z_HUFFMAN_ONLY), (6, zlib.Z_FIXED), (6, zlib.Z_RLE)):
            packer = zlib.compressobj(level, strategy=strategy)
            packed = packer.compress(text) + packer.flush()
            if len(packed) > 2000:
                continue
            vectors.append({"deflated": base64.b64encode(packed).decode(), "bytes": len(text),
                            "sha256": hashlib.sha256(text).hexdigest()})  # fmt: skip
    return vectors


def main():
    versions = {name: importlib.metadata.version(name) for name in ("PyJWT", "cryptography", "Django")}
    vectors = {
        "written_by": "make_login_vectors.py", "versions": versions, "now": NOW, "secret": SECRET,
        "keys": {name: public(name) for name in PRIVATE},
        "pkcs1": public("rsa", serialization.PublicFormat.PKCS1),
        "accepted": accepted(), "refused": refused(), "key_set": json.dumps(key_set()),
        "kids": {name: token(algorithm=algorithm, kid=name) for name, algorithm in
                 (("rsa", "RS256"), ("p256", "ES256"), ("p384", "ES384"), ("p521", "ES512"), ("ed25519", "EdDSA"), ("PS", "PS256"))
                 if name in PRIVATE or name == "PS"},
        "kid_refused": [
            token(algorithm="RS256", kid="nobody"), token(algorithm="RS256", kid="for encryption"),
            token(algorithm="RS256", kid="for other work"), token(algorithm="HS256", kid="a secret"),
            token(algorithm="HS256", key="k" * 32, kid="../../../../dev/null"),
            token(algorithm="HS256", key="k" * 32, kid="rsa' UNION SELECT 'k"),
            token(algorithm="HS256", key="k" * 32, kid="https://evil.example/keys"),
        ],
        "sessions": sessions(), "deflated": deflated(),
    }  # fmt: skip
    text = json.dumps(vectors, indent=1, ensure_ascii=True) + "\n"
    (Path(__file__).parent / "Authentication" / "login_vectors.json").write_text(text)


main()
