"""Webhooks of a running sender, verified with the library `standardwebhooks`."""

import json

import pytest
from harness.escalation_peer import escalate
from harness.webhook_site import WebhookSite

OLD = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NEW = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
MESSAGE = {"text": "ü €\n\"\\", "n": 12.0}


@pytest.fixture
def site():
    with WebhookSite(OLD, path="/hooks/T0K3N") as site:
        yield site


def test_the_library_verifies_a_webhook_and_reads_its_id(site):
    escalate(url=site.url, secrets=OLD, id="msg_42", body=json.dumps(MESSAGE, ensure_ascii=False))
    (delivery,) = site.deliveries
    assert (delivery.id, delivery.message) == ("msg_42", MESSAGE)


@pytest.mark.parametrize("known", [OLD, NEW])
def test_while_a_secret_is_replaced_either_one_verifies(known):
    with WebhookSite(known) as site:
        escalate(url=site.url, secrets=f"{NEW} {OLD}")
        assert len(site.deliveries) == 1


def test_a_site_with_another_secret_refuses_and_nothing_secret_is_logged(site):
    escalate("retry", url=site.url, secrets=NEW, reason="answered 401", hidden=f"T0K3N {NEW}")
    assert site.forged and not site.deliveries


def test_an_error_is_retried_not_before_the_site_says(site):
    site.behave(status=503, headers={"Retry-After": "40"})
    escalate("retry", url=site.url, secrets=OLD, reason="answered 503", not_before=40)


def test_a_redirect_is_not_followed(site):
    site.behave(status=302, headers={"Location": "/elsewhere"})
    escalate("retry", url=site.url, secrets=OLD, reason="redirects are not followed")
    assert [request.path for request in site.requests] == ["/hooks/T0K3N"]


def test_a_site_that_hangs_is_given_up_after_the_time_out(site):
    site.behave(hang=True)
    escalate("retry", url=site.url, secrets=OLD, timeout_ms=300, reason="no answer in time", hidden="T0K3N")


def test_a_body_without_end_is_not_read_to_its_end(site):
    site.behave(endless=True, status=200)
    escalate(url=site.url, secrets=OLD)
    assert site.written < 32 << 20  # socket buffers take some megabytes


def test_410_is_final(site):
    site.behave(status=410)
    escalate("dead", url=site.url, secrets=OLD, reason="410")
