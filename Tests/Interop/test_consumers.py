"""What is sent here reaches consumers that Daphne holds, on either layer, and never ends one."""

import json
import subprocess

import pytest
from harness.clients import exactly
from harness.django_site import DjangoSite
from harness.gateway import Gateway, binary, config
from harness.http_client import request
from harness.waiting import wait_until

PATH = "/users/isinsufficient"
GROUP = "{}isInsufficient"


@pytest.fixture(scope="module", params=["core", "pubsub"])
def layer(request):
    return request.param


@pytest.fixture(scope="module")
def daphne(redis_server, site_database, layer):
    with DjangoSite(redis_server.url, layer, asgi=True, database=site_database) as daphne:
        yield daphne


@pytest.fixture(scope="module")
def gateway(redis_server, daphne):
    with Gateway(redis_server.url, "one", config(daphne.port)) as gateway:
        yield gateway


@pytest.fixture
def both(clients, daphne, gateway):
    """both(user) → the user's socket at Daphne, and the one here"""

    def both(user):
        cookie = daphne.login(user)
        (theirs,) = clients.open(daphne.url(PATH), cookie=cookie)
        (ours,) = clients.open(gateway.url(PATH), cookie=cookie)
        return theirs, ours

    return both


@pytest.fixture
def send(redis_server):
    """send(group, text) → the answer of FCALL group_send from a client of another language"""
    client = redis_server.client()
    return lambda group, text, *options: client.fcall("group_send", 1, f"asgi:group:{group}", text, *options)


def event(balance):
    return json.dumps({"type": "receive", "isInsufficient:": True, "balance": balance})


def bare(text):
    """A consumer of the pub/sub layer sees the entry that keeps gateways from showing its copy."""
    message = json.loads(text)
    message.pop("__tocsin__", None)
    return message


def test_a_message_from_redis_cli_reaches_the_consumer_and_the_gateway_s_browser(both, send):
    theirs, ours = both(61)
    answer = send(GROUP.format(61), event(12.5))
    assert answer[1:] == [1, 1, 0]
    assert bare(theirs.wait(1)[0]) == json.loads(event(12.5))
    assert exactly(ours.wait(1)[0]) == exactly(event(12.5))


def test_numbers_and_text_arrive_as_they_were_sent(both, send):
    theirs, ours = both(62)
    sent = {"type": "receive", "n": [0, -1, 2**53 + 1, 2**63 - 1, -(2**63), 2**64 - 1], "x": [12.0, 1e-7, -0.0, 1e300],
            "text": "ключ 🔔 \"\\/\n\u2028", "nothing": None, "yes": True, "deep": [[{"a": []}]]}
    send(GROUP.format(62), json.dumps(sent))
    send(GROUP.format(62), json.dumps(sent, ensure_ascii=False, indent=1))
    for text in theirs.wait(2):
        assert bare(text) == sent and repr(bare(text)) == repr(sent)
    for text in ours.wait(2):
        assert exactly(text) == exactly(json.dumps(sent))


UNFIT = {
    "no type": '{"balance":1}', "a type that is no text": '{"type":5}', "an underscore in front": '{"type":"_close"}',
    "a dot in front": '{"type":".close"}', "an empty type": '{"type":""}', "half an emoji": '{"type":"receive","x":"\\ud83d"}',
    "more than 64 bits": '{"type":"receive","n":18446744073709551616}',
}


@pytest.mark.parametrize("name", UNFIT)
def test_what_is_no_message_for_a_consumer_is_for_browsers_only_and_ends_nobody(both, send, name):
    theirs, ours = both(63)
    answer = send(GROUP.format(63), UNFIT[name])
    assert answer[1:] == [1, 0, 1]
    send(GROUP.format(63), event(0.25))
    assert bare(theirs.wait(1)[0]) == json.loads(event(0.25)), "and nothing before it"
    assert json.loads(ours.wait(2)[1])["balance"] == 0.25


ENDS_CONSUMERS = {
    "another type behind a key that is not packed shortest": b"\x82\xa4type\xa7receive\xd9\x04type\xa6_close",
    "990 deep: json.dumps of the consumer raises RecursionError": '{"type":"receive","x":%s}' % ("[" * 990 + "]" * 990),
}


@pytest.mark.parametrize("name", ENDS_CONSUMERS)
def test_odd_messages_for_browsers_end_no_consumer_either(both, send, clients, name):
    theirs, _ = both(66)
    send(GROUP.format(66), ENDS_CONSUMERS[name])
    send(GROUP.format(66), event(0.25))
    clients.wait_for(lambda: not theirs.open or any("0.25" in text for text in theirs.messages))
    assert theirs.open, theirs.close_code


def test_http_and_the_command_say_how_many_consumers_were_told(both, gateway, redis_server):
    theirs, ours = both(64)
    answer = request(gateway.admin_port, "POST", f"/v1/groups/{GROUP.format(64)}/messages", event(1.5),
                     {"Content-Type": "application/json"})
    assert answer.status == 201 and answer.json["consumers"] == {"told": 1, "skipped": 0}
    done = subprocess.run([binary(), "send", GROUP.format(64), event(2.5), "--redis", redis_server.url],
                          capture_output=True, text=True, timeout=20)
    assert "1 gateway  1 of 1 Django consumers" in done.stdout, done
    assert [bare(text)["balance"] for text in theirs.wait(2)] == [1.5, 2.5]
    assert [json.loads(text)["balance"] for text in ours.wait(2)] == [1.5, 2.5]


def test_a_group_without_consumers_is_answered_as_before(clients, gateway, send):
    (socket,) = clients.open(gateway.url("/ws/alone"))
    sent = '{ "balance" :  1.50e0 }'
    assert len(send("alone", sent)) == 2
    assert json.loads(socket.wait(1)[0]) == {"balance": 1.5}


def test_a_thousand_messages_of_all_senders_come_once_and_in_order(both, send, daphne, gateway):
    theirs, ours = both(65)
    group = GROUP.format(65)
    for n in range(0, 300, 3):
        send(group, json.dumps({"type": "receive", "n": n}))
        send(group, json.dumps({"type": "receive", "n": n + 1}))
        send(group, json.dumps({"type": "receive", "n": n + 2}))
        if n % 60 == 0:
            wait_until(lambda: len(theirs.messages) >= n)
    assert [bare(text)["n"] for text in theirs.wait(300)] == list(range(300))
    assert [json.loads(text)["n"] for text in ours.wait(300)] == list(range(300))


def test_django_s_send_to_the_channel_that_who_shows_arrives(clients, daphne, gateway, layer, redis_server):
    (socket,) = clients.open(gateway.url("/ws/direct"))
    members = request(gateway.admin_port, "GET", "/v1/groups/direct/members").json["members"]
    [channel] = [member["channel"] for member in members]
    if layer == "core":
        daphne.python(
            "from asgiref.sync import async_to_sync; from channels.layers import get_channel_layer\n"
            f"async_to_sync(get_channel_layer().send)({channel!r}, {{'type': 'reply', 'x': 1.5}})")
        assert exactly(socket.wait(1)[0]) == exactly('{"type":"reply","x":1.5}')
    redis_server.client().fcall("channel_send", 1, f"asgi:channel:{channel}", '{"x":2}')
    answer = request(gateway.admin_port, "POST", f"/v1/channels/{channel}/messages", '{"x":3}',
                     {"Content-Type": "application/json"})
    assert answer.status == 201 and answer.json == {"channel": channel, "sent": True}
    assert [json.loads(text)["x"] for text in socket.wait(3 if layer == "core" else 2)][-2:] == [2, 3]
