"""One redis-server for the session, empty at the start of each test, with redis/tocsin.lua loaded."""

import contextlib

import pytest

from harness.consumers import CoreLayer, consumer, inbox
from harness.names import Position, group_key, live_channel
from harness.redis_server import RedisServer


@pytest.fixture(scope="session")
def server():
    # DEBUG, for this server only: see fail_over.
    with RedisServer(args=("--enable-debug-command", "yes")) as server:
        server.load_library()
        yield server


@pytest.fixture
def redis(server):
    """A client on database 3 of an empty server. FLUSHALL keeps the functions."""
    client = server.client()
    client.flushall()
    return client


@pytest.fixture
def fail_over(redis, server):
    """fail_over() → the new history: a new replication id, and reloaded functions, as after a full resync."""

    def fail_over():
        redis.execute_command("DEBUG", "CHANGE-REPL-ID")
        server.load_library()
        return redis.info("replication")["master_replid"][:10]

    return fail_over


@pytest.fixture
def send(redis):
    """send(message, *options, group="g") → (Position, listeners)"""

    def send(message=b'{"n":1}', *options, group="g", prefix="asgi"):
        answer = redis.fcall("group_send", 1, group_key(group, prefix), message, *options)
        assert len(answer) == 2
        return Position.parse(answer[0]), answer[1]

    return send


@pytest.fixture
def ask(redis):
    """ask("inbox", "42", "LIMIT", 1, group="g") → what the function answers, read if it is JSON"""
    import json

    def ask(function, *arguments, group="g"):
        answer = redis.fcall(function, 1, group_key(group), *map(str, arguments))
        return json.loads(answer) if isinstance(answer, bytes) else answer

    return ask


@pytest.fixture
def fleet(redis):
    """fleet("due_run", 10) → what a function of the whole prefix answers, read if it is JSON"""
    import json

    def fleet(function, *arguments):
        answer = redis.fcall(function, 0, "asgi", *map(str, arguments))
        return json.loads(answer) if isinstance(answer, bytes) and answer.startswith(b"{") else answer

    return fleet


@pytest.fixture
def policy(redis):
    """policy({"match": …, "size": …, "ttl": …}, …) → version"""
    import json

    return lambda *rules: redis.fcall("policy_set", 0, "asgi", json.dumps(rules))[0]


@pytest.fixture
def listen(server, redis):
    """listen("group") → a growing list: what is published to the group, in order, when read by take()."""
    with contextlib.ExitStack() as stack:

        def listen(group="g", prefix="asgi", db=3):
            pubsub = stack.enter_context(server.client(db=db).pubsub())
            pubsub.subscribe(live_channel(group, prefix))
            assert pubsub.get_message(timeout=5)["type"] == "subscribe"
            return Listener(pubsub)

        yield listen


@pytest.fixture
def copy_of(redis):
    """copy_of(message, serializer) → the copy in a consumer's inbox; None where the consumer was skipped"""
    layer, configured = CoreLayer(redis), None
    layer.join(consumer())

    def copy_of(message, serializer="msgpack"):
        nonlocal configured
        if configured != serializer:
            layer.configure(serializer=serializer)
            configured = serializer
        redis.delete(inbox())
        _, told, skipped = layer.send(message)
        copies = layer.in_inbox()
        assert (told, skipped) == ((1, 0) if copies else (0, 1))
        return copies[0] if copies else None

    return copy_of


class Listener:
    def __init__(self, pubsub):
        self._pubsub = pubsub

    def take(self):
        """All messages published before this call: a PING is answered after them on the same connection."""
        self._pubsub.ping()
        messages = []
        while True:
            message = self._pubsub.get_message(timeout=5)
            assert message is not None, "the subscription does not answer"
            if message["type"] == "pong":
                return messages
            if message["type"] == "message":
                messages.append(message["data"])
