"""64 senders of each Django stack at once: at the gateways' sockets everything arrives once and in order.

test_relay.py does it with the newest stack. The old ones are harder on the gateway: 2.1.1 has lists, asks for the length,
pushes and sets the expiry in three commands on a connection of its own, and drops silently what is above 100 in a list.
"""

import pytest
from harness.django_stack import STACKS, Driver, Project
from harness.gateway import Gateway, config
from harness.layer_senders import LayerSenders, assert_complete, group_names, markers, open_groups, sends_of
from harness.redis_server import RedisServer

SMALL = {"processes": 2, "coroutines": 8, "sends": 40, "groups": 20, "width": 10, "name": "small"}
LARGE = {"processes": 4, "coroutines": 16, "sends": 200, "groups": 200, "width": 20, "name": "large"}
CORE = [pytest.param(stack, id=str(stack)) for stack in STACKS if stack.layer == "core" and stack.serializer == "msgpack"]


@pytest.fixture
def place(request, tmp_path):
    """A Django project of the stack, and two gateways that read its layer."""
    stack = request.param
    with RedisServer() as server:
        project = Project(stack, server.url, tmp_path / "db.sqlite3")
        one, two = (Gateway(server.url, name, config(redis=stack.redis_settings)) for name in ("one", "two"))
        with one, two, Driver(project) as django:
            yield project, (one, two), django


def send_and_check(place, clients, plan):
    project, gateways, django = place
    at_one, at_two = (open_groups(clients, gateway, plan) for gateway in gateways)
    with LayerSenders(project, plan, project.stack.folder / "python") as senders:
        senders.go()
        totals = senders.finish(400)
    django.group_send(*markers(plan))
    for sockets in at_one, at_two:
        assert_complete(sockets, plan, totals)
    for group in group_names(plan):
        assert at_one[group].until('"marker"') == at_two[group].until('"marker"'), f"{group}: two orders"


@pytest.mark.parametrize("place", CORE, indirect=True)
def test_640_sends_of_16_senders_arrive_once_and_in_order(place, clients):
    assert sends_of(SMALL) == 640
    send_and_check(place, clients, SMALL)


@pytest.mark.full
@pytest.mark.timeout(600)
@pytest.mark.parametrize("place", CORE, indirect=True)
def test_12800_sends_of_64_senders_arrive_once_and_in_order(place, clients):
    assert sends_of(LARGE) == 12_800
    send_and_check(place, clients, LARGE)
