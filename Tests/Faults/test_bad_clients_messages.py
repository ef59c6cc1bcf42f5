"""Messages that are not JSON, or odd: S28."""

import json

import pytest
from harness.clients import exactly, frame

pytestmark = pytest.mark.quick

TEXT = 1

NOT_JSON = {
    "10,000 deep": '{"a":' * 10_000 + "1" + "}" * 10_000,
    "64 KiB of brackets": "[" * 65_000,
    "64 KiB of braces": '{"a":' * 13_000,
    "a byte order mark": '\ufeff{"a":1}',
    "a NUL behind it": '{"a":1}\0',
    "a NUL inside a text": '{"a":"\0"}',
    "a line break inside a text": '{"a":"\n"}',
    "a second one behind it": '{"a":1}{"b":2}',
    "a hexadecimal number": '{"a":0x10}',
    "a leading zero": '{"a":01}',
    "single quotes": "{'a':1}",
    "a comma too many": '{"a":1,}',
    "a comment": '{"a":1/*b*/}',
    "an escape that is none": '{"a":"\\x41"}',
    "half an escape": '{"a":"\\u12"}',
    "a list": "[1]",
    "a text": '"a"',
    "a number": "1",
    "null": "null",
    "nothing": "",
    "spaces": "   ",
}
ODD_JSON = {
    "half of a surrogate pair": '{"a":"\\ud800"}',
    "half of a surrogate pair as key": '{"\\udfff":1}',
    "a large exponent": '{"a":1e400}',
    "minus zero": '{"a":-0}',
    "a huge integer": '{"a":' + "9" * 1000 + "}",
    "the same key twice": '{"a":1,"a":2}',
    "an escaped NUL": '{"a":"\\u0000"}',
    "a key that JavaScript knows": '{"__proto__":{"a":1},"constructor":1}',
    "the broker's own entries": '{"__tocsin__":"5f3a90c1.9c01ab23de:1","__asgi_channel__":"x","a":1}',
}
# Made once: masking 64 KiB takes Python longer than all the rest takes the gateway.
FRAMES = {name: frame(TEXT, text.encode()) for name, text in NOT_JSON.items()}
DEEP = '{"a":' * 900 + "1" + "}" * 900


def test_s28_what_is_no_json_object_closes_with_1008_where_one_is_wanted(target, attack):
    """The table has an error first, and closes at the third: here a broken client is closed immediately."""

    def check(data):
        code, reason = target.closed_by(data, "/say/broken")
        assert code == 1008 and reason in ("a message must be a JSON object", "the message was refused")

    attack(FRAMES, check)
    assert not target.store.exists("tocsin:log:broken")


def test_s28_what_is_odd_and_allowed_arrives_as_it_was_written(target):
    with target.socket("/say/odd") as sender, target.socket("/ws/odd") as listener:
        for text in ODD_JSON.values():
            sender.send(frame(TEXT, text.encode()))
            arrived = listener.frame()[1].decode()
            pairs = [pair for pair in exactly(text)[1] if not pair[0].startswith(("__tocsin", "__asgi"))]
            assert [pair for pair in exactly(arrived)[1] if pair[0] != "type"] == pairs
        sender.send(frame(TEXT, DEEP.encode()))
        assert listener.frame()[1].decode() == DEEP[:-1] + ',"type":"receive"}'


def test_s28_what_python_writes_for_no_number_arrives_as_null(target):
    """The table refuses NaN. Django's json.dumps writes it, so it is accepted, and what arrives is valid for every browser."""
    with target.socket("/say/nan") as sender, target.socket("/ws/nan") as listener:
        sender.send(frame(TEXT, b'{"a":NaN,"b":-Infinity}'))
        assert json.loads(listener.frame()[1]) == {"a": None, "b": None, "type": "receive"}


def test_s28_what_is_no_json_closes_with_3501_in_the_centrifuge_protocol(target, attack):
    connect = frame(TEXT, b'{"id":1,"connect":{}}')
    # Empty lines are not commands, and unread escapes do not concern this protocol.
    broken = {name: FRAMES[name] for name, text in NOT_JSON.items() if text.strip() and "ud800" not in text}

    def check(data):
        assert target.closed_by(data, "/open-rooms")[0] == 3501
        assert target.closed_by(connect + data, "/open-rooms")[0] == 3501

    attack(broken, check)
