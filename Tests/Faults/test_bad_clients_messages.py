"""Messages that are no JSON, commands that are none, cursors that were made up: S28, S29, S30, S33, S35, S36."""

import json

import pytest
from harness.clients import exactly, frame
from harness.waiting import wait_until

from .bench.bad_client import MARK, handshake
from .bench.commands import Commands

pytestmark = pytest.mark.quick

TEXT = 1
POSITION = "5f3a90c1.9c01ab23de"


# JSON -----------------------------------------------------------------------------------------------------------------

NOT_JSON = {
    "10,000 deep": '{"a":' * 10_000 + "1" + "}" * 10_000,
    "64 KiB of brackets": "[" * 65_000,
    "64 KiB of braces": '{"a":' * 13_000,
    "a byte order mark": '\ufeff{"a":1}',
    "a NUL behind it": '{"a":1}\0',
    "a NUL inside a text": '{"a":"\0"}',
    "a line break inside a text": '{"a":"\n"}',
    "a second one behind it": '{"a":1}{"b":2}',
    "half of a surrogate pair": '{"a":"\\ud800"}',
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
    "a large exponent": '{"a":1e400}',
    "minus zero": '{"a":-0}',
    "a huge integer": '{"a":' + "9" * 1000 + "}",
    "the same key twice": '{"a":1,"a":2}',
    "an escaped NUL": '{"a":"\\u0000"}',
    "a key that JavaScript knows": '{"__proto__":{"a":1},"constructor":1}',
    "the broker's own entries": '{"__tocsin__":"%s:1","__asgi_channel__":"x","a":1}' % POSITION,
}
DEEP = '{"a":' * 900 + "1" + "}" * 900


def test_s28_what_is_no_json_object_closes_with_1008_where_one_is_wanted(target, attack):
    """The table has an error first, and closes at the third: here a client that is broken is told so at once."""

    def check(text):
        code, reason = target.closed_by(frame(TEXT, text.encode()), "/say/broken")
        assert code == 1008 and reason in ("a message must be a JSON object", "the message was refused")

    attack(NOT_JSON, check)
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
    """The table refuses NaN. Django's json.dumps writes it, so it is taken, and every browser can read what arrives."""
    with target.socket("/say/nan") as sender, target.socket("/ws/nan") as listener:
        sender.send(frame(TEXT, b'{"a":NaN,"b":-Infinity}'))
        assert json.loads(listener.frame()[1]) == {"a": None, "b": None, "type": "receive"}


def test_s28_what_is_no_json_closes_with_3501_in_the_centrifuge_protocol(target, attack):
    connect = frame(TEXT, b'{"id":1,"connect":{}}')
    # Empty lines are no commands, and an escape that nobody reads is none of this protocol's business.
    broken = {name: text for name, text in NOT_JSON.items() if text.strip() and "ud800" not in text}

    def check(text):
        assert target.closed_by(frame(TEXT, text.encode()), "/open-rooms")[0] == 3501
        assert target.closed_by(connect + frame(TEXT, text.encode()), "/open-rooms")[0] == 3501

    attack(broken, check)


# Commands -------------------------------------------------------------------------------------------------------------

BAD, DENIED, UNKNOWN, UNAVAILABLE = 107, 103, 104, 108
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


def test_s28_what_redis_refuses_to_keep_is_a_bad_request(target):
    """Half of a surrogate pair is JSON's own loophole: the log takes none."""
    with Commands(target, sub="shapes") as client:
        client.socket.send(frame(TEXT, b'{"id":2,"publish":{"channel":"room.open.a","data":{"a":"\\ud800"}}}'))
        assert client.reply(2)["error"] == {"code": BAD, "message": "bad request"}


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

    def check(text):
        assert target.closed_by(connect + frame(TEXT, text.encode()), "/open-rooms")[0] == 3501

    attack(IDS, check)


def test_s30_a_number_that_comes_twice_is_answered_twice(target):
    with Commands(target) as client:
        client.say({"id": 7, "ping": {}}, {"id": 7, "ping": {}})
        assert client.reply(7) == client.reply(7) == {"id": 7, "ping": {}}
        assert "subscribe" in client.ask({"id": 7, "subscribe": {"channel": "room.a"}})
        assert client.ask({"id": 7, "subscribe": {"channel": "room.a"}})["error"]["code"] == 105


# Cursors --------------------------------------------------------------------------------------------------------------

CURSORS = {
    "garbage": "yesterday at noon",
    "another group's": f"{POSITION}:1",
    "two for one group": f"{POSITION}:1,{POSITION}:2",
    "negative": f"{POSITION}:-1",
    "2^63": f"{POSITION}:9223372036854775808",
    "beyond 64 bits": f"{POSITION}:99999999999999999999",
    "an epoch of 12 KB": "5" * 12_000 + ":1",
    "format characters": "%s%n%x%s%n:1",
    "quotes": "';\"]]--:1",
}


def test_s33_a_made_up_cursor_of_a_stream_is_a_reset_and_nobody_else_s_messages(target, attack):
    secret = {"secret": MARK}
    target.store.fcall("group_send", 1, "asgi:group:private", json.dumps(secret))

    def check(cursor):
        lines = ("Accept: text/event-stream", f"Last-Event-ID: {cursor}")
        with RawEvents(target, "/ws/cursor", *lines) as stream:
            assert json.loads(stream.event("gap")) == {"group": "cursor", "reason": "reset"}
            assert MARK not in stream.text

    attack(CURSORS, check)


class RawEvents:
    """A stream of events, read only until what is looked for."""

    def __init__(self, target, path, *lines):
        self.text = ""
        self._tcp = target.connect()
        self._tcp.sendall(handshake(path, *lines, without=("Upgrade", "Connection", "Cookie")))

    def event(self, name) -> str:
        """The data of the first event of this name."""
        wanted = f"event: {name}\ndata: "
        wait_until(lambda: self._read() and wanted in self.text and self.text.endswith("\n\n"), 10, f"{wanted!r} in {self.text}")
        return self.text.partition(wanted)[2].partition("\n")[0]

    def _read(self):
        self.text += self._tcp.recv(65536).decode()
        return True

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._tcp.close()


def test_s33_a_made_up_position_of_a_subscription_recovers_nothing(target, attack):
    positions = {
        "garbage": ("garbage", 1),
        "another group's": (POSITION, 1),
        "an epoch of 60 KB": ("5" * 60_000, 1),
        "2^64 - 1": (POSITION, 2**64 - 1),
        "beyond 64 bits": (POSITION, 2**70),
        "negative": (POSITION, -1),
        "a text": (POSITION, "1"),
        "format characters": ("%s%n", 1),
    }

    def check(position):
        epoch, offset = position
        with Commands(target) as client:
            wish = {"channel": "room.cursor", "recover": True, "epoch": epoch, "offset": offset}
            found = client.ask({"id": 2, "subscribe": wish})["subscribe"]
            assert not found.get("recovered") and not found.get("publications")

    target.store.fcall("group_send", 1, "asgi:group:room.cursor", '{"n":1}')
    attack(positions, check)


# What Redis and Lua could take for something else ---------------------------------------------------------------------

INJECTIONS = [
    "\r\n*1\r\n$8\r\nFLUSHALL\r\n", "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n", "]]..redis.call('FLUSHALL')..[[", '"]=]', "%d%s%%",
    "%f[%w]", "\\", "${jndi:x}", "'; DROP TABLE x; --", "KEY", "TTL 1", "\u2028\u202e", "asgi:group:a", "\x7f",
]  # fmt: skip
NUMBERS = ["1e9", "0x10", "nan", "-0", "1e308", "18446744073709551616"]


def test_s35_s36_payloads_are_bytes_and_one_function_call_each(target):
    """Nothing that a client writes becomes a command of Redis, an option of the function or a pattern of Lua's."""
    with target.socket("/say/injected") as sender, target.socket("/ws/injected") as listener:
        with target.redis.client() as client, client.monitor() as monitor:
            for text in INJECTIONS + NUMBERS:
                message = json.dumps({text: text, "a": [text]}, ensure_ascii=False)
                sender.send(frame(TEXT, message.encode()))
                assert exactly(listener.frame()[1].decode())[1] == (*exactly(message)[1], ("type", "receive"))
            commands = iter(monitor.listen())
            calls = []
            while len(calls) < len(INJECTIONS + NUMBERS):
                command = next(commands)
                if "asgi:group:injected" in command["command"] and command["client_type"] != "lua":
                    calls.append(command["command"].split(" ")[:4])
    assert calls == [["FCALL", "group_send", "1", "asgi:group:injected"]] * len(calls)
    assert target.store.xlen("tocsin:log:injected") == len(calls)


def test_s35_names_and_headers_with_a_command_inside_are_refused_and_do_nothing(target, attack):
    before = target.store.dbsize()
    inside = {
        "the path": handshake("/ws/a%0d%0aFLUSHALL%0d%0a"),
        "a claim": handshake("/team", f"Authorization: Bearer {target.token(team='a' + chr(13) + chr(10) + 'FLUSHALL')}"),
        "the query": handshake("/token?token=%0d%0aFLUSHALL%0d%0a"),
    }

    def check(data):
        assert target.ask(data).status in (400, 403, 404)

    attack(inside, check)
    assert target.store.dbsize() >= before - 100 and target.store.exists("tocsin:gateway:target")
