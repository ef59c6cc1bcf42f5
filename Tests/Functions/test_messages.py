"""What is a valid message, and how its position is added: as bytes, first, and without any other change."""

import json
import random
import struct

import msgpack
import pytest
from redis.exceptions import ResponseError

from harness.names import STAMP, group_key, own

MEBIBYTE = 1048576


@pytest.fixture
def publish(send, listen):
    """publish(message) → its position as bytes, and what a listener received"""
    listener = listen()

    def publish(message):
        position, _ = send(message)
        [received] = listener.take()
        return str(position).encode(), received

    return publish


@pytest.fixture
def refused(redis, send):
    """refused(message) → the error's text; nothing was written"""

    def refused(message):
        with pytest.raises(ResponseError) as error:
            send(message)
        assert redis.dbsize() == 0
        assert str(error.value).startswith("tocsin: the message ")
        return str(error.value)

    return refused


# JSON


@pytest.mark.parametrize(
    ("message", "stamped"),
    [
        (b'{"a":1}', b'{"__tocsin__":"P","a":1}'),
        (b"{}", b'{"__tocsin__":"P"}'),
        (b"{ \r\n\t}", b'{"__tocsin__":"P" \r\n\t}'),
        (b' \t\r\n{"a":1} \n', b' \t\r\n{"__tocsin__":"P","a":1} \n'),
        (b"\r\n{\r\n}\r\n", b'\r\n{"__tocsin__":"P"\r\n}\r\n'),
        (b'{ "}" : 1 }', b'{"__tocsin__":"P", "}" : 1 }'),
        (b'{"a":{},"b":[]}', b'{"__tocsin__":"P","a":{},"b":[]}'),
        (b'{"__tocsin__":"mine"}', b'{"__tocsin__":"P","__tocsin__":"mine"}'),
    ],
)
def test_the_stamp_is_the_first_entry_of_the_json_object(publish, message, stamped):
    position, received = publish(message)
    assert received == stamped.replace(b"P", position)


@pytest.mark.parametrize(
    "text",
    [
        "9007199254740993", "-9223372036854775809", "18446744073709551616", "1" * 400, "3.0", "3.50", "1e3", "1E+3", "-0",
        "-0.0", "0.1e-7", "1e999", '"3.5."', '"-.5 01 NaN 0x10"', '"\\u0000\\ud83d\\ude00"', '"\\ud83d"',
        '"\\ude00 \\ud83d\\ud83d\\ude00"', '"\\\\"', '"\\"."', "true", "null",
        '"é 好 😀 \x7f \u2028 \uffff"', '{"a":{"a":[[],{}]}}', '""',
    ],
)
def test_a_json_message_is_otherwise_untouched(redis, publish, text):
    message = ('{"a": %s ,"b":[%s]}' % (text, text)).encode()
    position, received = publish(message)
    assert received == b'{"__tocsin__":"' + position + b'",' + message[1:]
    assert redis.xrange(own("log:g"))[0][1][b"m"] == message


@pytest.mark.parametrize(
    "message",
    [
        b"", b" ", b"{", b"}", b"[]", b"1", b"null", b'"{}"', b"{]", b"{}}", b"{}{}", b"{},", b'{"a"}', b'{"a":}', b'{"a":1,}',
        b"{,}", b'{"a" 1}', b"{a:1}", b"{1:1}", b"{'a':1}", b'{"a":tru}', b'{"a":True}', b'{"a":"}', b'{"a":"\\x"}',
        b'{"a":"\\u12"}', b'{"a":-}', b'{"a":1e}', b'{"a":.5}', b'{"a":-.5}', b'{"a":1.}', b'{"a":1.e5}', b'{"a":01}',
        b'{"a":-01}', b'{"a":+1}', b'{"a":0x10}', b'{"a":NaN}', b'{"a":nan}', b'{"a":Infinity}', b'{"a":-Infinity}',
        b'{"a":"x\ny"}', b'{"a":"\t"}', b'{"a\r":1}', b'{"a":"\x00"}', b'{"a":"\x1f"}', b'{"a":1}\x00', b'{"a":1}\x00junk"',
        b'{\x00"a":1}', b'{\x0b"a":1}', b'{"a":1}\x1f', b"/**/{}", b"{}//", b"\xef\xbb\xbf{}", b'{"a":"\xff"}', b'{"a":"\xc3"}',
        b'{"a":"\xc0\x80"}', b'{"a":"\xed\xa0\x80"}', b'{"a":"\xf4\x90\x80\x80"}', b'{"a":"\x80"}', b'{"\xe9":1}', b"{}\xc2\xa0",
        b'{"a":"\xe2\x82"}', b'{"a":"\xe0\x80\x80"}', b'{"a":"\xf0\x80\x80\x80"}', "{}".encode("utf-16"),
    ],
)
def test_what_is_not_a_json_object_is_refused(refused, message):
    refused(message)


def test_json_may_be_nested_a_thousand_deep_and_no_deeper(publish, refused, redis):
    def nested(depth):
        return b'{"a":' * (depth - 1) + b"{}" + b"}" * (depth - 1)

    redis.flushall()
    refused(nested(1001))
    refused(b'{"a":' + b"[" * 500_000)
    publish(nested(1000))


def python_takes(text):
    def refuse(_):
        raise ValueError

    try:
        return isinstance(json.loads(text.decode("utf-8"), parse_constant=refuse), dict)
    except (ValueError, RecursionError):
        return False


def test_mutated_json_is_taken_exactly_when_python_takes_it(redis):
    seeds = [
        b'{"type":"receive","balance":3.5,"n":[0,-1,10,1e5,2.5E-3],"t":true,"f":false,"z":null}',
        '{"é":"好 😀","e":"\\n\\"\\\\/\\u00e9","o":{"":{}}, "w" : [ [ ] ] }'.encode(),
        b'{"a":"x. y.","b":-0.5}',
        b'{"a":"\\ud83d\\ude00","\\ud83d":"\\\\ud83d","b":"\\ude00"}',
    ]
    pieces = [b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b".", b"-", b"+", b"0", b"1", b"e", b"\n", b"\x00", b"\x1f", b" ",
              b"\xc3", b"\xa9", b"\xed\xa0\x80", b"\xff", b"NaN", b"0x1", b"/", b"\\ud83d",
              b"\\uDE00", b"\\\\"]
    rng = random.Random(7)
    messages = []
    for _ in range(6000):
        message = bytearray(rng.choice(seeds))
        for _ in range(rng.choice((1, 1, 2, 3))):
            at = rng.randrange(len(message) + 1)
            message[at : at + rng.choice((0, 0, 1, 1, 2))] = rng.choice(pieces)
        messages.append(bytes(message))
    pipeline = redis.pipeline(transaction=False)
    for message in messages:
        pipeline.fcall("group_send", 1, group_key("g"), message, "SIZE", "0")
    answers = pipeline.execute(raise_on_error=False)
    taken = [not isinstance(answer, Exception) for answer in answers]
    wrong = [m for m, t in zip(messages, taken) if t != python_takes(m)]
    assert wrong == []
    assert 500 < sum(taken) < 5500, "both kinds were tried"


# msgpack


def pairs(data):
    return msgpack.unpackb(data, object_pairs_hook=list, strict_map_key=False)


def header(count):
    if count <= 15:
        return bytes([0x80 + count])
    return b"\xde" + struct.pack(">H", count) if count <= 0xFFFF else b"\xdf" + struct.pack(">I", count)


@pytest.mark.parametrize("count", [0, 1, 13, 14, 15, 16, 17, 255, 256, 65534, 65535, 65536])
def test_the_stamp_is_the_first_entry_of_the_msgpack_map_whatever_its_header(publish, count):
    entries = b"".join(msgpack.packb(str(i)) + b"\x01" for i in range(count))
    message = header(count) + entries
    assert message == msgpack.packb({str(i): 1 for i in range(count)})
    position, received = publish(message)
    stamp = msgpack.packb(STAMP) + msgpack.packb(position.decode())
    assert received == header(count + 1) + stamp + entries
    assert pairs(received)[0] == (STAMP, position.decode())


@pytest.mark.parametrize("wide", [b"\xde\x00\x02", b"\xdf\x00\x00\x00\x02"])
def test_a_map_with_a_wider_header_than_it_needs_is_read(publish, wide):
    position, received = publish(wide + b"\xa1a\x01\xa1b\x02")
    assert pairs(received) == [(STAMP, position.decode()), ("a", 1), ("b", 2)]


@pytest.mark.parametrize(
    "value",
    [
        b"\xc4\x03\x00\xff\x80", b"\xc5\x00\x01\x00", b"\xc6\x00\x00\x00\x02\r\n", b"\xcf" + b"\xff" * 8, b"\xd3\x80" + b"\x00" * 7,
        b"\xcf\x00\x20\x00\x00\x00\x00\x00\x01", b"\xcb\x40\x0c\x00\x00\x00\x00\x00\x00", b"\xcb\x7f\xf8" + b"\x00" * 6,
        b"\xca\x40\x60\x00\x00", b"\xd9\x20" + b"z" * 32, b"\x81\xc4\x01\x00\x02",
        b"\xda\x00\x01a", b"\xdb\x00\x00\x00\x01a", b"\xdc\x00\x01\x01", b"\xdd\x00\x00\x00\x01\x01", b"\xc0",
        b"\xc2", b"\xc3", b"\xe0", b"\xcc\x80", b"\xcd\x80\x00", b"\xce\x80\x00\x00\x00", b"\xd0\x80", b"\xd1\x80\x00",
        b"\xd2\x80\x00\x00\x00", b"\x90", b"\x80", b"\xa0",
    ],
)
def test_a_msgpack_message_of_any_type_is_otherwise_untouched(redis, publish, value):
    message = b"\x82\xa4type\xa1x\xa1v" + value
    position, received = publish(message)
    assert received == b"\x83" + msgpack.packb(STAMP) + msgpack.packb(position.decode()) + message[1:]
    assert redis.xrange(own("log:g"))[0][1][b"m"] == message


@pytest.mark.parametrize(
    "message",
    [b"\x81", b"\x81\xa1a", b"\x80\x80", b"\x81\xa1a\x01\x00", b"\xde", b"\xde\x00", b"\xde\x00\x01", b"\xdf\x00\x00\x00",
     b"\xdf\xff\xff\xff\xff", b"\x81\xa1a\xc1", b"\x81\xa1a\xdd\xff\xff\xff\xff", b"\x81\xa1a\xdb\xff\xff\xff\xff",
     b"\x81\xa1a\xc6\x7f\xff\xff\xff", b"\x81\xa1a\xd9\x05abcd", b"\x81\xa1a\xcf\x00", b"\x81\xa1a\xc7\x01\x05", b"\xc1",
     b"\x90", b"\xdc\x00\x00", b"\xa1a", b"\x01", b"\xc0", b"\xff", b"\x00"],
)
def test_what_is_not_one_whole_msgpack_map_is_refused(refused, message):
    refused(message)


def test_a_msgpack_map_is_refused_at_every_cut_and_with_any_tail(redis):
    rng = random.Random(3)

    def value(depth):
        kind = rng.randrange(9 if depth < 4 else 7)
        return [None, rng.random(), rng.randrange(-(2**63), 2**64), rng.randbytes(rng.choice((0, 3, 300))), "é" * rng.choice((0, 9, 40)),
                bool(kind), "好😀" * rng.choice((1, 3, 16)),
                lambda: [value(depth + 1) for _ in range(rng.choice((0, 2, 17)))],
                lambda: {str(i): value(depth + 1) for i in range(rng.choice((0, 2, 16)))}][kind]

    def build(v):
        return build(v()) if callable(v) else v

    def full(v):
        v = build(v)
        if isinstance(v, list):
            return [full(x) for x in v]
        return {k: full(x) for k, x in v.items()} if isinstance(v, dict) else v

    for _ in range(12):
        message = msgpack.packb({"a": full(value(0)), "b": full(value(2)), "c": 1})
        cuts = sorted({*range(min(len(message), 60)), *(rng.randrange(len(message)) for _ in range(60))})
        bad = [message[:cut] for cut in cuts] + [message + tail for tail in (b"\x00", b"\xc0", b"\x80", message)]
        pipeline = redis.pipeline(transaction=False)
        for m in [message, *bad]:
            pipeline.fcall("group_send", 1, group_key("g"), m, "SIZE", "0")
        good, *rest = pipeline.execute(raise_on_error=False)
        assert not isinstance(good, Exception), message
        assert all(isinstance(answer, ResponseError) for answer in rest)


def django_takes(message):
    """The message as parsed by channels_redis' receiver: msgpack.unpackb, where a map's keys are str or bin."""

    def showable(value):
        if isinstance(value, dict):
            return all(map(showable, value.values()))
        if isinstance(value, list):
            return all(map(showable, value))
        return not isinstance(value, msgpack.ExtType | msgpack.Timestamp)

    try:
        value = msgpack.unpackb(message)
    except (ValueError, TypeError):
        return False
    return isinstance(value, dict) and showable(value)


def test_mutated_msgpack_is_taken_exactly_when_django_takes_it(redis):
    seeds = [
        msgpack.packb({"type": "receive", "balance": 3.5, "n": [0, -1, 300, 70000, 2**40, None, True]}),
        msgpack.packb({"é": "好😀", b"bin": b"\xff\x00", "o": {"": {"a" * 40: ["b" * 300]}}}),
        msgpack.packb({"when": msgpack.Timestamp(1, 2), "x": msgpack.ExtType(5, b"ab")}),
    ]
    pieces = [b"\x00", b"\x01", b"\x81", b"\x91", b"\xa1a", b"\xa1\xff", b"\xc0", b"\xc1", b"\xc3", b"\xc4\x01\xff", b"\xc7\x00\x05",
              b"\xd4\x05\x00", b"\xd9\x02", b"\xda\x00", b"\xde\x00\x01", b"\xdf", b"\xff", b"\xed\xa0\x80", b"\xcb"]
    rng = random.Random(11)
    messages = []
    for _ in range(6000):
        message = bytearray(rng.choice(seeds))
        for _ in range(rng.choice((0, 1, 1, 2))):
            at = rng.randrange(len(message) + 1)
            message[at : at + rng.choice((0, 1, 1, 2, 3))] = rng.choice(pieces)
        if message and (0x80 <= message[0] <= 0x8F or message[0] in (0xDE, 0xDF)):
            messages.append(bytes(message))
    pipeline = redis.pipeline(transaction=False)
    for message in messages:
        pipeline.fcall("group_send", 1, group_key("g"), message, "SIZE", "0")
    taken = [not isinstance(answer, Exception) for answer in pipeline.execute(raise_on_error=False)]
    assert [m for m, t in zip(messages, taken) if t != django_takes(m)] == []
    assert 300 < sum(taken) < 5000, "both kinds were tried"


def test_msgpack_may_be_nested_a_thousand_deep_and_no_deeper(publish, refused):
    def nested(depth):
        return b"\x81\xa1a" * (depth - 1) + b"\x80"

    refused(nested(1001))
    refused(b"\x81\xa1a" + b"\x91" * 500_000 + b"\x01")
    publish(nested(1000))


# Both


@pytest.mark.parametrize("frame", [(b'{"a":"', b'"}'), (b"\x81\xa1a\xdb\x00\x0f\xff\xf8", b"")])
def test_one_mebibyte_is_taken_and_one_byte_more_is_not(publish, refused, redis, frame):
    head, tail = frame
    text = b"x" * (MEBIBYTE - len(head) - len(tail))
    if head[0] == 0x81:
        head = head[:4] + struct.pack(">I", len(text))
        longer = head[:4] + struct.pack(">I", len(text) + 1) + text + b"x"
    else:
        longer = head + text + b"x" + tail
    message = head + text + tail
    assert (len(message), len(longer)) == (MEBIBYTE, MEBIBYTE + 1)
    assert "longer than 1048576 bytes" in refused(longer)
    position, received = publish(message)
    assert received.endswith(message[1:] if head[0] == ord("{") else message[2:])
    assert redis.xrange(own("log:g"))[0][1][b"m"] == message


def test_a_message_of_the_worst_shape_blocks_redis_for_less_than_two_seconds(send, redis):
    """1 MiB of the smallest values: the longest scan that the limits allow."""
    for message in (
        b"\x81\xa1a\xdd" + struct.pack(">I", MEBIBYTE - 8) + b"\x90" * (MEBIBYTE - 8),
        b'{"a":[' + b",".join([b"0.1"] * 250_000) + b"]}",
        ('{"a":"' + "\U0001f600\\n" * 150_000 + '"}').encode(),
    ):
        redis.config_resetstat()
        send(message)
        assert redis.info("commandstats")["cmdstat_fcall"]["usec"] < 2_000_000


def test_protocol_text_in_a_message_is_only_bytes(redis, publish, send):
    for message in (
        msgpack.packb({"a": "\r\n+OK\r\n-ERR x\r\n$-1\r\n*3\r\n", "b": b"\r\n:1\r\n", "c": "\x00"}),
        b'{\r\n"a":\r\n"+OK -ERR $5 *1"\r\n}\r\n',
        b'{"a":"\\r\\n+OK\\r\\n"}',
    ):
        position, received = publish(message)
        assert redis.ping() is True
        assert received.endswith(message[1:])
        assert redis.xrevrange(own("log:g"), count=1)[0][1][b"m"] == message
