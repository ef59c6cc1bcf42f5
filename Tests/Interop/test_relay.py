"""The relay: what 64 concurrent Django senders put into the core layer's inboxes reaches every socket once, in order."""

import pytest
from harness.django_site import DjangoSite
from harness.gateway import Gateway, config
from harness.layer_senders import LayerSenders, assert_complete, group_names, markers, open_groups, sends_of

PLAN = {"processes": 4, "coroutines": 16, "sends": 200, "groups": 200, "width": 20}
SENDS = sends_of(PLAN)
assert SENDS == 12_800


@pytest.fixture
def gateways(redis_server):
    with Gateway(redis_server.url, "one", config()) as one, Gateway(redis_server.url, "two", config()) as two:
        yield one, two


@pytest.fixture
def site(redis_server, site_database):
    """Not a server: only the settings of its sender processes, RedisChannelLayer with its default capacity."""
    return DjangoSite(redis_server.url, "core", database=site_database)


def test_12800_sends_of_64_django_senders_arrive_once_and_in_order(clients, gateways, site):
    plan = {**PLAN, "name": "relay"}
    at_one, at_two = (open_groups(clients, gateway, plan) for gateway in gateways)
    with LayerSenders(site, plan) as senders:
        senders.go()
        totals = senders.finish()
    site.group_send(*markers(plan))
    assert_complete(at_one, plan, totals)
    assert_complete(at_two, plan, totals)
    for group in group_names(plan):
        assert at_one[group].until('"marker"') == at_two[group].until('"marker"'), f"{group}: two orders"


def test_none_is_lost_or_doubled_when_the_relaying_gateway_is_killed(clients, gateways, site):
    plan = {**PLAN, "name": "killed"}
    killed, survivor = gateways
    sockets = open_groups(clients, survivor, plan)
    with LayerSenders(site, plan) as senders:
        senders.go()
        # Whichever gateway relays which inbox: a third of the messages is in transit and the rest is still to come.
        clients.wait_for(
            lambda: clients.heard >= SENDS // 3, 60, lambda: f"a third of the messages, heard {clients.heard}"
        )
        relayed = killed.metric("tocsin_relay_messages_total")
        killed.kill()
        heard = clients.heard
        totals = senders.finish()
    assert relayed > 0, "the gateway that was killed relayed nothing"
    assert heard < SENDS * 0.9, "the kill came too late to mean anything"
    site.group_send(*markers(plan))
    assert_complete(sockets, plan, totals)
