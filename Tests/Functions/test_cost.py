"""A send's cost in Redis does not depend on the number of the group's connections; a read's cost depends on its result."""

import asyncio
import re
import statistics
import time

import pytest
from channels_redis.core import RedisChannelLayer

from harness.names import fleet_member, group_key
from harness.waiting import wait_until

HUGE = 100_000


@pytest.fixture
def monitored(server, redis):
    """monitored(f) → the commands that Redis ran for f(), including those inside functions"""

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
    """counted(f) → how often each command was called for f(), including calls inside functions"""

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
        args = [part for n in batch for part in (f"specific.gw{n % 3}!{n}", str(n), "")]
        pipeline.fcall("group_add", len(batch), *[group_key(group)] * len(batch), f"gw{first % 3}", 86400, *args)
    pipeline.execute()


def anonymous(command, group):
    """The command without the parts that differ between any two sends: names, times, positions."""
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
    assert calls["cmdstat_publish"] == 1 and sum(calls.values()) <= 16  # the first one also makes the position
    assert sum(map(len, commands)) < 1000, "bytes of all the commands, the message twice among them"
    assert not any("roster" in c or "members" in c for c in commands), "nobody reads who is connected"


def join_daphne(redis, group, members, processes):
    """Consumers of Daphne, so many behind each of so many channels."""
    now = time.time()
    for process in range(processes):
        redis.zadd(group_key(group), {f"specific.{process:032x}!{member:032x}": now for member in range(members)})


def impersonal(command, group):
    """anonymous, and without what tells two messages of a sorted set apart, and their times."""
    command = re.sub(r"\b1\d{9}\.\d{6}\b", "SCORE", anonymous(command, group))
    command = re.sub(r"\b[0-9a-f]{4}0000000[0-9a-f](?=\W|$)", "MARK", command)
    return re.sub(r"\b1\d{9}\b", "TIME-IN-S", command)


@pytest.mark.parametrize("members, processes", [(10, 1), (1, 10)])
def test_ten_thousand_of_ours_beside_ten_of_daphne_s_cost_what_one_of_ours_costs(
    redis, send_anyhow, listen, monitored, counted, members, processes
):
    seen = {}
    for group, connections in (("tiny", 1), ("huge", 10_000)):
        fill(redis, group, connections)
        join_daphne(redis, group, members, processes)
        assert redis.hlen(f"tocsin:roster:{group}") == connections
        assert redis.zcard(group_key(group)) == 11
        listen(group)
    for group in ("tiny", "huge"):
        calls = counted(lambda: send_anyhow(group))
        commands = monitored(lambda: send_anyhow(group))
        seen[group] = (calls, sum(map(len, commands)), [impersonal(command, group) for command in commands])
    assert seen["tiny"] == seen["huge"]
    calls, size, commands = seen["huge"]
    assert calls["cmdstat_zadd"] == processes, "one copy for each process of Django's, and none for us"
    assert not any("roster" in c or "members" in c for c in commands), "nobody reads who is connected"
    assert size < 2000 + 600 * processes, "bytes of all the commands"


@pytest.fixture
def send_anyhow(redis):
    """send_anyhow(group): a message that ten consumers of Django are told"""

    def send(group):
        answer = redis.fcall("group_send", 1, group_key(group), b'{"type":"receive","balance":3.5}')
        assert answer[1:] == [1, 10, 0]

    return send


@pytest.mark.parametrize("members, processes", [(10, 1), (1, 10)])
def test_django_s_own_send_to_ten_thousand_of_ours_costs_what_one_of_ours_costs(
    redis, send_by_django, counted, members, processes
):
    seen = {}
    for group, connections in (("tiny", 1), ("huge", 10_000)):
        fill(redis, group, connections)
        join_daphne(redis, group, members, processes)
        send_by_django(group)  # what it asks for once
        calls = counted(lambda: send_by_django(group))
        channels = sorted(redis.keys("asgispecific.*"))
        seen[group] = (calls, [len(redis.zrange(channel, -1, -1)[0]) for channel in channels])
        redis.delete(*channels)
    assert seen["tiny"] == seen["huge"]
    calls, lengths = seen["huge"]
    assert calls["cmdstat_zadd"] == len(lengths) == processes + 1, "one copy for the fleet of gateways"


def test_a_group_without_receipts_costs_what_it_cost_before_there_were_any(redis, send, counted):
    """Each command by itself, so that nobody adds one unseen."""
    send()
    assert counted(send) == {f"cmdstat_{name}": n for name, n in dict(
        fcall=1, get=1, time=1, hmget=1, xadd=1, ttl=1, hset=1, pubsub=0, publish=1, zrange=1).items() if n} | {"cmdstat_pubsub|numsub": 1}
    assert sum(counted(lambda: send(b"{}", "SIZE", 0)).values()) == 9
    since = redis.fcall("group_position", 1, group_key("g")).decode().rpartition(":")[0] + ":0"
    assert sum(counted(lambda: redis.fcall_ro("group_read", 1, group_key("g"), 10, 10**5, since)).values()) <= 8


def test_a_send_to_an_inbox_costs_the_same_however_many_messages_it_has(policy, send, counted):
    policy({"match": "{user}.in", "size": 5000, "inbox": True})
    send(group="42.in")
    first = counted(lambda: send(group="42.in"))
    for _ in range(4000):
        send(group="42.in")
    assert counted(lambda: send(group="42.in")) == first and sum(first.values()) <= 22


def test_a_call_asks_for_the_history_once_however_many_groups_are_of_an_older_one(redis, send, fail_over, counted):
    groups = [f"g{n}" for n in range(100)]
    keys = [group_key(group) for group in groups]
    for group in groups:
        send(group=group)
    fail_over()
    send()
    read = counted(lambda: redis.fcall_ro("group_read", 100, *keys, 100, 10**6, *[""] * 100))
    joins = ("specific.gw!1", "", "") * 100
    joined = counted(lambda: redis.fcall("group_add", 100, *keys, "gw", 60, *joins))
    joined_again = counted(lambda: redis.fcall("group_add", 100, *keys, "gw", 60, *joins))
    assert (read["cmdstat_info"], joined["cmdstat_info"]) == (1, 1)
    assert "cmdstat_info" not in joined_again, "what INFO said is kept"


@pytest.fixture
def send_by_django(server):
    """send_by_django(group): by channels_redis' own group_send"""

    def send(group):
        async def group_send():
            layer = RedisChannelLayer(hosts=[server.url])
            await layer.group_send(group, {"type": "receive", "balance": 3.5})
            await layer.close_pools()

        asyncio.run(group_send())

    return send


def test_a_channels_redis_send_to_it_writes_one_message(redis, send_by_django, counted):
    fill(redis, "huge", 5000)
    assert counted(lambda: send_by_django("huge"))["cmdstat_zadd"] == 1


@pytest.fixture
def spent(redis):
    """spent(f) → microseconds that Redis spent on f()'s group_read, by its own clock: the median of several"""

    def spent(f):
        times = []
        for _ in range(7):
            redis.config_resetstat()
            f()
            times.append(redis.info("commandstats")["cmdstat_fcall_ro"]["usec"])
        return statistics.median(times)

    return spent


@pytest.fixture
def page(redis, send):
    """page(group, number, length) → a function that reads a page from the beginning of a log of such messages"""

    def page(group, number, length, *options):
        for _ in range(number):
            position = send(b'{"pad":"%s"}' % (b"x" * (length - 10)), *options, group=group)[0]
        since = str(position._replace(offset=0))
        return lambda limit=100, size=1 << 18: redis.fcall_ro("group_read", 1, group_key(group), limit, size, since)[0][3]

    return page


def test_a_page_costs_what_it_gives_and_not_what_the_log_has(page, spent):
    """The forty MiB after it are not read too."""
    long, short = page("long", 40, 1 << 20), page("short", 1, 1 << 20)
    assert len(long()) == len(short()) == 2, "an offset and a message"
    assert spent(long) <= 3 * spent(short)


@pytest.mark.parametrize("length", [1 << 10, 1 << 14, 1 << 16, 1 << 18])
def test_a_page_s_cost_is_linear_in_its_messages(page, spent, length):
    read = page("g", 64, length)
    few, many = spent(lambda: read(limit=4, size=10**9)), spent(lambda: read(limit=32, size=10**9))
    assert many <= 8 * few * 2, f"{few} us for 4, {many} us for 32"


def test_a_page_of_many_small_messages_and_one_of_a_large_one_cost_about_the_same(page, spent):
    """A call is limited in time: some hundred microseconds each, whatever there is to read."""
    costs = {length: spent(page(f"g{length}", 100, length)) for length in (30, 1000, 1 << 14, 1 << 16, 1 << 18)}
    assert max(costs.values()) <= 5 * min(costs.values()), costs


def test_what_has_expired_costs_no_more_than_what_has_not(redis, page, spent):
    kept = page("kept", 40, 1 << 18)
    expired = page("expired", 40, 1 << 18, "TTL", "1")
    wait_until(lambda: not any(expired(limit=1)[1::2]))
    assert spent(expired) <= 3 * spent(kept)


def test_two_hundred_groups_of_many_small_messages_are_no_longer_call(redis, send, spent):
    """Those that do not fit ask again."""
    groups = [f"g{n}" for n in range(200)]
    pipeline = redis.pipeline(transaction=False)
    for group in groups:
        for _ in range(60):
            pipeline.fcall("group_send", 1, group_key(group), b'{"n":1}')
    starts = [answer[0].decode().rpartition(":")[0] + ":0" for answer in pipeline.execute()[::60]]

    def read(count, size=1 << 18):
        return redis.fcall_ro("group_read", count, *map(group_key, groups[:count]), 100, size, *starts[:count])

    answers = read(200)
    assert sum(len(entries) for *_, entries in answers) / 2 <= 256
    assert [verdict for verdict, *_ in answers].count(b"later") > 190
    all_of_them = spent(lambda: read(200, size=10**9))
    assert spent(lambda: read(200)) * 8 < all_of_them
