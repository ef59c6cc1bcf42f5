"""What a send costs Redis does not depend on how many connections the group has."""

import re

import pytest

from harness.names import fleet_member, group_key

HUGE = 100_000


@pytest.fixture
def monitored(server, redis):
    """monitored(f) → the commands that Redis ran for f(), the function's own included"""

    def monitored(f):
        with server.client().monitor() as monitor:
            f()
            redis.ping()
            commands = []
            while True:
                command = monitor.next_command()["command"]
                if command == "PING":
                    return commands
                commands.append(command)

    return monitored


@pytest.fixture
def counted(redis):
    """counted(f) → how often each command was called for f(), the function's own calls included"""

    def counted(f):
        redis.config_resetstat()
        f()
        stats = redis.info("commandstats")
        return {name: s["calls"] for name, s in stats.items() if name != "cmdstat_config|resetstat"}

    return counted


def fill(redis, group, connections):
    pipeline = redis.pipeline(transaction=False)
    for first in range(0, connections, 500):
        batch = range(first, min(first + 500, connections))
        args = [part for n in batch for part in (f"specific.gw{n % 3}!{n}", '{"user":"%d"}' % n)]
        pipeline.fcall("group_add", len(batch), *[group_key(group)] * len(batch), f"gw{first % 3}", 86400, *args)
    pipeline.execute()


def anonymous(command, group):
    """The command without what differs between any two sends: names, times, positions."""
    command = command.replace(group, "GROUP")
    command = re.sub(r"\b[0-9a-f]{8}\.[0-9a-f]{10}:", "EPOCH.HISTORY:", command)
    return re.sub(r"\b1\d{12}\b", "TIME-IN-MS", command)


def test_a_send_to_a_hundred_thousand_connections_costs_what_one_to_one_costs(redis, send, listen, monitored, counted):
    for group, connections in (("tiny", 1), ("huge", HUGE)):
        fill(redis, group, connections)
        assert redis.hlen(f"tocsin:roster:{group}") == connections
        assert redis.zrange(group_key(group), 0, -1) == [fleet_member(group).encode()]
        listen(group)
    seen = {}
    for group in ("tiny", "huge"):
        message = b'{"type":"receive","balance":3.5}'
        calls = counted(lambda: send(message, group=group))
        commands = [anonymous(c, group) for c in monitored(lambda: send(message, group=group))]
        seen[group] = (calls, commands)
    assert seen["tiny"] == seen["huge"]
    calls, commands = seen["huge"]
    assert calls["cmdstat_publish"] == 1 and sum(calls.values()) <= 12
    assert sum(map(len, commands)) < 1000, "bytes of all the commands, the message twice among them"
    assert not any("roster" in c or "members" in c for c in commands), "nobody reads who is connected"


def test_a_call_asks_for_the_history_once_however_many_groups_are_of_an_older_one(redis, send, fail_over, counted):
    groups = [f"g{n}" for n in range(100)]
    keys = [group_key(group) for group in groups]
    for group in groups:
        send(group=group)
    fail_over()
    send()
    read = counted(lambda: redis.fcall_ro("group_read", 100, *keys, 100, 10**6, *[""] * 100))
    joins = ("specific.gw!1", "{}") * 100
    joined = counted(lambda: redis.fcall("group_add", 100, *keys, "gw", 60, *joins))
    joined_again = counted(lambda: redis.fcall("group_add", 100, *keys, "gw", 60, *joins))
    assert (read["cmdstat_info"], joined["cmdstat_info"]) == (1, 1)
    assert "cmdstat_info" not in joined_again, "what INFO said is kept"


def test_a_channels_redis_send_to_it_writes_one_message(server, redis):
    import asyncio

    from channels_redis.core import RedisChannelLayer

    fill(redis, "huge", 5000)
    redis.config_resetstat()

    async def group_send():
        layer = RedisChannelLayer(hosts=[server.url])
        await layer.group_send("huge", {"type": "receive"})
        await layer.close_pools()

    asyncio.run(group_send())
    calls = {name: s["calls"] for name, s in redis.info("commandstats").items()}
    assert calls["cmdstat_zadd"] == 1
