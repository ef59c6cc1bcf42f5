"""Which messages are for Django's consumers, and which for browsers alone: what ends a consumer is not sent to it.

Channels calls the method that the message's `type` names, and what its layer cannot read or dispatch ends the consumer with
code 1011, and with it the page's connection.
"""

import json

import msgpack
import pytest

from harness.consumers import ADDRESS, consumer


def event(value, **more):
    return {"type": "receive", "x": value, **more}


UNFIT = {
    "msgpack": [r'{"type":"receive","x":"\ud83d"}', r'{"type":"receive","x":"\udd14\ud83d"}', r'{"type":"receive","\ud83d":1}',
                '{"type":"receive","x":18446744073709551616}', '{"type":"receive","x":-9223372036854775809}',
                '{"type":"receive","x":1%s}' % ("0" * 300)],
    "json": [msgpack.packb(event(b"x")), msgpack.packb({**event(1), b"x": 1}), r'{"type":"receive","x":"\ud83d"}'],
}  # fmt: skip


@pytest.mark.parametrize("serializer", UNFIT)
def test_what_the_layer_s_serializer_cannot_say_is_skipped(copy_of, serializer):
    for message in UNFIT[serializer]:
        assert copy_of(message, serializer) is None, message


NO_NAMES = ["{}", '{"x":1}', '{"type":null}', '{"type":1}', '{"type":["receive"]}', '{"type":""}', '{"type":"_a"}',
            '{"type":".a"}', '{"type":"\\u005fa"}', '{"x":{"type":"receive"}}']  # fmt: skip


@pytest.mark.parametrize("serializer", ["msgpack", "json"])
@pytest.mark.parametrize("text", NO_NAMES)
def test_a_type_that_names_no_method_is_skipped_in_either_form(copy_of, text, serializer):
    assert copy_of(text, serializer) is None
    assert copy_of(msgpack.packb(json.loads(text)), serializer) is None


@pytest.mark.parametrize("name", ["websocket.send", "a", "ключ", "a_b", "a b", "x" * 300, "a\0b"])
def test_any_other_type_is_told(copy_of, name):
    for serializer, read in (("msgpack", msgpack.unpackb), ("json", json.loads)):
        for message in json.dumps({"type": name}), msgpack.packb({"type": name}):
            assert read(copy_of(message, serializer))["type"] == name


def test_the_last_of_two_equal_keys_counts_as_in_python(copy_of):
    copy = copy_of('{"x":1,"type":"_no","x":{"y":2},"\\u0074ype":"receive"}')
    assert msgpack.unpackb(copy) == {"x": {"y": 2}, "type": "receive", ADDRESS: [consumer()]}
    assert copy_of('{"type":"receive","\\u0074ype":"_no"}') is None
    copy = copy_of(b"\x84\xa1x\x01\xa4type\xa3_no\xa1x\x02\xa4type\xa7receive", "json")
    assert json.loads(copy) == {"x": 2, "type": "receive", ADDRESS: [consumer()]}
    assert copy_of(b"\x82\xa4type\xa7receive\xa4type\xa3_no", "json") is None


# Found with this file -------------------------------------------------------------------------------------------------


def test_the_last_type_counts_however_its_key_is_packed(copy_of):
    assert copy_of(b"\x82\xa4type\xa7receive\xd9\x04type\xa6_close") is None


@pytest.mark.parametrize("key", [b"\xd9\x04type", b"\xda\x00\x04type", b"\xdb\x00\x00\x00\x04type"])
def test_a_type_whose_key_is_not_packed_shortest_is_told(copy_of, key):
    assert copy_of(b"\x81" + key + b"\xa7receive") is not None


TOO_MUCH_FOR_PYTHON = {
    "5000 digits": '{"type":"receive","x":%s}' % ("1" * 5000),
    "990 deep": '{"type":"receive","x":%s}' % ("[" * 990 + "]" * 990),
    "990 deep, of msgpack": b"\x82\xa4type\xa7receive\xa1x" + b"\x91" * 989 + b"\x90",
}


@pytest.mark.parametrize("name", TOO_MUCH_FOR_PYTHON)
def test_what_python_s_json_cannot_read_is_skipped(copy_of, name):
    copy = copy_of(TOO_MUCH_FOR_PYTHON[name], "json")
    assert copy is None or json.loads(copy)["type"] == "receive"


LONG_BUT_READABLE = {
    "digits in a string": '{"type":"receive","x":"%s"}' % ("1" * 5000),
    "digits of a fraction": '{"type":"receive","x":0.%s}' % ("1" * 5000),
}


@pytest.mark.parametrize("serializer, read", [("msgpack", msgpack.unpackb), ("json", json.loads)])
@pytest.mark.parametrize("name", LONG_BUT_READABLE)
def test_only_an_integer_has_too_many_digits(copy_of, name, serializer, read):
    copy = copy_of(LONG_BUT_READABLE[name], serializer)
    assert copy is not None and read(copy)["x"] == json.loads(LONG_BUT_READABLE[name])["x"]
