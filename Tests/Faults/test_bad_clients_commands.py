"""Invalid commands of the centrifuge protocol: that part of S28, S29, S30."""

import pytest
from harness.clients import frame

from .bench.bad_client import MARK
from .bench.commands import Commands

pytestmark = pytest.mark.quick

TEXT = 1
BAD, UNKNOWN, UNAVAILABLE = 107, 104, 108
SHAPES = {
    "no channel": (BAD, {"subscribe": {}}),
    "null": (BAD, {"subscribe": {"channel": None}}),
    "a number": (BAD, {"subscribe": {"channel": 1}}),
    "a list": (BAD, {"subscribe": {"channel": ["room.a"]}}),
    "an object": (BAD, {"subscribe": {"channel": {"a": 1}}}),
    "an empty name": (BAD, {"subscribe": {"channel": ""}}),
    "a command that is no object": (UNKNOWN, {"subscribe": "room.a"}),
    "nothing to publish": (BAD, {"publish": {"channel": "room.open.a"}}),
    "publish a list": (BAD, {"publish": {"channel": "room.open.a", "data": [1]}}),
    "publish null": (BAD, {"publish": {"channel": "room.open.a", "data": None}}),
    "history of nothing": (BAD, {"history": {"limit": -1}}),
    "presence of a number": (BAD, {"presence": {"channel": 7}}),
    "a command that nobody knows": (UNKNOWN, {"sudo": {}}),
    "a call": (UNKNOWN, {"rpc": {"method": "x"}}),
    "a token of a subscription": (UNAVAILABLE, {"sub_refresh": {"channel": "room.a", "token": MARK}}),
}


def test_s29_commands_of_the_wrong_shape_are_errors_and_the_connection_stays(target, attack):
    def action():
        with Commands(target, sub="shapes") as client:
            for number, (name, (code, command)) in enumerate(SHAPES.items(), 2):
                error = client.ask({"id": number, **command})["error"]
                assert (name, error["code"]) == (name, code) and MARK not in error["message"]

    attack.once(action)


def test_s28_half_of_a_surrogate_pair_is_published_as_it_is(target):
    """A loophole of JSON: browsers write it for text that they have cut, and accept it."""
    with Commands(target, sub="shapes") as client:
        client.socket.send(frame(TEXT, b'{"id":2,"publish":{"channel":"room.open.a","data":{"a":"\\ud800"}}}'))
        assert client.reply(2) == {"id": 2, "publish": {}}


def test_s28_what_redis_refuses_to_keep_is_a_bad_request(target):
    target.store.set("tocsin:pos:room.open.refused", "not a hash")
    with Commands(target, sub="shapes") as client:
        answer = client.ask({"id": 2, "publish": {"channel": "room.open.refused", "data": {"a": 1}}})
        assert answer["error"] == {"code": BAD, "message": "bad request"}
    target.store.delete("tocsin:pos:room.open.refused")


def test_s29_fields_that_nobody_asked_for_are_ignored(target):
    with Commands(target) as client:
        assert "subscribe" in client.ask({"id": 2, "subscribe": {"channel": "room.a", "admin": True, "": [[]]}, "x": {"y": 1}})


IDS = {
    "missing": '{"subscribe":{"channel":"room.a"}}',
    "null": '{"id":null,"subscribe":{"channel":"room.a"}}',
    "a text": '{"id":"1","subscribe":{"channel":"room.a"}}',
    "negative": '{"id":-1,"subscribe":{"channel":"room.a"}}',
    "a fraction": '{"id":1.5,"subscribe":{"channel":"room.a"}}',
    "zero": '{"id":0,"subscribe":{"channel":"room.a"}}',
    "60,000 digits": '{"id":%s,"subscribe":{"channel":"room.a"}}' % ("9" * 60_000),
}


def test_s30_a_command_without_a_number_closes_with_3501(target, attack):
    connect = frame(TEXT, b'{"id":1,"connect":{}}')

    def check(data):
        assert target.closed_by(data, "/open-rooms")[0] == 3501

    attack({name: connect + frame(TEXT, text.encode()) for name, text in IDS.items()}, check)


def test_s30_a_number_that_comes_twice_is_answered_twice(target):
    with Commands(target) as client:
        client.say({"id": 7, "ping": {}}, {"id": 7, "ping": {}})
        assert client.reply(7) == client.reply(7) == {"id": 7, "ping": {}}
        assert "subscribe" in client.ask({"id": 7, "subscribe": {"channel": "room.a"}})
        assert client.ask({"id": 7, "subscribe": {"channel": "room.a"}})["error"]["code"] == 105
