"""Errors never repeat the caller's text, which could forge replies in a client's log, or in the protocol itself."""

import socket

import pytest
from redis.exceptions import ResponseError

from harness.names import group_key, own

MARK = "S3CRET"
TEXT = f"{MARK}\r\n+OK\r\n"
KEY = group_key("g")

CALLS = {
    "group_send, key": ("group_send", 1, TEXT, "{}"),
    "group_send, group": ("group_send", 1, group_key(TEXT), "{}"),
    "group_send, message": ("group_send", 1, KEY, TEXT),
    "group_send, json": ("group_send", 1, KEY, '{"%s":' % TEXT),
    "group_send, msgpack": ("group_send", 1, KEY, b"\x81" + TEXT.encode()),
    "group_send, option": ("group_send", 1, KEY, "{}", TEXT),
    "group_send, option with a value": ("group_send", 1, KEY, "{}", TEXT, "1"),
    "group_send, ttl": ("group_send", 1, KEY, "{}", "TTL", TEXT),
    "group_send, size": ("group_send", 1, KEY, "{}", "SIZE", TEXT),
    "group_send, idempotency key": ("group_send", 1, KEY, "{}", "KEY", TEXT * 20),
    "group_add, key": ("group_add", 1, TEXT, "gw", "60", "c", "", ""),
    "group_add, expiry": ("group_add", 1, KEY, TEXT, TEXT, "c", "", ""),
    "group_add, count": ("group_add", 1, KEY, TEXT, "60", TEXT),
    "group_discard, key": ("group_discard", 1, TEXT, "gw", "c"),
    "group_discard, count": ("group_discard", 1, KEY, TEXT),
    "group_read, key": ("group_read", 1, TEXT, 10, 1000, ""),
    "group_read, limit": ("group_read", 1, KEY, TEXT, 1000, TEXT),
    "gateway_lease, seconds": ("gateway_lease", 0, "asgi", TEXT, TEXT, TEXT),
    "gateway_sweep, limit": ("gateway_sweep", 0, TEXT, TEXT),
    "gateway_release, one argument": ("gateway_release", 0, TEXT),
    "gateway_trial, database": ("gateway_trial", 0, "asgi", TEXT),
    "gateway_retain, start": ("gateway_retain", 0, "asgi", "60", TEXT, "10"),
    "relay_collect, limit": ("relay_collect", 2, TEXT, TEXT, TEXT),
    "relay_commit, key": ("relay_commit", 2, "staging", TEXT, "1-0", "{}"),
    "relay_commit, id": ("relay_commit", 2, "staging", KEY, TEXT, "{}"),
    "relay_commit, message": ("relay_commit", 2, "staging", KEY, "1-0", TEXT),
    "policy_set, rules": ("policy_set", 0, "asgi", TEXT),
    "policy_set, rule": ("policy_set", 0, "asgi", '[{"match":["%s"]}]' % MARK),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_an_error_contains_nothing_of_the_call(redis, call):
    with pytest.raises(ResponseError) as error:
        redis.fcall(*call)
    assert MARK not in str(error.value)
    assert redis.ping() is True
    assert redis.dbsize() == 0


WRONG_TYPES = {
    "inbox": ("relay_collect", 2, MARK, "staging", "10"),
    "roster": ("group_add", 1, group_key("of"), "gw", "60", MARK, "", ""),
    "members": ("group_add", 1, group_key("g"), MARK, "60", "c", "", ""),
    "idempotency key": ("group_send", 1, KEY, "{}", "KEY", MARK),
}


@pytest.mark.parametrize("call", WRONG_TYPES.values(), ids=WRONG_TYPES)
def test_an_error_of_redis_itself_contains_nothing_either(redis, call):
    for key in (MARK, own("roster:of"), own(f"members:{MARK}"), own(f"key:g:{MARK}")):
        redis.rpush(key, "not ours")
    with pytest.raises(ResponseError, match="WRONGTYPE") as error:
        redis.fcall(*call)
    assert MARK not in str(error.value)


def test_on_the_wire_each_error_is_one_line(server, redis):
    def bulk(argument):
        data = argument if isinstance(argument, bytes) else str(argument).encode()
        return b"$%d\r\n%s\r\n" % (len(data), data)

    with socket.create_connection(("127.0.0.1", server.port)) as s:
        s.settimeout(5)
        stream = s.makefile("rb")
        for call in CALLS.values():
            parts = [bulk("FCALL"), *map(bulk, call)]
            s.sendall(b"*%d\r\n" % len(parts) + b"".join(parts) + b"*1\r\n$4\r\nPING\r\n")
            assert stream.readline().startswith(b"-ERR ")
            assert stream.readline() == b"+PONG\r\n"


def test_our_own_errors_say_whose_they_are(redis):
    for name in CALLS.keys() - {"relay_commit, id"}:
        with pytest.raises(ResponseError, match="^tocsin: "):
            redis.fcall(*CALLS[name])
