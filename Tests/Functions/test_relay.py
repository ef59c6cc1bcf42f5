"""The relay: messages that Django's core layer put into the fleet's inbox are all staged, and sent once, in order."""

import asyncio
import threading

import msgpack
import pytest
from channels_redis.core import RedisChannelLayer
from redis.exceptions import ResponseError

from harness.names import fleet_member, group_key, inbox_key, inbox_number, own

INBOX, STAGING = inbox_key("g"), own(f"staging:{inbox_number('g'):02x}")


@pytest.fixture
def collect(redis):
    """collect(limit) → (moved, [(id, message), …])"""

    def collect(limit=100, inbox=INBOX, client=redis):
        moved, *_, staged = client.fcall("relay_collect", 2, inbox, STAGING, limit)
        return moved, [tuple(entry) for entry in staged]

    return collect


@pytest.fixture
def commit(redis):
    def commit(entry, message, *groups, client=redis):
        return client.fcall("relay_commit", 1 + len(groups), STAGING, *map(group_key, groups), entry, message)

    return commit


def put(redis, *messages, start=1.0):
    """Like the layer's group_send: the score is the sender's clock."""
    redis.zadd(INBOX, {message: start + i for i, message in enumerate(messages)})


def number(message):
    return int(message.rstrip(b"}").rsplit(b":", 1)[1])


def test_the_inbox_is_emptied_in_the_order_of_the_senders_clocks(redis, collect):
    redis.zadd(INBOX, {b"third": 3.5, b"first": 1.25, b"second": 2.5})
    moved, staged = collect()
    assert moved == 3 and [m for _, m in staged] == [b"first", b"second", b"third"]
    assert not redis.exists(INBOX)


def test_an_empty_inbox_answers_what_is_still_staged(redis, collect):
    assert collect() == (0, [])
    assert not redis.exists(STAGING)
    put(redis, b"a", b"b")
    _, staged = collect()
    assert collect() == (0, staged)


def test_the_limit_is_on_the_answer_not_on_the_emptying(redis, collect):
    put(redis, *[b"%03d" % i for i in range(150)])
    moved, staged = collect(limit=10)
    assert moved == 150 and [m for _, m in staged] == [b"%03d" % i for i in range(10)]
    assert not redis.exists(INBOX) and redis.xlen(STAGING) == 150


def test_an_overfull_inbox_is_emptied_a_thousand_at_a_time(redis, collect):
    put(redis, *[b"%04d" % i for i in range(2500)])
    assert [collect()[0] for _ in range(4)] == [1000, 1000, 500, 0]
    assert [f[b"m"] for _, f in redis.xrange(STAGING)] == [b"%04d" % i for i in range(2500)]


def test_large_messages_are_moved_and_answered_a_megabyte_at_a_time(redis):
    """A call blocks Redis for everybody: it costs as much as a MiB costs, however much there is."""
    large = [b"%02d" % n + b"x" * 400_000 for n in range(10)]
    put(redis, *large)
    calls, told = 0, []
    while True:
        moved, more, _, staged = redis.fcall("relay_collect", 2, INBOX, STAGING, 100)
        assert moved <= 3 and len(staged) <= 3
        for entry, message in staged:
            told.append(message)
            redis.fcall("relay_commit", 2, STAGING, group_key("g"), entry, b'{"n":%d}' % int(message[:2]))
        calls += 1
        if not more and not staged:
            break
    assert told == large and calls >= 4


def test_any_bytes_are_staged_as_they_are(redis, collect):
    message = bytes(range(256)) + b"\r\n+OK\r\n"
    put(redis, message)
    assert collect()[1][0][1] == message


def test_a_commit_tells_the_group_and_unstages(redis, collect, commit, listen, send):
    listener = listen()
    put(redis, b"raw")
    [(entry, _)] = collect()[1]
    assert commit(entry, b'{"n":1}', "g") == 1
    assert not redis.xlen(STAGING)
    [received] = listener.take()
    assert received.endswith(b'"n":1}') and received.startswith(b'{"__tocsin__":"')
    assert [f[b"m"] for _, f in redis.xrange(own("log:g"))] == [b'{"n":1}']
    assert send()[0].offset == 2


def test_a_commit_to_several_groups_counts_in_each(redis, collect, commit):
    put(redis, b"raw")
    [(entry, _)] = collect()[1]
    assert commit(entry, b"{}", "a", "b", "c") == 3
    assert [redis.xlen(own(f"log:{g}")) for g in "abc"] == [1, 1, 1]


def test_a_second_commit_finds_it_gone_and_tells_nobody(redis, collect, commit, listen):
    listener = listen()
    put(redis, b"raw")
    [(entry, _)] = collect()[1]
    assert [commit(entry, b"{}", "g") for _ in range(3)] == [1, -1, -1]
    assert len(listener.take()) == 1 and redis.xlen(own("log:g")) == 1


def test_a_commit_before_its_turn_waits_for_the_older_ones(redis, collect, commit, listen):
    listener = listen()
    put(redis, b"0", b"1", b"2")
    (zero, _), (one, _), (two, _) = collect()[1]
    assert commit(two, b'{"n":2}', "g") == -2
    assert redis.fcall("relay_commit", 1, STAGING, one) == -2
    assert listener.take() == [] and redis.xlen(STAGING) == 3 and not redis.exists(own("pos:g"))
    assert [commit(zero, b'{"n":0}', "g"), commit(two, b'{"n":2}', "g")] == [1, -2]
    assert redis.fcall("relay_commit", 1, STAGING, one) == 0, "one that nobody can read goes in its turn, too"
    assert [commit(two, b'{"n":2}', "g"), commit(zero, b'{"n":0}', "g")] == [1, -1]
    assert [number(m) for m in listener.take()] == [0, 2]


def test_a_commit_without_groups_only_removes(redis, collect, commit):
    put(redis, b"nobody can read this", b"next")
    [(first, _), (second, _)] = collect()[1]
    assert redis.fcall("relay_commit", 1, STAGING, first) == 0
    assert [e for e, _ in collect()[1]] == [second]
    assert redis.fcall("relay_commit", 1, STAGING, first) == -1
    assert not redis.exists(own("log:g"))


@pytest.mark.parametrize("message", [b"", b"not json", b"[]", b"\x81\xa1a", b'{"a":"' + b"x" * 1048576 + b'"}'])
def test_a_refused_message_stays_staged(redis, collect, commit, listen, message):
    listener = listen()
    put(redis, b"raw")
    [(entry, _)] = collect()[1]
    with pytest.raises(ResponseError, match="tocsin: the message"):
        commit(entry, message, "g")
    assert collect()[1] == [(entry, b"raw")]
    assert listener.take() == [] and not redis.exists(own("log:g"), own("pos:g"))
    assert commit(entry, b"{}", "g") == 1


def test_a_bad_group_among_good_ones_leaves_it_staged(redis, collect, commit):
    put(redis, b"raw")
    [(entry, _)] = collect()[1]
    with pytest.raises(ResponseError, match="tocsin: the key must be"):
        commit(entry, b"{}", "g", "not good")
    assert len(collect()[1]) == 1 and not redis.exists(own("log:g"))


def test_a_commit_without_its_message_or_with_a_bad_id_is_refused(redis, collect):
    put(redis, b"raw")
    collect()
    for call in ((2, STAGING, group_key("g"), "1-0"), (2, STAGING, group_key("g")), (1, STAGING), (0, "1-0", "{}")):
        with pytest.raises(ResponseError, match="tocsin: relay_commit wants"):
            redis.fcall("relay_commit", *call)
    with pytest.raises(ResponseError, match="Invalid stream ID"):
        redis.fcall("relay_commit", 2, STAGING, group_key("g"), "nonsense", "{}")
    assert redis.xlen(STAGING) == 1 and not redis.exists(own("log:g"))


def test_a_commit_of_an_unknown_id_says_that_it_is_gone(commit):
    assert commit("1-1", b"{}", "g") == -1


def test_a_log_of_the_wrong_type_leaves_it_staged(redis, collect, commit):
    redis.set(own("log:g"), "not a stream")
    redis.hset(own("pos:g"), mapping={"epoch": "0" * 8, "history": "0" * 10, "offset": 1, "lineage": "0:0"})
    put(redis, b"raw")
    [(entry, _)] = collect()[1]
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        commit(entry, b"{}", "g")
    assert collect()[1] == [(entry, b"raw")]


def test_an_inbox_of_the_wrong_type_is_an_error_and_loses_nothing(redis, collect):
    put(redis, b"staged")
    collect()
    redis.rpush(INBOX, b"from channels_redis 2")
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        collect()
    assert redis.lrange(INBOX, 0, -1) == [b"from channels_redis 2"] and redis.xlen(STAGING) == 1


@pytest.mark.parametrize("limit", ["0", "-1", "x", "10001"])
def test_collect_wants_a_limit(redis, collect, limit):
    put(redis, b"raw")
    with pytest.raises(ResponseError, match="tocsin: relay_collect wants"):
        collect(limit)
    assert redis.zcard(INBOX) == 1


def test_collect_wants_two_keys(redis):
    for keys in ([INBOX], [INBOX, STAGING, "x"]):
        with pytest.raises(ResponseError, match="tocsin: relay_collect wants"):
            redis.fcall("relay_collect", len(keys), *keys, 10)


def test_two_committers_step_by_step_tell_each_message_once_and_in_order(server, redis, collect, commit, listen):
    """Both collect the same messages, then take turns at each: the second one is told that it is gone."""
    listener, other = listen(), server.client()
    put(redis, *[b"%d" % i for i in range(20)])
    one, two = collect()[1], collect(client=other)[1]
    assert one == two
    for turn, (entry, message) in enumerate(one):
        clients = (redis, other) if turn % 2 else (other, redis)
        answers = [commit(entry, b'{"n":%s}' % message, "g", client=client) for client in clients]
        assert answers == [1, -1]
    assert [number(m) for m in listener.take()] == list(range(20))


def test_two_racing_gateways_and_a_sender_tell_each_message_once_and_in_order(server, redis, listen):
    listener, total = listen(), 600
    done = threading.Event()
    told = [0, 0]

    def gateway(index):
        client = server.client()
        while True:
            finished = done.is_set()
            *_, staged = client.fcall("relay_collect", 2, INBOX, STAGING, 7)
            for entry, message in staged:
                told[index] += client.fcall("relay_commit", 2, STAGING, group_key("g"), entry, b'{"n":%s}' % message) == 1
            if finished and not staged:
                return

    gateways = [threading.Thread(target=gateway, args=(i,)) for i in range(2)]
    for thread in gateways:
        thread.start()
    for n in range(total):
        redis.zadd(INBOX, {b"%d" % n: 1 + n})
    done.set()
    for thread in gateways:
        thread.join()
    assert [number(m) for m in listener.take()] == list(range(total))
    assert sum(told) == total
    assert [f[b"m"] for _, f in redis.xrange(own("log:g"))][-1] == b'{"n":%d}' % (total - 1)
    assert redis.xlen(STAGING) == 0


def test_what_an_unmodified_channels_redis_sends_is_collected(server, redis, collect):
    redis.fcall("group_add", 1, group_key("g"), "gw", 86400, "specific.gw!1", "42", "")
    doorbell = redis.pubsub()
    doorbell.subscribe(f"__keyspace@3__:{INBOX}")
    assert doorbell.get_message(timeout=5)["type"] == "subscribe"

    async def group_send():
        layer = RedisChannelLayer(hosts=[server.url])
        await layer.group_send("g", {"type": "receive", "isInsufficient:": True, "balance": 3.5})
        await layer.close_pools()

    asyncio.run(group_send())
    assert doorbell.get_message(timeout=5)["data"] == b"zadd"
    moved, [(_, message)] = collect()
    assert moved == 1
    assert msgpack.unpackb(message[12:]) == {
        "type": "receive", "isInsufficient:": True, "balance": 3.5, "__asgi_channel__": [fleet_member("g")]}
