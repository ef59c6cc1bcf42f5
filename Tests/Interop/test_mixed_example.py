"""examples/django in its mixed form: a socket at Daphne, a socket at a gateway, and the worker that answers it."""

import contextlib
import json
import subprocess
import sys

import pytest
from harness.django_site import PROJECT, DjangoSite
from harness.gateway import Gateway
from harness.waiting import wait_until

ORIGIN = "http://localhost:8000"


@contextlib.contextmanager
def spending_worker(site, server):
    command = [sys.executable, str(PROJECT / "manage.py"), "runworker", "spending"]
    worker = subprocess.Popen(command, env=site.environment(), cwd=site.directory)
    try:
        # A message for a worker of the pub/sub layer that does not listen yet is lost.
        if site.layer == "pubsub":
            wait_until(lambda: server.client().pubsub_numsub("spending")[0][1] > 0, 30)
        yield
    finally:
        worker.terminate()
        worker.wait(20)


@pytest.mark.parametrize("layer", ["core", "pubsub"])
def test_a_browser_spends_at_the_gateway_and_hears_of_it_at_both(redis_server, site_database, clients, layer):
    with DjangoSite(redis_server.url, layer, asgi=True, database=site_database) as site:
        auth = {"TOCSIN_AUTH_SITE_URL": f"http://127.0.0.1:{site.port}/ws-auth"}
        with (
            Gateway(redis_server.url, "example", PROJECT / "tocsin.yaml", environment=auth) as gateway,
            spending_worker(site, redis_server),
        ):
            user = f"spender-{layer}"
            cookie = site.login(user)
            site.set_balance(user, 30.0)
            theirs, ours = clients.open(
                site.url("/users/isinsufficient"), gateway.url("/users/spending"), cookie=cookie, origin=ORIGIN, at_once=1
            )
            for text in "nonsense", "-1", "nan", "1000", "15":
                ours.send(text)
            told = {"type": "receive", "isInsufficient:": True, "balance": 15.0}
            assert json.loads(theirs.wait(1)[0]) == told
            heard = [json.loads(text) for text in ours.wait(6)]
            assert told in heard
            answers = [message for message in heard if message["type"] == "answer"]
            assert [answer.get("balance") for answer in answers] == [None, None, None, None, 15.0]
