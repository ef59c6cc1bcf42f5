"""Input that Redis or Lua could take for their own syntax: S35, S36."""

import json

import pytest
from harness.clients import exactly, frame

from .bench.bad_client import handshake

pytestmark = pytest.mark.quick

TEXT = 1
INJECTIONS = [
    "\r\n*1\r\n$8\r\nFLUSHALL\r\n", "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n",
    "]]..redis.call('FLUSHALL')..[[", '"]=]', "%d%s%%",
    "%f[%w]", "\\", "${jndi:x}", "'; DROP TABLE x; --", "KEY", "TTL 1", "\u2028\u202e", "asgi:group:a", "\x7f",
]  # fmt: skip
NUMBERS = ["1e9", "0x10", "nan", "-0", "1e308", "18446744073709551616"]


def test_s35_s36_payloads_are_bytes_and_one_function_call_each(target):
    """Nothing that a client writes becomes a Redis command, a function's option or a Lua pattern."""
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
    inside = {
        "the path": handshake("/ws/a%0d%0aFLUSHALL%0d%0a"),
        "a claim": handshake("/team", f"Authorization: Bearer {target.token(team='a' + chr(13) + chr(10) + 'FLUSHALL')}"),
        "the query": handshake("/token?token=%0d%0aFLUSHALL%0d%0a"),
    }

    def check(data):
        assert target.ask(data).status in (400, 403, 404)

    attack(inside, check)
    assert "cmdstat_flushall" not in target.store.info("commandstats")
