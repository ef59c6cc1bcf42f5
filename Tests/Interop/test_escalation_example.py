"""examples/django: an e-mail to a user whom no browser told, and none to a user whose browser did."""

import time

import pytest
import yaml
from harness.django_site import PROJECT, DjangoSite
from harness.gateway import Gateway
from harness.http_client import request
from harness.waiting import wait_until

ORIGIN = "http://localhost:8000"
AFTER = 2


@pytest.fixture
def site(redis_server, site_database):
    with DjangoSite(redis_server.url, database=site_database) as site:
        yield site


@pytest.fixture
def gateway(redis_server, site):
    """The example's own configuration, with two seconds instead of five minutes."""
    configuration = yaml.safe_load((PROJECT / "tocsin.yaml").read_text())
    configuration["groups"][0]["escalate"]["after"] = f"{AFTER}s"
    configuration["escalations"]["site"]["url"] = f"http://127.0.0.1:{site.port}/unseen"
    configuration["auth"]["site"]["url"] = f"http://127.0.0.1:{site.port}/ws-auth"
    with Gateway(redis_server.url, "mails", configuration) as gateway:
        yield gateway


def mails(site, user):
    return site.log.count(f"To: {user}@example.com")


def test_only_the_user_who_is_away_gets_an_e_mail(site, gateway, clients):
    browsers = {}
    for user in "present", "away":
        (browsers[user],) = clients.open(gateway.url("/users/isinsufficient"), cookie=site.login(user), origin=ORIGIN)
    browsers["away"].close()  # Django's layer sends to those who have been there
    for user, amount in ("present", 3.5), ("away", 4.5):
        site.set_balance(user, amount)
    assert '"balance":3.5' in browsers["present"].wait(1)[0].replace(" ", "")
    wait_until(lambda: mails(site, "away") == 1, AFTER + 10)
    assert "Your balance is 4.5." in site.log
    time.sleep(AFTER + 1)  # the time in which another one would come
    assert (mails(site, "away"), mails(site, "present")) == (1, 0)


def test_a_call_that_nobody_signed_sends_nothing(site):
    answer = request(site.port, "POST", "/unseen", b"{}", {"Content-Type": "application/json"})
    assert answer.status == 401 and "Subject:" not in site.log
