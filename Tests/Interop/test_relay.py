"""The relay: what 64 concurrent Django senders put into the core layer's inboxes reaches every socket once, in order."""

import json

import pytest
from harness.django_site import DjangoSite
from harness.gateway import Gateway, config
from harness.layer_senders import LayerSenders, expected, group_names

PLAN = {"processes": 4, "coroutines": 16, "sends": 200, "groups": 200, "width": 20}
SENDS = 12_800


@pytest.fixture
def gateways(redis_server):
    with Gateway(redis_server.url, "one", config()) as one, Gateway(redis_server.url, "two", config()) as two:
        yield one, two


@pytest.fixture
def site(redis_server, site_database):
    """Not a server: only the settings of its sender processes, RedisChannelLayer with its default capacity."""
    return DjangoSite(redis_server.url, "core", database=site_database)


def open_groups(clients, gateway, plan):
    """Opens one socket per group on one gateway."""
    return dict(zip(group_names(plan), clients.open(*(gateway.url(f"/ws/{group}") for group in group_names(plan)))))


def send_markers(site, plan):
    """Sends the last message of each group from another Django process: what has not arrived before it is lost."""
    site.group_send(*((group, {"type": "receive", "marker": group}) for group in group_names(plan)))


def assert_complete(sockets, plan, totals):
    """Each group has received every number of each sender once, in sending order."""
    table = expected(plan)
    assert sum(len(numbers) for senders in table.values() for numbers in senders.values()) == SENDS
    assert totals == {"sent": SENDS, "over_capacity": 0}
    wrong = {}
    for group, socket in sockets.items():
        heard: dict[int, list[int]] = {}
        for message in map(json.loads, socket.until('"marker"', timeout=30)):
            heard.setdefault(message["sender"], []).append(message["number"])
        for sender in table[group].keys() | heard.keys():
            if heard.get(sender) != table[group].get(sender):
                wrong[group, sender] = (heard.get(sender), table[group].get(sender))
    assert not wrong, f"{len(wrong)} sequences differ (heard, sent), for example {dict(list(wrong.items())[:3])}"


def test_12800_sends_of_64_django_senders_arrive_once_and_in_order(clients, gateways, site):
    plan = {**PLAN, "name": "relay"}
    at_one, at_two = (open_groups(clients, gateway, plan) for gateway in gateways)
    with LayerSenders(site, plan) as senders:
        senders.go()
        totals = senders.finish()
    send_markers(site, plan)
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
    send_markers(site, plan)
    assert_complete(sockets, plan, totals)
