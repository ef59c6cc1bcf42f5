"""Web Push of a running sender, decrypted with `http-ece` and verified with `py-vapid`; and `tocsin vapid`."""

import stat
import time

import pytest
from harness.escalation_peer import escalate
from harness.gateway import tocsin
from harness.push_service import PushService
from py_vapid import Vapid02


@pytest.fixture
def service(tmp_path):
    with PushService(tmp_path) as service:
        yield service


@pytest.fixture
def push(service):
    """push(subscription, …): sends and returns what the service decrypted."""

    def push(subscription, expected="done", **task):
        path = subscription.endpoint.rsplit("/", 1)[1]
        authority = str(service.authority.certificate)
        escalate(expected, **{"subscription": subscription.json, "authority": authority, "hidden": path, **task})
        return subscription.pushes[-1] if subscription.pushes else None

    return push


def test_the_browser_gets_the_payload_and_the_service_its_headers(service, push):
    received = push(service.subscribe(), body='{"text":"ü €"}', ttl=60, urgency="high", topic="orders")
    assert received.body.decode() == '{"text":"ü €"}'
    assert 58 <= received.ttl <= 60
    assert (received.urgency, received.topic) == ("high", "orders")
    assert not service.refused


def test_the_token_names_the_service_the_sender_and_an_end_within_a_day(service, push):
    claims = push(service.subscribe()).claims
    assert claims["aud"] == service.origin and claims["sub"] == "mailto:ops@site.example"
    assert 0 < claims["exp"] - time.time() <= 86400


def test_any_text_makes_a_topic_that_the_service_takes(service, push):
    received = push(service.subscribe(), topic="order 7 of Müller & Söhne, which is longer than 32 characters")
    assert len(received.topic) == 32


def test_the_longest_payload_arrives_and_a_longer_one_is_not_sent(service, push):
    subscription = service.subscribe()
    assert push(subscription, body="x" * 3993).body == b"x" * 3993
    push(subscription, "dead", body="x" * 3994, reason="3993")
    assert len(service.requests) == 1


def test_a_subscription_that_has_ended_or_never_was_is_gone(service, push):
    ended, unknown = service.subscribe(), service.subscribe()
    service.forget(ended)
    push(ended, "gone")
    unknown.endpoint += "x"
    push(unknown, "gone")


def test_a_service_that_wants_fewer_requests_is_left_alone_for_as_long_as_it_says(service, push):
    service.behave(status=429, headers={"Retry-After": "40"})
    push(service.subscribe(), "retry", reason="answered 429", not_before=40)


@pytest.mark.parametrize("status", [400, 401, 403, 413])
def test_a_refusal_is_final(service, push, status):
    service.behave(status=status)
    push(service.subscribe(), "dead", reason=str(status))


def test_a_service_that_hangs_is_given_up_after_the_time_out(service, push):
    service.behave(hang=True)
    push(service.subscribe(), "retry", timeout_ms=500, reason="no answer in time")


def test_an_unknown_authority_is_not_spoken_to(service, push, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    with PushService(other) as stranger:
        push(service.subscribe(), "retry", authority=str(stranger.authority.certificate), reason="unknown authority")
    assert not service.requests


# tocsin vapid ----------------------------------------------------------------------------------------------------------


def test_vapid_makes_a_key_whose_public_part_is_the_one_of_the_pushes(service, push, tmp_path):
    file = tmp_path / "vapid.pem"
    printed = tocsin("vapid", file).stdout.strip()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert push(service.subscribe(), key=file.read_text()).key == printed
    token = Vapid02.from_file(str(file)).sign({"sub": "mailto:a@b.example", "aud": service.origin})
    assert token["Authorization"].endswith(f"k={printed}")


def test_vapid_does_not_overwrite_a_file(tmp_path):
    file = tmp_path / "vapid.pem"
    file.write_text("precious")
    done = tocsin("vapid", file, check=False)
    assert done.returncode != 0 and str(file) in done.stderr and "overwritten" in done.stderr
    assert file.read_text() == "precious" and not done.stdout
