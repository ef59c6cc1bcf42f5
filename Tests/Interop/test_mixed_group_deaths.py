"""The group of test_mixed_group.py while a gateway and then Daphne are killed, in the middle of what is being sent.

Who stays connected gets everything once and in order. Who was cut gets everything after it came back, and with a cursor
what was sent meanwhile too. Nobody gets a message twice, and no consumer ends by itself (1011).
"""

from types import SimpleNamespace

import pytest
from harness.clients import Clients
from harness.django_stack import NEWEST, Daphne, Driver, Project, Stack
from harness.event_stream import EventStreams
from harness.gateway import Gateway, config
from harness.mixed_group import DJANGO, Senders, Tally, numbers_by_sender
from harness.names import live_channel
from harness.redis_server import RedisServer
from harness.sdk import Sdk
from harness.waiting import wait_until

PATH = "/users/isinsufficient"
USER = "mortal"
GROUP = f"{USER}isInsufficient"
PLAIN, CENTRIFUGE = f"/ws/{GROUP}", f"/server/{GROUP}"
CUT = 1006


def settings():
    route = {"protocol": "centrifuge", "path": "/server/{room}", "groups": ["{room}"]}
    return config(routes=[*config()["routes"], route], groups=[{"match": "*", "history": {"size": 100_000}}])


@pytest.fixture(params=["core", "pubsub"])
def place(request, tmp_path):
    """Daphne, two gateways and the four senders; `layer` says which layer Django's is."""
    with RedisServer() as server:
        project = Project(Stack(NEWEST, request.param), server.url, tmp_path / "db.sqlite3")
        project.migrate()
        one, two = (Gateway(server.url, name, settings()) for name in ("one", "two"))
        with Daphne(project) as daphne, Driver(project) as django, one, two:
            with Senders(GROUP, server, django, [one, two]) as senders:
                yield SimpleNamespace(
                    layer=request.param, redis=server.client(), daphne=daphne, one=one, two=two, senders=senders)


class Crowd:
    """Sockets at all three, and event streams and centrifuge clients at both gateways."""

    def __init__(self, place, count, clients, streams, sdk):
        self.place, self.count, self.clients, self.streams_of, self.senders = place, count, clients, streams, place.senders
        self.gateways = [place.one, place.two]
        self.at_daphne = self.open_at_daphne()
        self.at_one, self.at_two = (self.open_at(gateway) for gateway in self.gateways)
        self.streams = [[streams.open(gateway, PLAIN)] for gateway in self.gateways for _ in range(max(2, count // 5))]
        self.sdk_clients = [
            sdk.connect(gateway.url(CENTRIFUGE)) for gateway in self.gateways for _ in range(max(2, count // 5))]
        self.listeners = [*self.at_daphne, *self.at_one, *self.at_two]
        self.since = {}  # what each group of sockets that came back is due, by sender

    def open_at(self, gateway):
        return self.clients.open(gateway.url(PLAIN), count=self.count // 2, timeout=60)

    def open_at_daphne(self):
        cookie = self.place.daphne.login(USER)
        before = self.listening()
        sockets = self.clients.open(self.place.daphne.url(PATH), count=self.count, cookie=cookie, timeout=60)
        if self.place.layer == "pubsub":  # its group_add returns before Redis has the subscription
            wait_until(lambda: self.listening() > before)
        return sockets

    def listening(self):
        return self.place.redis.pubsub_numsub(live_channel(GROUP))[0][1]

    def half_of_a_round(self):
        heard = self.clients.heard
        self.clients.wait_for(lambda: self.clients.heard > heard + 2 * self.count, 60)

    def assert_cut(self, sockets):
        assert {socket.wait_closed() for socket in sockets} == {CUT}

    def come_back(self, name, open_again):
        sockets = open_again()
        self.since[name] = dict(self.senders.started)
        self.listeners += sockets
        return sockets


def the_gateway_dies_and_returns(crowd, go_on):
    place = crowd.place
    crowd.senders.gateways = [place.two]
    go_on(1)
    crowd.half_of_a_round()
    place.one.kill()
    crowd.assert_cut(crowd.at_one)
    go_on(2)
    place.one.start()
    crowd.at_one_again = crowd.come_back("one", lambda: crowd.open_at(place.one))
    for parts in crowd.streams:
        if not parts[0].open:
            parts.append(crowd.streams_of.open(place.one, PLAIN, last_event_id=parts[0].last_event_id))
    crowd.senders.gateways = crowd.gateways
    go_on(2)


def daphne_dies_and_returns(crowd, go_on):
    daphne = crowd.place.daphne
    crowd.half_of_a_round()
    daphne.kill()
    crowd.assert_cut(crowd.at_daphne)
    go_on(1)
    daphne.start()
    crowd.at_daphne_again = crowd.come_back("daphne", crowd.open_at_daphne)
    go_on(2)


def live_through_both_deaths(crowd, rounds, burst, commands):
    with crowd.senders.steadily(burst, commands, lambda: list(crowd.listeners)) as go_on:
        go_on(rounds)
        the_gateway_dies_and_returns(crowd, go_on)
        go_on(rounds)
        daphne_dies_and_returns(crowd, go_on)
        go_on(rounds)
    crowd.senders.round(1, 1, crowd.listeners)  # what came twice came before these


def tally_of_sockets(crowd, sockets, back=None, name=None):
    """back: of those that were cut, the sockets with which they came back."""
    total, sent = Tally(), crowd.senders.started
    for number, socket in enumerate(sockets):
        heard = numbers_by_sender(socket.messages)
        for sender in sent:
            before = heard.get(sender, [])
            if back:
                after = numbers_by_sender(back[number].messages).get(sender, [])
                total.add_two(before, after, crowd.since[name][sender], sent[sender])
            else:
                total.add(before, 0, sent[sender])
    assert all(socket.open for socket in back or sockets), {socket.close_code for socket in back or sockets}
    return total


def tally_of_cursors(crowd, all_heard):
    """What Django publishes on its pub/sub layer has no position: who was away does not get it."""
    total, sent = Tally(), crowd.senders.started
    for messages in all_heard:
        heard = numbers_by_sender(messages)
        for sender in sent:
            may_miss = sender == DJANGO and crowd.place.layer == "pubsub"
            total.add(heard.get(sender, []), 0, sent[sender], may_miss)
    return total


def judge(crowd):
    senders, channels = crowd.senders, [client.channel(GROUP) for client in crowd.sdk_clients]
    for socket in *crowd.at_two, *crowd.at_one_again, *crowd.at_daphne_again:
        crowd.clients.wait_for(lambda socket=socket: senders.has_last(socket.messages), 30)
    for parts in crowd.streams:
        parts[-1].wait_for(lambda parts=parts: senders.has_last(parts[-1].data), 30)
    for channel in channels:
        channel._sdk.wait_for(lambda channel=channel: senders.has_last(channel.data), 30)
    reconnected = [client for client in crowd.sdk_clients if len(client.connected) == 2]
    assert len(reconnected) == len(crowd.sdk_clients) // 2
    assert all(client.channel(GROUP).wait_subscribed(2).recovered for client in reconnected)
    assert sum(len(parts) == 2 for parts in crowd.streams) == len(crowd.streams) // 2
    verdicts = {
        "stayed at two": tally_of_sockets(crowd, crowd.at_two),
        "cut at one": tally_of_sockets(crowd, crowd.at_one, crowd.at_one_again, "one"),
        "cut at Daphne": tally_of_sockets(crowd, crowd.at_daphne, crowd.at_daphne_again, "daphne"),
        "event streams": tally_of_cursors(crowd, [[d for part in parts for d in part.data] for parts in crowd.streams]),
        "centrifuge": tally_of_cursors(crowd, [channel.data for channel in channels]),
    }
    for name, total in verdicts.items():
        print(f"{crowd.place.layer}, {name}: {total}")
    print(f"sent: {crowd.senders.started}")
    assert all(total.is_clean for total in verdicts.values()), verdicts
    assert not any(socket.close_code == 1011 for socket in crowd.clients.sockets)


def live_and_judge(place, count, rounds, burst, commands):
    with Clients() as clients, EventStreams() as streams, Sdk() as sdk:
        crowd = Crowd(place, count, clients, streams, sdk)
        live_through_both_deaths(crowd, rounds, burst, commands)
        judge(crowd)


def test_a_small_group_outlives_a_gateway_and_daphne(place):
    live_and_judge(place, count=6, rounds=1, burst=10, commands=1)


@pytest.mark.full
@pytest.mark.timeout(1200)
def test_a_group_of_a_hundred_outlives_a_gateway_and_daphne(place):
    live_and_judge(place, count=50, rounds=20, burst=12, commands=2)
