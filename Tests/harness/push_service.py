"""A push service with its own certificate authority: subscribes browsers, verifies VAPID, decrypts.

with PushService(directory) as service:
    subscription = service.subscribe()         .json is what PushSubscription.toJSON() gives
    …                                          service.pushes, subscription.pushes
    service.forget(subscription)               answers 410 from now on
    service.behave(status=429, headers={"Retry-After": "3"})      or hang=True
service.authority.certificate                  PEM file for the sender
"""

import base64
import json
import os
import re
import secrets
import ssl
import time
from dataclasses import dataclass, field

import http_ece
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from harness.certificates import Authority
from harness.web_server import WebServer
from py_vapid import Vapid02

LONGEST_BODY = 4096  # RFC 8030 section 7.2


def _text(octets) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


@dataclass
class Push:
    """One message as the browser sees it, and what the service was told about it."""

    body: bytes
    ttl: int
    topic: str | None
    urgency: str | None
    claims: dict
    key: str  # the sender's public key, as in applicationServerKey


@dataclass
class Subscription:
    endpoint: str
    private: ec.EllipticCurvePrivateKey
    auth: bytes
    pushes: list[Push] = field(default_factory=list)

    @property
    def json(self) -> dict:
        point = self.private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        keys = {"p256dh": _text(point), "auth": _text(self.auth)}
        return {"endpoint": self.endpoint, "expirationTime": None, "keys": keys}


class PushService(WebServer):
    success = 201

    def __init__(self, directory, names="DNS:localhost,IP:127.0.0.1"):
        self.authority = Authority(directory, "push-authority")
        pair = self.authority.issue("push-service", names)
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(pair.certificate, pair.key)
        self.subscriptions: dict[str, Subscription] = {}
        self.pushes: list[Push] = []
        self.refused: list[str] = []  # why requests were refused
        self._forgotten: set[str] = set()
        super().__init__(tls)

    def subscribe(self) -> Subscription:
        path = f"/push/{secrets.token_urlsafe(24)}"
        subscription = Subscription(self.origin + path, ec.generate_private_key(ec.SECP256R1()), os.urandom(16))
        self.subscriptions[path] = subscription
        return subscription

    def forget(self, subscription: Subscription):
        """The browser has unsubscribed."""
        self._forgotten.add(subscription.endpoint.removeprefix(self.origin))

    def received(self, request):
        if request.path in self._forgotten:
            return 410
        if request.path not in self.subscriptions:
            return 404
        try:
            push = self._push(request)
        except _Refused as why:
            self.refused.append(str(why))
            return why.status
        self.subscriptions[request.path].pushes.append(push)
        self.pushes.append(push)
        return None

    def _push(self, request) -> Push:
        headers = request.headers
        if len(request.body) > LONGEST_BODY:
            raise _Refused(413, "the body is too long")
        claims, key = self._verified(headers.get("authorization", ""))
        if headers.get("content-encoding") != "aes128gcm":
            raise _Refused(415, "the content encoding is another one")
        ttl, topic, urgency = headers.get("ttl", ""), headers.get("topic"), headers.get("urgency")
        if not ttl.isdigit():
            raise _Refused(400, "TTL is missing or no number")
        if topic is not None and not re.fullmatch("[A-Za-z0-9_-]{1,32}", topic):
            raise _Refused(400, "the topic is longer than 32 characters, or no base64url")
        if urgency not in (None, "very-low", "low", "normal", "high"):
            raise _Refused(400, "the urgency is no such word")
        subscription = self.subscriptions[request.path]
        try:
            body = http_ece.decrypt(
                request.body, private_key=subscription.private, auth_secret=subscription.auth, version="aes128gcm"
            )
        except http_ece.ECEException as error:
            raise _Refused(400, f"it cannot be decrypted: {error}") from error
        return Push(body, int(ttl), topic, urgency, claims, key)

    def _verified(self, authorization) -> tuple[dict, str]:
        """The claims and the key, as in RFC 8292 section 4.2."""
        scheme, _, rest = authorization.partition(" ")
        fields = dict(part.strip().split("=", 1) for part in rest.split(",") if "=" in part)
        if scheme != "vapid" or not {"t", "k"} <= fields.keys():
            raise _Refused(401, "Authorization is not vapid t=…, k=…")
        # The library reads the form without a space after the comma only.
        if not Vapid02.verify(f"vapid t={fields['t']},k={fields['k']}"):
            raise _Refused(403, "the signature does not belong to the key")
        claims = _claims(fields["t"])
        if claims.get("aud") != self.origin:
            raise _Refused(403, f"the token is for {claims.get('aud')}")
        now = time.time()
        if not now < claims.get("exp", 0) <= now + 86400:
            raise _Refused(403, "the token is expired, or valid for more than a day")
        if not str(claims.get("sub", "")).startswith(("mailto:", "https:")):
            raise _Refused(403, "the token has no subject")
        return claims, fields["k"]


class _Refused(Exception):
    def __init__(self, status, why):
        super().__init__(why)
        self.status = status


def _claims(token) -> dict:
    return json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))

