"""A message with a position that no gateway can decode is a hole that is reported, live and from the log, in every protocol.

group_send refuses such messages; an older library did not, and anybody with write access to the keys can store one."""

import json

import pytest
from harness.event_stream import EventStreams
from harness.gateway import Gateway, config, tocsin
from harness.http_client import get
from harness.redis_server import LIBRARY
from harness.sdk import Sdk
from redis import ResponseError

KEY = "0123456789abcdef-test-key"
RESYNC = 4510

# Values that exist in msgpack and not in JSON, and invalid JSON.
UNREADABLE = {
    "a number as key": b"\x81\xa1d\x81\x01\xa1x",
    "nil as key": b"\x81\xc0\x01",
    "a timestamp": b"\x81\xa1t\xd6\xff\x00\x00\x00\x01",
    "a str that is not UTF-8": b"\x81\xa1t\xa2\xff\xfe",
    "broken JSON": b'{"n":01}',
}


@pytest.fixture(scope="module")
def gateway(redis_server):
    settings = config(gateway={"admin_key": KEY})
    settings["routes"].append({"path": "/rooms", "protocol": "centrifuge", "may_join": ["*"], "may_see": ["*"]})
    with Gateway(redis_server.url, "one", settings) as gateway:
        yield gateway


@pytest.fixture
def lenient(redis, gateway):
    """Returns lenient(group, message): sends through a library that accepts everything and claims the gateways' own version."""
    own = LIBRARY.read_bytes()
    head = b"local function refuse(message)\n  byte, find = string.byte, string.find\n"
    assert own.count(head) == 1

    def lenient(group, message):
        redis.execute_command("FUNCTION", "LOAD", "REPLACE", own.replace(head, head + b"  do return nil end\n"))
        answer = redis.fcall("group_send", 1, f"asgi:group:{group}", message)
        redis.execute_command("FUNCTION", "LOAD", "REPLACE", own)
        return answer[0].decode()

    return lenient


@pytest.fixture
def send(redis):
    return lambda group, n: redis.fcall("group_send", 1, f"asgi:group:{group}", '{"n":%d}' % n)[0].decode()


@pytest.fixture
def streams():
    with EventStreams() as streams:
        yield streams


def told(events):
    return [json.loads(event.data).get("n", event.name) for event in events]


@pytest.mark.parametrize("name", UNREADABLE)
def test_group_send_refuses_what_no_gateway_could_show(name, redis, gateway, clients):
    (listener,) = clients.open(gateway.url("/ws/refused"))
    with pytest.raises(ResponseError, match="tocsin: the message (has|is)"):
        redis.fcall("group_send", 1, "asgi:group:refused", UNREADABLE[name])
    redis.publish("asgi__group__refused", '{"marker":1}')
    assert listener.until("marker") == []


@pytest.mark.parametrize("name", UNREADABLE)
def test_an_event_stream_is_told_of_a_gap_before_what_follows(name, gateway, streams, lenient, send):
    group = "live-" + name.replace(" ", "-")
    stream = streams.open(gateway, f"/ws/{group}")
    send(group, 1)
    lenient(group, UNREADABLE[name])
    send(group, 3)
    assert told(stream.wait(3)) == [1, "gap", 3]
    assert json.loads(stream.events[1].data) == {"group": group, "reason": "gap"}


def test_nobody_has_to_send_another_one_for_it_to_be_told(gateway, streams, lenient):
    stream = streams.open(gateway, "/ws/last")
    lenient("last", UNREADABLE["a number as key"])
    assert told(stream.wait(1)) == ["gap"]


def test_who_comes_back_is_told_in_its_place_and_only_once(gateway, streams, lenient, send):
    before = send("back", 1)
    send("back", 2)
    for message in UNREADABLE.values():
        lenient("back", message)
    send("back", 8)
    stream = streams.open(gateway, "/ws/back", last_event_id=before)
    assert told(stream.wait(3)) == [2, "gap", 8]
    again = streams.open(gateway, "/ws/back", last_event_id=stream.events[1].id)
    send("back", 9)
    assert told(again.wait(2)) == [8, 9]
    assert told(stream.wait(4)) == [2, "gap", 8, 9]


def test_who_joins_after_it_has_missed_nothing(gateway, streams, clients, lenient, send):
    send("after", 1)
    lenient("after", UNREADABLE["a timestamp"])
    stream = streams.open(gateway, "/ws/after")
    (plain,) = clients.open(gateway.url("/ws/after"))
    send("after", 3)
    assert told(stream.wait(1)) == [3]
    assert plain.wait(1) == ['{"n":3}'] and plain.open


def test_a_plain_client_is_closed_with_resync(gateway, clients, lenient, send):
    (plain,) = clients.open(gateway.url("/ws/plain"))
    send("plain", 1)
    lenient("plain", UNREADABLE["a number as key"])
    assert plain.wait_closed() == RESYNC
    assert plain.messages == ['{"n":1}']


def test_a_centrifuge_client_subscribes_again_and_is_told_that_it_did_not_recover(gateway, lenient, send):
    with Sdk() as sdk:
        room = sdk.connect(gateway.url("/rooms")).subscribe("centrifuge", recoverable=True)
        send("centrifuge", 1)
        room.wait(1)
        lenient("centrifuge", UNREADABLE["a str that is not UTF-8"])
        again = room.wait_subscribed(2)
        assert again.was_recovering and not again.recovered
        send("centrifuge", 3)
        assert [data["n"] for data in room.wait(2)] == [1, 3]


def test_the_api_and_the_history_command_do_not_call_it_resumed(redis_server, gateway, lenient, send):
    since = send("pages", 1)
    lenient("pages", UNREADABLE["nil as key"])
    send("pages", 3)
    headers = {"Authorization": f"Bearer {KEY}"}
    page = get(gateway.admin_port, f"/v1/groups/pages/messages?since={since}", headers=headers).json
    assert page["continuity"] == "gap"
    assert [message["message"]["n"] for message in page["messages"]] == [3]
    done = tocsin("history", "pages", "--since", since, "--redis", redis_server.url)
    assert "continuity: gap" in done.stderr and '{"n":3}' in done.stdout
