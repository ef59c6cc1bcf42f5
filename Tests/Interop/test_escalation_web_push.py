"""A user whom no browser told gets a push: from the send, through Redis and a gateway, to a push service that decrypts it."""

import json
import time

import pytest
from harness.gateway import Gateway, config, tocsin
from harness.http_client import request
from harness.push_service import PushService
from harness.waiting import wait_until

AFTER = 1


@pytest.fixture
def service(tmp_path):
    with PushService(tmp_path) as service:
        yield service


@pytest.fixture
def gateway(redis_server, service, tmp_path):
    key = tmp_path / "vapid.pem"
    tocsin("vapid", key)
    push = {
        "kind": "web_push", "vapid_key_file": str(key), "subject": "mailto:ops@example.com",
        "ca_file": str(service.authority.certificate), "allowed_networks": ["127.0.0.0/8", "::1/128"],
    }  # fmt: skip
    settings = config(
        groups=[{"match": "{user}.inbox", "inbox": True, "escalate": {"after": f"{AFTER}s", "unless": "delivered"}}],
        routes=[{"path": "/of/{name}", "groups": ["{name}.inbox"]}],
        escalations={"push": push},
    )
    with Gateway(redis_server.url, "pushes", settings) as gateway:
        yield gateway


def register(gateway, user, subscription):
    body = json.dumps(subscription.json).encode()
    answer = request(gateway.admin_port, "PUT", f"/v1/users/{user}/push-subscriptions", body)
    assert answer.status == 200, answer.text


def send(redis, user, message, *options):
    return redis.fcall("group_send", 1, f"asgi:group:{user}.inbox", json.dumps(message), *options)[0].decode()


def test_each_browser_of_a_user_who_is_away_gets_the_message(gateway, service, redis):
    phone, laptop = service.subscribe(), service.subscribe()
    for subscription in phone, laptop:
        register(gateway, "42", subscription)
    position = send(redis, "42", {"text": "your balance runs out"}, "TTL", "600", "COLLAPSE", "balance", "URGENCY", "high")
    wait_until(lambda: phone.pushes and laptop.pushes, AFTER + 5)
    (push,) = phone.pushes
    assert json.loads(push.body) == {
        "group": "42.inbox", "user": "42", "position": position, "message": {"text": "your balance runs out"},
    }  # fmt: skip
    assert (push.urgency, bool(push.topic)) == ("high", True) and 500 < push.ttl <= 600
    assert push.claims["sub"] == "mailto:ops@example.com" and not service.refused


def test_a_user_who_has_the_message_gets_no_push(gateway, service, redis, clients):
    subscription = service.subscribe()
    register(gateway, "43", subscription)
    (browser,) = clients.open(gateway.url("/of/43"))
    send(redis, "43", {"n": 1})
    browser.wait(1)
    time.sleep(AFTER + 2)
    assert subscription.pushes == []


def test_a_long_message_sends_its_position(gateway, service, redis):
    subscription = service.subscribe()
    register(gateway, "44", subscription)
    position = send(redis, "44", {"text": "x" * 5000})
    wait_until(lambda: subscription.pushes, AFTER + 5)
    assert json.loads(subscription.pushes[0].body) == {"group": "44.inbox", "user": "44", "position": position}


def test_a_subscription_that_is_gone_is_removed(gateway, service, redis):
    subscription = service.subscribe()
    register(gateway, "45", subscription)
    service.forget(subscription)
    assert redis.hlen("tocsin:push:45") == 1
    send(redis, "45", {"n": 1})
    wait_until(lambda: redis.hlen("tocsin:push:45") == 0, AFTER + 5)


def test_an_endpoint_inside_the_network_is_refused_at_its_registration(gateway, service):
    subscription = service.subscribe().json
    for endpoint in "https://10.0.0.1/x", "http://push.example/x", "https://[fe80::1]/x", "https://169.254.169.254/latest":
        body = json.dumps({**subscription, "endpoint": endpoint}).encode()
        answer = request(gateway.admin_port, "PUT", "/v1/users/46/push-subscriptions", body)
        assert answer.status == 400 and answer.json["error"]["code"] == "bad_subscription", answer.text
