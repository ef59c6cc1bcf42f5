"""What a consumer of Django finds in its inbox is what Python's msgpack or json would have written.

A message comes in either serializer, and the layer has either: msgpack made of JSON is compared byte by byte, JSON made of
msgpack by its value, in which 12 and 12.0, 0.0 and -0.0 differ.
"""

import base64
import json
import math
import random
import struct

import msgpack
import pytest

from harness.clients import exactly
from harness.consumers import ADDRESS, consumer

INTEGERS = sorted(
    {sign * (2**bits + step) for bits in (*range(0, 64), 53, 63) for step in (-1, 0, 1) for sign in (1, -1)}
    | {0, 2**64 - 1, 2**64 - 2, -(2**63)}
)
INTEGERS = [number for number in INTEGERS if -(2**63) <= number < 2**64]
FLOATS = [0.0, -0.0, 12.0, 0.1, 1e-7, 1e15, 1e16, 1e21, 1e22, 123456789012345680.0, 2.0**53, 2.0**64, 5e-324, -5e-324,
          2.2250738585072014e-308, 1.7976931348623157e308, -1e300, 1 / 3, math.pi, 9007199254740993.0]  # fmt: skip
CHARACTERS = ["a", "~", " ", '"', "\\", "/", "\b", "\f", "\n", "\r", "\t", "\0", "\x1f", "\x7f", "\x80", "é", "߿", "ࠀ", "日",
              "\u2028", "\ufeff", "\uffff", "\ud7ff", "\ue000", "𐀀", "🔔", "\U0010ffff"]  # fmt: skip
LENGTHS = [0, 1, 15, 31, 32, 33, 255, 256, 65535, 65536]


@pytest.fixture
def assert_packed(copy_of):
    """assert_packed(text): of a JSON text, what msgpack would have written for the value that json reads in it"""

    def assert_packed(text, why=None):
        copy = copy_of(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
        assert copy == msgpack.packb({**json.loads(text), ADDRESS: [consumer()]}), why or text[:200]

    return assert_packed


@pytest.fixture
def assert_written(copy_of):
    """assert_written(value): packed as msgpack, it is JSON in which json reads the same value"""

    def assert_written(value, why=None, packed=None):
        copy = copy_of(packed or msgpack.packb(value), "json")
        assert exactly(copy.decode()) == exactly(json.dumps({**value, ADDRESS: [consumer()]})), why or repr(value)[:200]

    return assert_written


def event(value, **more):
    return {"type": "receive", "x": value, **more}


GOLDEN = {  # captured from msgpack 1.1
    "null": "wA==", "true": "ww==", "false": "wg==", "0": "AA==", "127": "fw==", "128": "zIA=", "255": "zP8=",
    "256": "zQEA", "65535": "zf//", "65536": "zgABAAA=", "4294967295": "zv////8=", "4294967296": "zwAAAAEAAAAA",
    "9223372036854775807": "z3//////////", "9223372036854775808": "z4AAAAAAAAAA", "18446744073709551615": "z///////////",
    "-1": "/w==", "-32": "4A==", "-33": "0N8=", "-128": "0IA=", "-129": "0f9/", "-32768": "0YAA", "-32769": "0v//f/8=",
    "-2147483648": "0oAAAAA=", "-2147483649": "0/////9/////", "-9223372036854775808": "04AAAAAAAAAA",
    "0.0": "ywAAAAAAAAAA", "-0.0": "y4AAAAAAAAAA", "12.5": "y0ApAAAAAAAA", "0.1": "yz+5mZmZmZma", "1e+300": "y3435DyIAHWc",
    '""': "oA==", '"Zo\\u00eb \\ud83d\\ude00"': "qVpvw6sg8J+YgA==", '"' + "a" * 32 + '"': "2SBhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYQ==",
    "[]": "kA==", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]": "nwEBAQEBAQEBAQEBAQEBAQ==",
    "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]": "3AAQAQEBAQEBAQEBAQEBAQEBAQ==", "{}": "gA==",
    '{"type": "receive", "isInsufficient:": true, "balance": 12.5}':
        "g6R0eXBlp3JlY2VpdmWvaXNJbnN1ZmZpY2llbnQ6w6diYWxhbmNly0ApAAAAAAAA",
}  # fmt: skip


@pytest.mark.parametrize("text", GOLDEN)
def test_a_value_has_the_bytes_that_channels_redis_sends(copy_of, text):
    copy = copy_of('{"type": "receive", "x": %s}' % text)
    head, address = b"\x83\xa4type\xa7receive\xa1x", b"\xb0" + ADDRESS.encode() + b"\x91\xd9J" + consumer().encode()
    assert copy == head + base64.b64decode(GOLDEN[text]) + address


def test_integers_of_all_widths(assert_packed, assert_written):
    assert_packed(json.dumps(event(INTEGERS)))
    assert_written(event(INTEGERS))
    assert_packed('{"type":"receive","x":[-0, 0, 100000000000000, 999999999999999, 1000000000000000, -999999999999999]}')


def test_floats_keep_every_bit(assert_packed, assert_written):
    assert_packed(json.dumps(event(FLOATS)))
    assert_packed('{"type":"receive","x":[1E5, 1e+5, 1e-400, 1e400, -1e400, 0.1e1, 1.0000000000000000000001, 0e0, -0e-0]}')
    assert_written(event(FLOATS))
    singles = [b"\xca" + struct.pack(">f", x) for x in (0.1, -0.0, 1e-45, 3.4028234663852886e38, 12.5)]
    packed = b"\x82\xa4type\xa7receive\xa1x\x95" + b"".join(singles)
    assert_written(msgpack.unpackb(packed), packed=packed)
    assert_written(event([math.inf, -math.inf]))


def test_not_a_number_is_written_as_python_does(copy_of):
    assert b'"x": NaN,' in copy_of(msgpack.packb(event(math.nan)), "json")


@pytest.mark.parametrize("length", LENGTHS)
def test_strings_of_all_length_classes(assert_packed, assert_written, length):
    for character in "a", "é", "日":
        text = (character * length).encode()[:length].decode(errors="ignore")
        text += "." * (length - len(text.encode()))
        for as_key in {}, {text: 1}:
            assert_packed(json.dumps(event(text, **as_key), ensure_ascii=False))
            assert_written(event(text, **as_key))


def test_every_kind_of_character_escaped_or_not(assert_packed, assert_written):
    for value in (*CHARACTERS, "".join(CHARACTERS), [character * 2 for character in CHARACTERS]):
        message = event(value, **{"".join(value): 1})
        assert_packed(json.dumps(message))
        assert_packed(json.dumps(message, ensure_ascii=False))
        assert_written(message)
    assert_packed(r'{"type":"receive","x":"\"\\\/\b\f\n\r\t\u0000\u00e9\uD83D\uDD14\\ud83d\\\ud83d\udd14\\"}')


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 65_535, 65_536])
def test_lists_and_objects_of_all_length_classes(assert_packed, assert_written, count):
    many, named = [0] * count, {f"{number:x}": number % 100 for number in range(count)}
    for message in event(many), event(named), {"type": "receive", **named}:
        assert_packed(json.dumps(message, separators=(",", ":")))
        assert_written(message)


def test_200_deep(assert_packed, assert_written):
    assert_packed('{"type":"receive","x":' + "[" * 199 + "]" * 199 + "}")
    assert_packed('{"type":"receive","x":' + '{"a":[' * 99 + "]}" * 99 + "}")
    value = []
    for _ in range(99):
        value = [{"a": value}]
    assert_written(event(value))


def test_spaces_of_all_kinds_in_all_places(assert_packed):
    assert_packed('\r\n\t {\n"type" :\t"receive" ,"x": [ ] ,"y" : [ 1 , { } ] , "z":{ "a" :\r1 } }\n ')


def tree(rng, depth=0):
    kind = rng.randrange(9 if depth < 5 else 7)
    if kind == 0:
        return rng.choice([None, True, False])
    if kind <= 2:
        size = rng.randrange(65)
        return rng.choice([rng.choice(INTEGERS), rng.getrandbits(size), -rng.getrandbits(min(size, 63))])
    if kind == 3:
        any_bits = struct.unpack(">d", rng.randbytes(8))[0]
        return rng.choice([rng.choice(FLOATS), round(rng.uniform(-1e6, 1e6), 2), any_bits if math.isfinite(any_bits) else 0.5])
    if kind <= 6:
        return "".join(rng.choices(CHARACTERS, k=rng.choice([0, 1, 2, 5, 15, 40, 130])))
    if kind == 7:
        return [tree(rng, depth + 1) for _ in range(rng.choice([0, 1, 2, 3, 16, 17]))]
    return {tree_key(rng): tree(rng, depth + 1) for _ in range(rng.choice([0, 1, 2, 3, 15, 16]))}


def tree_key(rng):
    return "".join(rng.choices(CHARACTERS, k=rng.randrange(8)))


@pytest.mark.parametrize("first", range(0, 500, 50))
def test_random_trees(assert_packed, assert_written, first):
    for seed in range(first, first + 50):
        rng = random.Random(seed)
        message = {**{tree_key(rng): tree(rng) for _ in range(rng.randrange(5))}, "type": "receive", "x": tree(rng)}
        form = {"ensure_ascii": rng.random() < 0.5, "indent": rng.choice([None, None, 0, 3])}
        if len(json.dumps(message, **form).encode()) < 1_000_000:
            assert_packed(json.dumps(message, **form), f"seed {seed}")
            assert_written(message, f"seed {seed}")


@pytest.mark.parametrize("serializer", ["msgpack", "json"])
def test_what_is_in_the_layer_s_serializer_is_passed_on_as_bytes(copy_of, serializer):
    address = f'"{ADDRESS}": ["{consumer()}"]'
    if serializer == "json":
        sent = '{ "type":"receive" ,"x": [1.50e0, "\\u0041", 36893488147419103232] '
        assert copy_of(sent + "}\n ", "json").decode() == sent + ", " + address + "}"
    else:
        sent = b"\xde\x00\x02\xd9\x01x\xc4\x01y\xa4type\xd9\x07receive"
        packed = b"\x83" + sent[3:] + msgpack.packb(ADDRESS) + msgpack.packb([consumer()])
        assert copy_of(sent) == packed
