"""Malformed input on every entrance: the gateway lives, counts it, and goes on serving everybody else."""

import json
import os
import random
import socket
import struct
import time

import msgpack
import pytest
from harness.clients import RawSocket, exactly, frame
from harness.gateway import ORIGIN, Gateway, config
from harness.http_client import request
from harness.names import fleet_member, inbox_key
from harness.waiting import wait_until
from redis import ResponseError

TEXT, BINARY, CLOSE, PING = 1, 2, 8, 9


@pytest.fixture(scope="module")
def gateway(redis_server):
    # A refresh of one second: a member that a wrong type kept out is written again while the test looks.
    settings = config(gateway={"max_message_bytes": 65536}, redis={"refresh_seconds": 1})
    with Gateway(redis_server.url, "one", settings) as gateway:
        yield gateway


@pytest.fixture
def counted(gateway):
    """counted(metric, label=…) → how much that counter has grown since the test began."""
    before = gateway.metrics()

    def grown(name, **labels):
        ((label, value),) = labels.items()
        return gateway.metric(name, **labels) - before[f'{name}{{{label}="{value}"}}']

    return grown


@pytest.fixture(autouse=True)
def others_are_still_served(gateway, redis, clients):
    """Around every test: the process is the same, its bystander is connected, and is told what is sent to it."""
    (bystander,) = clients.open(gateway.url("/ws/bystander"))
    pid = gateway.pid
    yield
    assert gateway.running and gateway.pid == pid, gateway.log[-4000:]
    assert gateway.readyz() == 200
    redis.fcall("group_send", 1, "asgi:group:bystander", '{"still":"here"}')
    assert [exactly(text) for text in bystander.wait(1)] == [exactly('{"still":"here"}')]
    assert bystander.open
    assert clients.status(gateway.url("/ws/newcomer")) == 101


def layer_message(group, message):
    """A member of the inbox as channels_redis 4 writes it: twelve random bytes, then the map."""
    return os.urandom(12) + msgpack.packb({**message, "__asgi_channel__": [fleet_member(group)]})


# PUBLISH --------------------------------------------------------------------------------------------------------------

NOT_MESSAGES = {
    "nothing": b"",
    "a space": b" ",
    "a word": b"hello",
    "broken JSON": b'{"a":',
    "JSON and a rest": b'{"a":1}{"b":2}',
    "a JSON list": b"[1,2]",
    "a JSON number": b"1",
    "JSON null": b"null",
    "not UTF-8 inside JSON": b'{"a":"\xff\xfe"}',
    "a lone surrogate's bytes": b'{"a":"\xed\xa0\x80"}',
    "a raw newline in a string": b'{"a":"\n"}',
    "brackets without end": b"[" * 100_000,
    "braces without end": b'{"a":' * 100_000,
    "msgpack cut short": msgpack.packb({"type": "receive", "text": "x" * 100})[:-1],
    "msgpack and a rest": msgpack.packb({"a": 1}) + b"\x00",
    "a msgpack list": msgpack.packb([1, 2]),
    "a msgpack integer": b"\x2a",
    "a map that claims 2^32-1 entries": b"\xdf\xff\xff\xff\xff\xa1a\x01",
    "a string that claims 2^32-1 bytes": b"\x81\xa1a\xdb\xff\xff\xff\xffabc",
    "msgpack lists without end": b"\x81\xa1a" + b"\x91" * 100_000,
    "msgpack's unused type": b"\x81\xa1a\xc1",
    "a msgpack string that is not UTF-8": b"\x81\xa1a\xa2\xff\xfe",
    "random bytes": random.Random(42).randbytes(1000),
}


@pytest.mark.parametrize("name", NOT_MESSAGES)
def test_published_rubbish_is_counted_and_not_delivered(name, gateway, redis, clients, counted):
    (listener,) = clients.open(gateway.url("/ws/rubbish"))
    redis.publish("asgi__group__rubbish", NOT_MESSAGES[name])
    redis.publish("asgi__group__rubbish", '{"marker":1}')
    assert listener.until("marker") == []
    assert counted("tocsin_messages_malformed_total", entrance="publish") == 1


@pytest.mark.parametrize(
    "payload",
    [{"text": "x" * 1_000_000}, {str(n): n for n in range(50_000)}, {"n": list(range(100_000))}],
    ids=["text", "keys", "list"],
)
@pytest.mark.parametrize("pack", [lambda value: json.dumps(value).encode(), msgpack.packb], ids=["json", "msgpack"])
def test_a_payload_of_a_megabyte_arrives_whole(payload, pack, gateway, redis, clients):
    (listener,) = clients.open(gateway.url("/ws/large"))
    redis.publish("asgi__group__large", pack(payload))
    redis.publish("asgi__group__large", '{"marker":1}')
    (text,) = listener.until('"marker"')
    assert exactly(text) == exactly(json.dumps(payload))


def test_group_send_refuses_more_than_it_can_keep(gateway, redis, clients):
    (listener,) = clients.open(gateway.url("/ws/refused"))
    for message in json.dumps({"text": "x" * 1_100_000}), '{"a":' * 5000 + "1" + "}" * 5000:
        with pytest.raises(ResponseError, match="tocsin"):
            redis.fcall("group_send", 1, "asgi:group:refused", message)
    redis.publish("asgi__group__refused", '{"marker":1}')
    assert listener.until("marker") == []


@pytest.mark.parametrize(
    "stamp", ["", "x", "1:2", "zz.0000000000:1", "5f3a.9c01ab23de:99999999999999999999", 7, None, {"a": 1}]
)
def test_a_forged_or_broken_stamp_hurts_nobody(stamp, gateway, redis, clients):
    (listener,) = clients.open(gateway.url("/ws/stamped"))
    redis.publish("asgi__group__stamped", json.dumps({"__tocsin__": stamp, "n": 1}))
    redis.fcall("group_send", 1, "asgi:group:stamped", '{"n":2}')
    redis.publish("asgi__group__stamped", '{"marker":1}')
    # Whether such a message is shown is not said; that what comes after it is shown, once, is.
    assert [json.loads(text)["n"] for text in listener.until("marker")][-1:] == [2]
    assert all("__tocsin__" not in text for text in listener.messages)


# The core layer's inbox -----------------------------------------------------------------------------------------------

INBOX_RUBBISH = {
    "shorter than the random prefix": lambda group: b"short",
    "only the prefix": lambda group: b"\x00" * 12,
    "not msgpack": lambda group: b"\x00" * 12 + b"\xc1\xc1",
    "cut short": lambda group: layer_message(group, {"text": "x" * 50})[:-5],
    "a list": lambda group: b"\x00" * 12 + msgpack.packb([1, 2, 3]),
    "no channel": lambda group: b"\x00" * 12 + msgpack.packb({"type": "receive"}),
    "a channel that is a number": lambda group: b"\x00" * 12 + msgpack.packb({"__asgi_channel__": 5}),
    "channels that are numbers": lambda group: b"\x00" * 12 + msgpack.packb({"__asgi_channel__": [5, None]}),
    "lists without end": lambda group: b"\x00" * 12 + b"\x81\xa1a" + b"\x91" * 100_000,
}


@pytest.mark.parametrize("name", INBOX_RUBBISH)
def test_rubbish_in_the_inbox_is_counted_and_what_lies_behind_it_is_relayed(name, gateway, redis, clients, counted):
    group = "inbox-" + name.replace(" ", "-")
    (listener,) = clients.open(gateway.url(f"/ws/{group}"))
    now = time.time()
    redis.zadd(inbox_key(group), {INBOX_RUBBISH[name](group): now, layer_message(group, {"marker": 1}): now + 0.001})
    assert listener.until("marker") == []
    wait_until(
        lambda: counted("tocsin_messages_malformed_total", entrance="core_layer") == 1,
        5,
        "one malformed message counted",
    )


def test_a_channel_name_of_another_group_or_gateway_is_nobody_s(gateway, redis, clients):
    group = "inbox-foreign"
    (listener,) = clients.open(gateway.url(f"/ws/{group}"))
    names = [
        "specific.tocsin-zz!nobody",
        "specific.gone!x",
        fleet_member("nobody-here"),
        fleet_member("no name\n"),
        "a b!" + "\x00" * 200,
        "!",
        "",
    ]
    foreign = {"a": 1, "__asgi_channel__": names}
    now = time.time()
    redis.zadd(
        inbox_key(group),
        {os.urandom(12) + msgpack.packb(foreign): now, layer_message(group, {"marker": 1}): now + 0.001},
    )
    assert listener.until("marker") == []


# Keys of the wrong type -----------------------------------------------------------------------------------------------


def test_a_group_key_of_the_wrong_type_harms_only_that_group(gateway, redis, clients):
    redis.set("asgi:group:broken", "not a zset")
    assert clients.status(gateway.url("/ws/broken")) in (101, 500, 503)
    redis.delete("asgi:group:broken")
    (listener,) = clients.open(gateway.url("/ws/broken"))
    redis.fcall("group_send", 1, "asgi:group:broken", '{"n":1}')
    assert json.loads(listener.wait(1)[0]) == {"n": 1}


def test_a_group_key_that_breaks_under_its_connections_is_mended_when_it_can_be(gateway, redis, clients):
    (listener,) = clients.open(gateway.url("/ws/breaks"))
    redis.set("asgi:group:breaks", "not a zset")
    redis.publish("asgi__group__breaks", '{"n":1}')
    assert json.loads(listener.wait(1)[0]) == {"n": 1}
    redis.delete("asgi:group:breaks")
    wait_until(lambda: redis.zcard("asgi:group:breaks") == 1, 10, "the member, written again")
    assert listener.open


def test_an_inbox_of_the_wrong_type_stops_only_itself_and_heals(gateway, redis, clients):
    group = "inbox-type"
    other = next(f"inbox-other-{n}" for n in range(100) if inbox_key(f"inbox-other-{n}") != inbox_key(group))
    ours, theirs = clients.open(gateway.url(f"/ws/{group}"), gateway.url(f"/ws/{other}"))
    redis.set(inbox_key(group), "not a zset")
    redis.zadd(inbox_key(other), {layer_message(other, {"n": 1}): time.time()})
    assert json.loads(theirs.wait(1)[0]) == {"n": 1}
    redis.delete(inbox_key(group))
    redis.zadd(inbox_key(group), {layer_message(group, {"n": 2}): time.time()})
    assert json.loads(ours.wait(1)[0]) == {"n": 2}


def test_a_log_of_the_wrong_type_is_the_sender_s_error_and_the_live_way_stays_open(gateway, redis, clients):
    (listener,) = clients.open(gateway.url("/ws/log-type"))
    redis.delete("tocsin:log:log-type")
    redis.set("tocsin:log:log-type", "not a stream")
    with pytest.raises(ResponseError):
        redis.fcall("group_send", 1, "asgi:group:log-type", '{"n":1}')
    redis.publish("asgi__group__log-type", '{"n":2}')
    assert json.loads(listener.wait(1)[0]) == {"n": 2}
    redis.delete("tocsin:log:log-type")
    redis.fcall("group_send", 1, "asgi:group:log-type", '{"n":3}')
    assert json.loads(listener.wait(2)[1]) == {"n": 3}


def test_a_relayed_message_that_cannot_be_kept_does_not_hold_up_the_others(gateway, redis, clients):
    stuck = "relay-stuck"
    other = next(f"relay-other-{n}" for n in range(200) if inbox_key(f"relay-other-{n}") == inbox_key(stuck))
    (listener,) = clients.open(gateway.url(f"/ws/{other}"))
    redis.set(f"tocsin:log:{stuck}", "not a stream")
    now = time.time()
    redis.zadd(inbox_key(stuck), {layer_message(stuck, {"n": 1}): now, layer_message(other, {"n": 2}): now + 0.001})
    assert json.loads(listener.wait(1)[0]) == {"n": 2}
    redis.delete(f"tocsin:log:{stuck}")


@pytest.mark.parametrize("key", ["tocsin:pos:keys", "tocsin:roster:keys"])
def test_our_own_keys_of_the_wrong_type_harm_only_that_group(key, gateway, redis, clients):
    redis.delete(key)
    redis.set(key, "wrong")
    assert clients.status(gateway.url("/ws/keys")) in (101, 500, 503)
    redis.delete(key)
    assert clients.status(gateway.url("/ws/keys")) == 101


# Group names in the path ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "a" * 100,
        "a%20b",
        "a%00b",
        "a%0d%0ab",
        "a:b",
        "*",
        "a%2Fb",
        "%2e%2e%2fetc",
        "%c3%a9",
        "%d9%a3",
        "a!b",
        "%7Bx%7D",
        "asgi%3Agroup%3Ax",
        "a\\b",
        "$(x)",
        "a'b",
        "a;b",
    ],
)
def test_a_hostile_group_name_is_400_and_makes_no_key(name, gateway, redis, counted):
    before = set(redis.keys("*:group:*"))
    with RawSocket(gateway.port, f"/ws/{name}") as refused:
        assert refused.status == 400
    assert sum(counted("tocsin_handshakes_refused_total", reason=reason) for reason in ("group_name", "malformed")) == 1
    assert set(redis.keys("*:group:*")) == before


@pytest.mark.parametrize("name", ["%ff", "a%", "a%zz", "%C3"])
def test_an_escape_that_means_nothing_is_refused(name, gateway, redis):
    before = set(redis.keys("*:group:*"))
    with RawSocket(gateway.port, f"/ws/{name}") as refused:
        assert refused.status in (400, 404)
    assert set(redis.keys("*:group:*")) == before


@pytest.mark.parametrize(
    "path", ["/", "/ws", "/ws/", "/ws/a/b", "/WS/a", "//ws/a", "/ws/../ws/a", "/nothing", "/metrics", "/v1/gateways"]
)
def test_an_unknown_path_is_404(path, gateway):
    with RawSocket(gateway.port, path) as refused:
        assert refused.status == 404


@pytest.mark.parametrize("name", ["a", "a" * 99, "A-Z_09.x", "__proto__", "..."])
def test_an_ordinary_group_name_is_let_in(name, gateway, redis, clients):
    (listener,) = clients.open(gateway.url(f"/ws/{name}"))
    redis.publish(f"asgi__group__{name}", '{"n":1}')
    assert json.loads(listener.wait(1)[0]) == {"n": 1}


# Handshakes and frames ------------------------------------------------------------------------------------------------


FRAMES = {
    "an unmasked frame": (frame(TEXT, b"hi", masked=False), 1002),
    "RSV1 without an extension": (frame(TEXT, b"hi", rsv=4), 1002),
    "RSV3": (frame(TEXT, b"hi", rsv=1), 1002),
    "a reserved data opcode": (frame(3, b"hi"), 1002),
    "a reserved control opcode": (frame(11, b"hi"), 1002),
    "a fragmented ping": (frame(PING, b"hi", fin=False), 1002),
    "a ping of 126 bytes": (frame(PING, b"x" * 126), 1002),
    "a continuation of nothing": (frame(0, b"hi"), 1002),
    "a text inside an unfinished text": (frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), 1002),
    "text that is not UTF-8": (frame(TEXT, b"\xff\xfe"), 1007),
    "UTF-8 cut short": (frame(TEXT, "é".encode()[:1]), 1007),
    "a surrogate in UTF-8": (frame(TEXT, b"\xed\xa0\x80"), 1007),
    "a binary frame": (frame(BINARY, b"hi"), 1003),
    "a message too large": (frame(TEXT, b"x" * 65537), 1009),
    "a header that claims 2^62 bytes": (frame(TEXT, b"", length=2**62), 1009),
    "fragments that add up to too much": (
        b"".join(frame(TEXT if n == 0 else 0, b"x" * 30000, fin=False) for n in range(3)),
        1009,
    ),
    "a close frame of one byte": (frame(CLOSE, b"\x03"), 1002),
    "a close code nobody may send": (frame(CLOSE, struct.pack(">H", 1005)), 1002),
    "a close code out of range": (frame(CLOSE, struct.pack(">H", 999)), 1002),
    "a close reason that is not UTF-8": (frame(CLOSE, struct.pack(">H", 1000) + b"\xff"), 1007),
}


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_that_breaks_the_protocol_closes_that_socket_with_its_code(name, gateway, counted):
    data, code = FRAMES[name]
    with RawSocket(gateway.port, "/echo/frames") as hostile:
        assert hostile.status == 101
        hostile.send(data)
        assert hostile.close_code() == code
    assert counted("tocsin_connections_cut_total", reason="protocol") == 1


def test_random_bytes_after_the_handshake_end_that_socket_only(gateway):
    source = random.Random(7)
    for _ in range(20):
        with RawSocket(gateway.port, "/echo/frames") as hostile:
            try:
                hostile.send(source.randbytes(2000))
                assert hostile.close_code() in (None, 1002, 1003, 1007, 1009)
            except (BrokenPipeError, ConnectionResetError):
                pass  # it did not wait for all 2,000


def test_sockets_that_vanish_in_the_middle_are_forgotten(gateway, redis):
    for ending in "reset", "end":
        hostile = RawSocket(gateway.port, "/ws/vanishing")
        hostile.send(frame(TEXT, b"x" * 100)[:50])
        if ending == "reset":
            hostile.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        hostile.tcp.close()
    wait_until(lambda: redis.hlen("tocsin:roster:vanishing") == 0, 10, "an empty roster")


def upgrade(*fields):
    """A handshake whose Sec-WebSocket-… fields are these."""
    lines = ["GET /ws/a HTTP/1.1", "Host: x", "Upgrade: websocket", "Connection: Upgrade", f"Origin: {ORIGIN}", *fields]
    return "\r\n".join([*lines, "", ""]).encode()


HANDSHAKES = {
    "garbage": (b"GARBAGE\r\n\r\n", 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 40 + b"\r\n\r\n", 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "no key": (upgrade("Sec-WebSocket-Version: 13"), 400),
    "a short key": (upgrade("Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: c2hvcnQ="), 400),
    "version 8": (upgrade("Sec-WebSocket-Version: 8", "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg=="), 426),
    "a header of 40 KB": (b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Large: " + b"x" * 40_000 + b"\r\n\r\n", 431),
}


@pytest.mark.parametrize("name", HANDSHAKES)
def test_a_malformed_handshake_is_answered_with_its_status(name, gateway):
    data, status = HANDSHAKES[name]
    with socket.create_connection(("127.0.0.1", gateway.port), 5) as tcp:
        tcp.settimeout(10)
        try:
            tcp.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # answered before all of it was sent
        answer = tcp.recv(4096)
    assert answer.startswith(b"HTTP/1.1 "), answer[:200]
    assert int(answer.split(b" ")[1]) == status


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_other_methods_are_refused_at_both_ports(method, gateway):
    assert request(gateway.port, method, "/ws/a", body=b"x").status in (400, 404, 405)
    assert request(gateway.admin_port, method, "/metrics").status in (404, 405)


def test_a_handshake_that_does_not_come_is_cut(gateway):
    """Five seconds for the whole request; here, one that stays silent and one that drips."""
    drops = iter(b"GET /ws/a HTTP/1.1\r\nHost: x\r\nX-Slow: " + b"x" * 1000)
    silent = socket.create_connection(("127.0.0.1", gateway.port), 5)
    dripping = socket.create_connection(("127.0.0.1", gateway.port), 5)
    began = time.monotonic()
    ended = {}
    for tcp in silent, dripping:
        tcp.setblocking(False)
    while len(ended) < 2 and time.monotonic() - began < 12:
        for name, tcp in ("silent", silent), ("dripping", dripping):
            if name in ended:
                continue
            try:
                if name == "dripping":
                    tcp.send(bytes([next(drops)]))
                if tcp.recv(4096) == b"":
                    ended[name] = time.monotonic() - began
            except BlockingIOError:
                pass
            except OSError:
                ended[name] = time.monotonic() - began
        time.sleep(0.2)
    for tcp in silent, dripping:
        tcp.close()
    assert ended.keys() == {"silent", "dripping"}
    assert all(seconds < 9 for seconds in ended.values()), ended
