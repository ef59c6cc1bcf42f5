"""Positions: what survives a restart, what a failover adds, and when nothing can be trusted any more."""

import pytest
from redis.exceptions import ReadOnlyError

from harness.names import Position, group_key, own
from harness.redis_server import RedisServer
from harness.waiting import wait_until


def history_of(redis):
    return redis.info("replication")["master_replid"][:10]


def add(redis, group="g"):
    position, _ = redis.fcall("group_add", 1, group_key(group), "gw", 60, "specific.gw!1", "42", "")
    return Position.parse(position)


def field(redis, name, group="g"):
    return redis.hget(own(f"pos:{group}"), name).decode()


def test_the_history_is_the_server_s_replication_id(redis, send):
    position, _ = send()
    assert position.history == history_of(redis)
    assert redis.hgetall(own("pos:g")) == {
        b"epoch": position.epoch.encode(), b"history": position.history.encode(), b"offset": b"1",
        b"lineage": f"{position.history}:0".encode()}


def test_a_position_is_made_by_the_first_message_not_by_who_waits_for_it(redis, send):
    assert add(redis) == Position("0", "0", 0)
    assert not redis.exists(own("pos:g"))
    sent = send()[0]
    assert sent.offset == 1 and add(redis) == sent


def test_epochs_are_random(send):
    assert len({send(group=f"g{i}")[0].epoch for i in range(200)}) == 200


def test_the_same_group_after_a_flush_has_another_epoch(redis, send):
    before, _ = send()
    redis.flushall()
    after, _ = send()
    assert after.offset == 1 and after.epoch != before.epoch and after.history == before.history


def test_a_vanished_position_is_a_new_epoch_and_the_old_log_is_not_mixed_in(redis, send):
    before = [send(b'{"old":1}')[0] for _ in range(5)][-1]
    redis.delete(own("pos:g"))
    after, _ = send(b'{"new":1}')
    assert after.epoch != before.epoch and after.offset == 1
    assert [(i, f[b"m"]) for i, f in redis.xrange(own("log:g"))] == [(b"1-0", b'{"new":1}')]


def test_a_send_without_log_after_the_position_vanished_drops_the_old_log(redis, send):
    send()
    redis.delete(own("pos:g"))
    assert send(b"{}", "SIZE", "0")[0].offset == 1
    assert not redis.exists(own("log:g"))


def test_who_joins_after_the_position_vanished_is_given_what_comes_and_nothing_old(redis, send):
    before = [send(b'{"old":1}')[0] for _ in range(5)][-1]
    redis.delete(own("pos:g"))
    joined = add(redis)
    assert joined == Position("0", "0", 0)
    after, _ = send(b'{"new":1}')
    assert after.epoch != before.epoch and after.offset == 1
    [[verdict, position, _, entries]] = redis.fcall_ro("group_read", 1, group_key("g"), 10, 1000, "0.0:0")
    assert (verdict, Position.parse(position), entries) == (b"resumed", after, [1, b'{"new":1}'])


@pytest.mark.parametrize("missing", ["epoch", "offset"])
def test_half_a_position_is_none(redis, send, missing):
    before = [send()[0] for _ in range(3)][-1]
    redis.hdel(own("pos:g"), missing)
    after, _ = send()
    assert after.epoch != before.epoch and after.offset == 1
    assert redis.xlen(own("log:g")) == 1


@pytest.mark.parametrize("counter", [0, 3, 9])
def test_a_log_ahead_of_its_counter_is_a_new_epoch(redis, send, listen, counter):
    before = [send(b'{"old":1}')[0] for _ in range(10)][-1]
    redis.hset(own("pos:g"), "offset", counter)
    listener = listen()
    after, _ = send(b'{"new":1}')
    assert after.epoch != before.epoch and (after.history, after.offset) == (before.history, 1)
    assert field(redis, "lineage") == f"{after.history}:0"
    assert [i for i, _ in redis.xrange(own("log:g"))] == [b"1-0"]
    assert str(after).encode() in listener.take()[0]
    assert send()[0] == after._replace(offset=2)


def test_a_new_history_keeps_epoch_and_offsets_and_says_what_it_inherited(redis, send, fail_over):
    first = history_of(redis)
    before = [send()[0] for _ in range(7)][-1]
    second = fail_over()
    after, _ = send()
    assert after == Position(before.epoch, second, 8)
    assert field(redis, "lineage") == f"{first}:0,{second}:7"
    third = fail_over()
    assert send()[0] == Position(before.epoch, third, 9)
    assert field(redis, "lineage") == f"{first}:0,{second}:7,{third}:8"
    assert len(redis.xrange(own("log:g"))) == 9


def test_a_join_finds_the_new_history_too_and_writes_it_down(redis, send, fail_over):
    first = history_of(redis)
    before, _ = send()
    second = fail_over()
    assert add(redis) == Position(before.epoch, second, 1)
    assert field(redis, "lineage") == f"{first}:0,{second}:1"
    assert field(redis, "history") == second


def test_a_history_without_messages_is_in_the_lineage_only_if_somebody_saw_it(redis, send, fail_over):
    first = history_of(redis)
    send()
    fail_over()
    last = fail_over()
    send()
    assert field(redis, "lineage") == f"{first}:0,{last}:1"


def test_the_lineage_remembers_sixteen_histories_and_forgets_the_oldest(redis, send, fail_over):
    expected = [f"{history_of(redis)}:0"]
    send()
    for offset in range(1, 25):
        expected.append(f"{fail_over()}:{offset}")
        send()
    assert field(redis, "lineage").split(",") == expected[-16:]


def test_a_restart_keeps_epoch_offset_and_log_under_a_new_history():
    with RedisServer(aof=True) as server:
        server.load_library()

        def send(message):
            answer = server.client().fcall("group_send", 1, group_key("g"), message)
            return Position.parse(answer[0])

        first = [send(b'{"n":%d}' % n) for n in range(1, 4)][-1]
        lineage = [f"{first.history}:0"]
        for end in (server.stop, server.kill):
            end()
            server.start()
            after = send(b"{}")
            assert after.epoch == first.epoch
            assert after.history == history_of(server.client()) != first.history
            lineage.append(f"{after.history}:{after.offset - 1}")
        assert after.offset == 5
        redis = server.client()
        assert field(redis, "lineage").split(",") == lineage
        assert [f[b"m"] for _, f in redis.xrange(own("log:g"))][:3] == [b'{"n":1}', b'{"n":2}', b'{"n":3}']


def test_a_restart_that_lost_everything_is_a_new_epoch():
    with RedisServer() as server:
        server.load_library()
        before = Position.parse(server.client().fcall("group_send", 1, group_key("g"), "{}")[0])
        server.kill()
        server.start()
        server.load_library()
        after = Position.parse(server.client().fcall("group_send", 1, group_key("g"), "{}")[0])
        assert after.offset == 1 and after.epoch != before.epoch


# A replica is served immediately, instead of waiting for others to come.
AT_ONCE = ("--repl-diskless-sync-delay", "0")


def test_a_promoted_replica_goes_on_under_another_history():
    with RedisServer(args=AT_ONCE) as primary, RedisServer() as replica:
        primary.load_library()
        old, new = primary.client(), replica.client()
        before = Position.parse(old.fcall("group_send", 1, group_key("g"), "{}")[0])
        new.execute_command("REPLICAOF", "127.0.0.1", primary.port)
        wait_until(lambda: new.info("replication")["master_link_status"] == "up")
        # The first replica's arrival may cause a new id (replication.c creates the backlog), but no new epoch.
        middle = Position.parse(old.fcall("group_send", 1, group_key("g"), "{}")[0])
        assert (middle.epoch, middle.offset) == (before.epoch, 2)
        assert old.wait(1, 5000) == 1
        new.execute_command("REPLICAOF", "NO", "ONE")
        after = Position.parse(new.fcall("group_send", 1, group_key("g"), "{}")[0])
        assert (after.epoch, after.offset) == (before.epoch, 3)
        assert after.history not in (before.history, middle.history)
        other = Position.parse(old.fcall("group_send", 1, group_key("g"), "{}")[0])
        assert (other.epoch, other.offset) == (after.epoch, after.offset), "the same offset given to another message"
        assert other.history != after.history, "told apart by the history"


def test_a_primary_that_was_a_replica_meanwhile_goes_on_under_the_other_server_s_history_and_then_its_new_one():
    with RedisServer(args=AT_ONCE) as one, RedisServer(args=AT_ONCE) as two:
        one.load_library()
        clients = {one: one.client(), two: two.client()}
        sent = []

        def send(server):
            sent.append(Position.parse(clients[server].fcall("group_send", 1, group_key("g"), "{}")[0]))

        def follow(follower, leader):
            clients[follower].execute_command("REPLICAOF", "127.0.0.1", leader.port)
            wait_until(lambda: clients[follower].info("replication")["master_link_status"] == "up")

        follow(two, one)
        send(one)
        assert clients[one].wait(1, 5000) == 1
        for old, new in ((one, two), (two, one), (one, two)):
            clients[new].execute_command("REPLICAOF", "NO", "ONE")
            follow(old, new)
            send(new)
            assert clients[new].wait(1, 5000) == 1
        assert [position.offset for position in sent] == [1, 2, 3, 4]
        assert len({position.epoch for position in sent}) == 1
        assert len({position.history for position in sent}) == 4, "each change of the primary is told"


def test_a_primary_that_was_a_replica_without_missing_anything_gives_no_offset_twice():
    with RedisServer(args=AT_ONCE) as one, RedisServer(args=AT_ONCE) as two:
        one.load_library()
        first, second = one.client(), two.client()
        second.execute_command("REPLICAOF", "127.0.0.1", one.port)
        wait_until(lambda: second.info("replication")["master_link_status"] == "up")
        before = Position.parse(first.fcall("group_send", 1, group_key("g"), "{}")[0])
        assert first.wait(1, 5000) == 1
        second.execute_command("REPLICAOF", "NO", "ONE")
        # The first server writes what the other one never gets, and must discard it when it becomes a replica.
        lost = Position.parse(first.fcall("group_send", 1, group_key("g"), '{"lost":1}')[0])
        first.execute_command("REPLICAOF", "127.0.0.1", two.port)
        wait_until(lambda: first.info("replication")["master_link_status"] == "up")
        first.execute_command("REPLICAOF", "NO", "ONE")
        after = Position.parse(first.fcall("group_send", 1, group_key("g"), "{}")[0])
        assert (before.offset, lost.offset, after.offset) == (1, 2, 2)
        assert after.history != lost.history, "another message with the same offset is told apart"


@pytest.fixture
def primary_and_replica():
    """→ (primary, replica, cut), with a message of group g that both have. cut(): the replica gets nothing more."""
    with RedisServer(args=AT_ONCE) as primary, RedisServer(args=AT_ONCE) as replica:
        primary.load_library()
        old, new = primary.client(), replica.client()
        new.execute_command("REPLICAOF", "127.0.0.1", primary.port)
        wait_until(lambda: new.info("replication")["master_link_status"] == "up")
        send_to(old)
        assert old.wait(1, 5000) == 1
        yield old, new, lambda: new.execute_command("REPLICAOF", "127.0.0.1", 1)


def send_to(client, message="{}", group="g"):
    return Position.parse(client.fcall("group_send", 1, group_key(group), message)[0])


def ask(client, *since, group="g"):
    """What group_read answers to readers of the group: (verdict, position, proven, messages) for each."""
    answers = client.fcall_ro("group_read", len(since), *[group_key(group)] * len(since), 100, 10**6, *map(str, since))
    return [(verdict.decode(), position.decode(), proven, entries[1::2]) for verdict, position, proven, entries in answers]


READS = {
    "where it stands": lambda client: ask(client, ""),
    "what was sent": lambda client: ask(client, "0.0:0"),
    "another group": lambda client: ask(client, "", group="elsewhere"),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_a_replica_that_was_read_before_its_promotion_starts_a_new_history(primary_and_replica, read):
    old, new, cut = primary_and_replica
    cut()
    read(new)
    lost = send_to(old, '{"lost":1}')
    new.execute_command("REPLICAOF", "NO", "ONE")
    after = send_to(new, '{"new":1}')
    assert after.offset == lost.offset
    assert after.history == history_of(new) != lost.history, "another message with the same offset is told apart"
    assert field(new, "lineage") == f"{lost.history}:0,{after.history}:1"


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_who_saw_what_is_lost_is_told_after_the_promotion_of_a_replica_that_was_read(primary_and_replica, read):
    old, new, cut = primary_and_replica
    cut()
    read(new)
    lost = [send_to(old, '{"lost":%d}' % n) for n in range(3)]
    new.execute_command("REPLICAOF", "NO", "ONE")
    for _ in range(5):
        send_to(new)
    before = lost[0]._replace(offset=1)
    verdicts = [(verdict, proven) for verdict, _, proven, _ in ask(new, before, *lost)]
    assert verdicts == [("history_changed", 1)] + [("rolled_back", 1)] * 3


def test_a_replica_that_is_read_again_and_again_keeps_nothing_of_it(primary_and_replica):
    old, new, cut = primary_and_replica
    for _ in range(3):
        for read in READS.values():
            read(new)
        sent = send_to(old)
        assert old.wait(1, 5000) == 1
    cut()
    assert ask(new, sent) == [("resumed", str(sent), sent.offset, [])], "a replica says where it stands"
    new.execute_command("REPLICAOF", "NO", "ONE")
    assert send_to(new) == Position(sent.epoch, history_of(new), sent.offset + 1)


def test_a_primary_that_was_read_as_a_replica_in_between_goes_on_under_a_history_of_its_own(primary_and_replica):
    one, two, _ = primary_and_replica
    own_history = history_of(one)
    two.execute_command("REPLICAOF", "NO", "ONE")
    one.execute_command("REPLICAOF", "127.0.0.1", two.connection_pool.connection_kwargs["port"])
    wait_until(lambda: one.info("replication")["master_link_status"] == "up")
    middle = send_to(two)
    assert two.wait(1, 5000) == 1
    assert ask(one, middle)[0][0] == "resumed"
    one.execute_command("REPLICAOF", "127.0.0.1", 1)
    lost = send_to(two, '{"lost":1}')
    one.execute_command("REPLICAOF", "NO", "ONE")
    after = send_to(one)
    assert after.offset == lost.offset and after.history not in (lost.history, own_history)
    assert ask(one, lost)[0][::2] == ("rolled_back", middle.offset)


def test_a_replica_that_takes_writes_refuses_to_send_and_to_join(primary_and_replica):
    old, new, cut = primary_and_replica
    new.config_set("replica-read-only", "no")
    for refused in (send_to, add):
        with pytest.raises(ReadOnlyError, match="tocsin: this server is a replica"):
            refused(new)
    assert field(new, "offset") == "1" and not new.exists(group_key("g"))


def test_a_replica_that_takes_writes_and_was_a_primary_refuses_to_send_to_a_group_that_another_wrote(primary_and_replica):
    old, new, cut = primary_and_replica
    new.execute_command("REPLICAOF", "NO", "ONE")
    send_to(new, group="elsewhere")
    cut()
    new.config_set("replica-read-only", "no")
    with pytest.raises(ReadOnlyError, match="tocsin: this server is a replica"):
        send_to(new)
    assert field(new, "offset") == "1"


def test_a_replica_refuses_to_send():
    with RedisServer(args=AT_ONCE) as primary, RedisServer() as replica:
        primary.load_library()
        client = replica.client()
        client.execute_command("REPLICAOF", "127.0.0.1", primary.port)
        wait_until(lambda: client.info("replication")["master_link_status"] == "up")
        with pytest.raises(Exception, match="READONLY|read only replica"):
            client.fcall("group_send", 1, group_key("g"), "{}")
        assert client.fcall_ro("tocsin_version", 0) >= 1


def test_offsets_far_beyond_two_to_the_32_are_exact(redis, send):
    send()
    redis.hset(own("pos:g"), "offset", 2**52)
    assert send()[0].offset == 2**52 + 1
    assert send()[0].offset == 2**52 + 2
    assert redis.xrevrange(own("log:g"), count=1)[0][0] == b"%d-0" % (2**52 + 2)
