"""The tests' own push service and webhook site, tried with the libraries that others send with."""

import base64
import threading
from datetime import UTC, datetime

import pytest
import requests
from harness.push_service import PushService
from harness.webhook_site import WebhookSite
from py_vapid import Vapid02
from pywebpush import WebPushException, webpush
from standardwebhooks.webhooks import Webhook

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def service(tmp_path):
    with PushService(tmp_path) as service:
        yield service


@pytest.fixture
def push(service):
    """push(subscription, text, …): sends with pywebpush and returns the response."""
    key = Vapid02()
    key.generate_keys()
    session = requests.Session()
    session.trust_env = False  # an authority from the environment would replace this one
    session.verify = str(service.authority.certificate)

    def push(subscription, text="hello", claims=None, **options):
        claims = {"sub": "mailto:a@b.example", **(claims or {})}
        return webpush(
            subscription.json, text, vapid_private_key=key, vapid_claims=claims, requests_session=session, **options
        )

    return push


@pytest.fixture
def site():
    with WebhookSite(SECRET) as site:
        yield site


def post(site, body=b'{"n":1}', secret=SECRET, at=None, content_type="application/json", timeout=10):
    at = at or datetime.now(tz=UTC)
    signature = Webhook(secret).sign("msg_1", at, body.decode())
    headers = {
        "webhook-id": "msg_1", "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signature,
        "Content-Type": content_type,
    }  # fmt: skip
    return requests.post(site.url, body, headers=headers, timeout=timeout, allow_redirects=False, stream=True)


# The push service ------------------------------------------------------------------------------------------------------


def test_a_push_is_decrypted_and_its_headers_are_recorded(service, push):
    subscription = service.subscribe()
    assert push(subscription, "hello", ttl=60, headers={"topic": "t", "urgency": "high"}).status_code == 201
    (received,) = subscription.pushes
    assert (received.body, received.ttl, received.topic, received.urgency) == (b"hello", 60, "t", "high")
    assert received.claims["aud"] == service.origin and received.claims["sub"] == "mailto:a@b.example"
    assert service.pushes == [received] and not service.refused


def test_each_subscription_has_keys_of_its_own(service, push):
    one, other = service.subscribe(), service.subscribe()
    push(one, "for one")
    assert [push.body for push in one.pushes] == [b"for one"] and not other.pushes
    stolen = service.subscribe()
    stolen.private = one.private
    stolen.endpoint = other.endpoint
    with pytest.raises(WebPushException, match="400"):
        push(stolen)
    assert "decrypted" in service.refused[0]


def test_a_token_for_another_service_or_too_long_is_refused(service, push):
    subscription = service.subscribe()
    with pytest.raises(WebPushException, match="403"):
        push(subscription, claims={"aud": "https://push.example.net"})
    with pytest.raises(WebPushException, match="403"):
        push(subscription, claims={"exp": 1 << 40})
    assert not subscription.pushes and "push.example.net" in service.refused[0]


def test_a_forged_token_is_refused(service):
    subscription = service.subscribe()
    keys = [Vapid02(), Vapid02()]
    for key in keys:
        key.generate_keys()
    headers = [key.sign({"sub": "mailto:a@b.example", "aud": service.origin})["Authorization"] for key in keys]
    mixed = headers[0].split(",")[0] + "," + headers[1].split(",")[1]
    for authorization, status in [(mixed, 403), ("", 401), ("vapid t=x", 401)]:
        response = requests.post(
            subscription.endpoint, b"x", timeout=10, verify=str(service.authority.certificate),
            headers={"Authorization": authorization, "TTL": "1", "Content-Encoding": "aes128gcm"},
        )  # fmt: skip
        assert response.status_code == status


def test_the_end_of_a_subscription_is_410_and_an_unknown_one_404(service, push):
    subscription = service.subscribe()
    service.forget(subscription)
    with pytest.raises(WebPushException, match="410"):
        push(subscription)
    subscription.endpoint += "x"
    with pytest.raises(WebPushException, match="404"):
        push(subscription)


def test_a_status_can_be_asked_for(service, push):
    subscription = service.subscribe()
    service.behave(status=429, headers={"Retry-After": "3"})
    with pytest.raises(WebPushException) as caught:
        push(subscription)
    assert caught.value.response.headers["Retry-After"] == "3" and not service.pushes
    service.behave()
    assert push(subscription).status_code == 201


def test_who_does_not_know_the_authority_is_not_served(service):
    with pytest.raises(requests.exceptions.SSLError):
        requests.post(service.subscribe().endpoint, b"x", timeout=10)
    assert not service.requests


# The webhook site ------------------------------------------------------------------------------------------------------


def test_a_signed_webhook_is_taken(site):
    assert post(site).status_code == 204
    (delivery,) = site.deliveries
    assert delivery.id == "msg_1" and delivery.message == {"n": 1}


@pytest.mark.parametrize(
    "wrong",
    [{"secret": "whsec_" + base64.b64encode(bytes(32)).decode()}, {"at": datetime(2020, 1, 1, tzinfo=UTC)}],
    ids=["another secret", "an old time"],
)
def test_a_forged_webhook_is_refused(site, wrong):
    assert post(site, **wrong).status_code == 401
    assert len(site.forged) == 1 and not site.deliveries


def test_other_types_are_refused(site):
    assert post(site, content_type="text/plain").status_code == 415


def test_a_redirect_and_an_error_can_be_asked_for(site):
    site.behave(status=302, headers={"Location": "/elsewhere"})
    assert post(site).headers["Location"] == "/elsewhere"
    site.behave(status=500)
    assert post(site).status_code == 500
    assert site.ids == ["msg_1", "msg_1"] and not site.deliveries


def test_a_site_that_hangs_answers_when_it_is_released(site):
    site.behave(hang=True)
    statuses = []
    sender = threading.Thread(target=lambda: statuses.append(post(site).status_code))
    sender.start()
    site.wait(1)
    assert not statuses and site.most_at_once == 1
    site.behave()
    sender.join(10)
    assert statuses == [204]


def test_a_body_without_end_is_sent_until_the_reader_leaves(site):
    site.behave(endless=True, status=200)
    with post(site) as response:
        assert len(response.raw.read(1 << 20)) == 1 << 20
    assert site.written >= 1 << 20
