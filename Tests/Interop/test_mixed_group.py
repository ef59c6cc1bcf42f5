"""One group with sockets on Daphne and on two gateways, and four kinds of senders at the same time.

Every socket gets each message once, and the messages of each sender in their order. The small variant runs always, the
one at full scale with `-m full`. Senders wait for the sockets after every few messages: what exceeds the capacity of
Daphne's own layer is dropped by Django, and would tell nothing about us.
"""

import json

import pytest
from harness.django_stack import NEWEST, STACKS, Stack
from harness.gateway import Gateway, config
from harness.mixed_group import COMMAND, DJANGO, HTTP, REDIS_CLI, Senders, Tally, numbers_by_sender
from harness.stack_fixtures import daphne, django, each_stack, project, redis_server, stack  # noqa: F401

PATH = "/users/isinsufficient"


newest = each_stack([Stack(NEWEST, "core"), Stack(NEWEST, "pubsub")])


@pytest.fixture(scope="module")
def gateways(stack, redis_server, daphne):
    settings = config(daphne.port, redis=stack.redis_settings)
    one, two = (Gateway(redis_server.url, name, settings) for name in ("one", "two"))
    with one, two:
        yield [one, two]


@pytest.fixture
def mixed(clients, redis_server, daphne, django, gateways):
    """mixed(user, count) → the senders, `count` sockets of the user on Daphne, and `count` on the two gateways together"""
    opened = []

    def mixed(user, count):
        cookie = daphne.login(user)
        theirs = clients.open(daphne.url(PATH), count=count, cookie=cookie, timeout=60)
        ours = [
            socket
            for gateway in gateways
            for socket in clients.open(gateway.url(PATH), count=count // 2, cookie=cookie, at_once=8, timeout=60)
        ]
        senders = Senders(f"{user}isInsufficient", redis_server, django, gateways)
        opened.append(senders)
        return senders, theirs, ours

    yield mixed
    for senders in opened:
        senders.__exit__()


def tally(sockets, sent):
    total = Tally()
    for socket in sockets:
        assert socket.open, f"a socket ended with {socket.close_code}"
        heard = numbers_by_sender(socket.messages)
        for sender, count in sent.items():
            total.add(heard.get(sender, []), 0, count)
    return total


def send_in_rounds(mixed, user, count, messages, commands, rounds):
    senders, theirs, ours = mixed(user, count)
    for _ in range(rounds):
        senders.round(messages // rounds, commands // rounds, [*theirs, *ours])
    sent = dict(senders.started)
    senders.round(1, 1, [*theirs, *ours])  # a message that came twice came before these
    assert sent == {DJANGO: messages, HTTP: messages, REDIS_CLI: messages + rounds, COMMAND: commands}
    sent = {sender: number + 1 for sender, number in sent.items()}
    sent[REDIS_CLI] += 1
    for socket in *theirs, *ours:
        socket._clients.wait_for(lambda socket=socket: senders.has_last(socket.messages), 30, "the last messages")
    for name, sockets in (("Daphne", theirs), ("gateways", ours)):
        total = tally(sockets, sent)
        print(f"{name}, {len(sockets)} sockets: {total}")
        assert total.is_clean, f"at {name}: {total}"
        assert total.heard == len(sockets) * sum(sent.values())
    orders = {tuple((m["sender"], m["number"]) for m in map(json.loads, socket.messages)) for socket in ours}
    assert len(orders) == 1, "two gateways show two orders"
    (order,) = orders
    assert len({sender for sender, _ in order[: len(order) // 4]}) == 4, "the senders did not send at the same time"


@newest
def test_ten_sockets_on_each_side_hear_each_sender_once_and_in_order(mixed):
    send_in_rounds(mixed, "small", count=10, messages=100, commands=8, rounds=4)


@newest
@pytest.mark.full
@pytest.mark.timeout(1200)
def test_fifty_sockets_on_each_side_hear_a_thousand_messages_of_each_sender(mixed):
    send_in_rounds(mixed, "large", count=50, messages=1000, commands=100, rounds=50)


@each_stack([stack for stack in STACKS if stack.version != NEWEST or stack.serializer != "msgpack"])
@pytest.mark.full
def test_four_sockets_on_each_side_of_every_other_stack(mixed):
    """Few, because channels_redis 2.1.1 counts a message for each of its sockets towards the capacity of 100."""
    send_in_rounds(mixed, "other", count=4, messages=100, commands=20, rounds=20)
