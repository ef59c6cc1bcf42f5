"""Redis dies, freezes, forgets: accepted messages are there afterwards, or clients that miss them are told."""

import threading
import time

import pytest
from harness.free_port import free_port
from harness.redis_server import RedisServer
from harness.waiting import wait_until

from .bench import aof
from .bench.load import Load, durable_redis
from .bench.logs import NOTICE

pytestmark = pytest.mark.timeout(300)

LIBRARY_BACK = 1.0  # seconds; FAULTS F20
TOLD_WITHIN = 10.0  # seconds; FAULTS F19
KILL_EVERY = 0.5


def assert_red_within(load, seconds):
    load.await_ready(503, seconds)


def restart(load, quick, full):
    """Redis is down for a while; gateways report it, and keep their clients."""
    assert_red_within(load, 5)
    load.last(quick, full)
    load.redis.start()
    load.healed()
    load.await_ready()


@pytest.mark.quick
def test_f12_redis_is_killed_with_appendfsync_always(scale):
    with Load(scale, redis=durable_redis("always")) as load:
        load.calm()
        load.redis.kill()
        restart(load, 2, 15)
        load.calm()
        verdict = load.judge("F12 Redis SIGKILL, appendfsync always")
        assert verdict.reconnects == 0, "a Redis that is away is no reason to cut clients"


def test_f12_redis_is_killed_with_appendfsync_everysec(scale):
    """The process dies, the machine survives: what was written to the file is there."""
    with Load(scale) as load:
        load.calm()
        load.redis.kill()
        restart(load, 2, 15)
        load.calm()
        verdict = load.judge("F12 Redis SIGKILL, appendfsync everysec", allowed={"rolled_back"})
        assert verdict.reconnects == 0


def test_f12_clients_come_and_go_while_redis_is_away(scale):
    """They are refused until it is back, and have then missed nothing."""
    with Load(scale) as load:
        load.calm()
        load.redis.kill()
        assert_red_within(load, 5)
        load.fleet.flip(0.5)
        load.last(3, 10)
        load.redis.start()
        load.healed()
        load.await_ready()
        load.calm()
        verdict = load.judge("F12 half of the clients reconnect while Redis is away")
        assert verdict.reconnects >= len(load.logs) // 3


def test_f12_redis_comes_back_empty(scale):
    """Without an append-only file there is nothing to resume, and all clients are told."""
    server = RedisServer(aof=False)
    server.port = free_port()
    with Load(scale, redis=server) as load:
        load.calm()
        load.redis.kill()
        restart(load, 2, 5)
        load.calm()
        load.calm()
        load.judge("F12 Redis comes back empty", required={"reset"})


def lose_the_last_second(load):
    """The machine dies: what was accepted in the last second is not on the disk."""
    safe = aof.size(load.redis)
    time.sleep(1)
    load.redis.kill()
    return aof.cut(load.redis, to=safe)


def test_f12_the_machine_loses_power_with_appendfsync_everysec(scale):
    with Load(scale, redis=durable_redis("everysec", "--aof-load-truncated", "yes")) as load:
        load.calm()
        gone = lose_the_last_second(load)
        restart(load, 1, 1)
        load.calm()
        load.judge("F12 power loss, appendfsync everysec: 1 s gone", allowed={"rolled_back"}, bytes_gone=gone)


def test_f12_control_a_tail_that_nobody_saw_is_lost_without_a_trace(scale):
    """Power is lost while all clients are away: their cursors are before the end of what the disk has, so nothing can prove that
    more was accepted. Only `appendfsync always`, or waiting for replicas, prevents that (docs/reliability.md)."""
    with Load(scale, redis=durable_redis("everysec", "--aof-load-truncated", "yes")) as load:
        load.calm()
        load.fleet.drop()
        load.last(1, 1)
        lose_the_last_second(load)
        restart(load, 1, 1)
        load.fleet.start()
        load.healed()
        load.calm()
        verdict = load.compare(allowed={"rolled_back", "history_changed", "gap"})
        assert (verdict.duplicated, verdict.reordered, verdict.phantoms) == (0, 0, 0), f"{verdict}"
        # At most one gap in each group of each client: the tail.
        assert 0 < verdict.untold <= sum(len(log.groups) for log in load.logs.values()), f"{verdict}"


def test_f12_power_loss_while_a_gateway_is_frozen(scale):
    """It wakes up with a connection that ended long ago, and positions that are no longer valid."""
    with Load(scale, redis=durable_redis("everysec", "--aof-load-truncated", "yes")) as load:
        load.calm()
        frozen, *others = load.gateways
        frozen.pause()
        lose_the_last_second(load)
        for gateway in others:
            load.await_ready_of(gateway, 503, 5)
        load.redis.start()
        load.last(3, 10)
        frozen.resume()
        load.healed()
        load.await_ready()
        load.calm()
        load.judge("F12 power loss while a gateway is frozen", allowed={"rolled_back", "history_changed", "gap"})


def test_f13_redis_is_killed_again_and_again(scale):
    with Load(scale) as load:
        load.calm()
        for _ in range(scale.pick(3, 50)):
            load.redis.kill()
            load.redis.start()
            load.last(1, 2)
        load.healed()
        load.calm()
        verdict = load.judge(f"F13 Redis SIGKILL {scale.pick(3, 50)} times")
        assert verdict.reconnects == 0


def test_f14_redis_is_frozen_for_10_s(scale):
    """Calls that were sent to it are executed when it wakes up, without their senders knowing: they send again."""
    with Load(scale) as load:
        load.calm()
        with load.frozen_redis():
            assert_red_within(load, 5)
            load.last(10, 10)
        load.healed()
        load.await_ready()
        load.calm()
        verdict = load.judge("F14 Redis SIGSTOP 10 s")
        assert verdict.retried > 0
        assert verdict.reconnects == 0


def test_f16_the_append_only_file_has_a_torn_tail(scale):
    with Load(scale, redis=durable_redis("everysec", "--aof-load-truncated", "yes")) as load:
        load.calm()
        load.redis.kill()
        gone = aof.cut(load.redis, by=250)
        restart(load, 1, 1)
        load.calm()
        load.judge("F16 torn AOF tail", allowed={"rolled_back"}, bytes_gone=gone)


@pytest.mark.quick
def test_f19_everything_is_flushed(scale):
    with Load(scale) as load:
        load.calm()
        flushed = time.monotonic()
        load.redis.client().flushall()
        load.healed()
        load.calm()
        load.calm()
        load.judge("F19 FLUSHALL", required={"reset"})
        told = [max(e.time for e in client.of("notice")) - flushed for client in load.logs.values()]
        assert max(told) < TOLD_WITHIN


def test_f19_everything_is_flushed_while_nothing_is_sent(scale):
    """No later message reveals it; the check of quiet groups does."""
    with Load(scale) as load:
        load.calm()
        load.publishers.stop()
        load.redis.client().flushall()
        load.last(12, 12)
        load.publishers.start()
        load.calm()
        load.judge("F19 FLUSHALL in silence", allowed={"reset"})


def test_f19_everything_is_flushed_while_clients_are_away(scale):
    with Load(scale) as load:
        load.calm()
        load.fleet.drop()
        load.last(1, 1)
        load.redis.client().flushall()
        load.last(1, 1)
        load.fleet.start()
        load.calm()
        load.judge("F19 FLUSHALL while clients are away", required={"reset"})


@pytest.mark.parametrize("key, allowed", [("pos", {"reset"}), ("log", {"gap"})], ids=["position", "log"])
def test_f19_keys_of_some_groups_are_deleted(scale, key, allowed):
    """Only their clients are told, and only what is true: a missing log matters only to clients that are away."""
    with Load(scale) as load:
        load.calm()
        some = load.group_names[::4]
        load.redis.client().delete(*(f"tocsin:{key}:{group}" for group in some))
        load.calm()
        load.judge(f"F19 tocsin:{key} of some groups deleted", allowed=allowed)
        told = {e.fields[0] for log in load.logs.values() for e in log.of(NOTICE)}
        assert told == (set(some) if key == "pos" else set())


def test_f19_a_notice_is_given_once(scale):
    """A client that has been told is not told again when it reconnects without further messages."""
    with Load(scale, patience=1) as load:
        load.calm()
        load.publishers.stop()
        load.redis.client().flushall()
        load.last(12, 12)
        for _ in range(2):
            load.fleet.drop()
            load.fleet.start()
        load.last(1, 1)
        load.judge("F19 FLUSHALL, then reconnects in silence", allowed={"reset"})
        assert max(len(log.of(NOTICE)) / len(log.groups) for log in load.logs.values()) == 1


@pytest.mark.quick
def test_f20_the_functions_are_flushed(scale):
    with Load(scale) as load:
        load.calm()
        began = time.monotonic()
        load.redis.client().execute_command("FUNCTION", "FLUSH")
        client = load.redis.client()
        wait_until(lambda: client.fcall("tocsin_version", 0), 10, "the function library")
        back = time.monotonic() - began
        load.healed()
        load.calm()
        verdict = load.judge("F20 FUNCTION FLUSH", library_back_s=round(back, 2))
        assert verdict.rejected > 0
        assert back <= LIBRARY_BACK


class Killer:
    """CLIENT KILL TYPE …, repeatedly, for as long as the context is entered."""

    def __init__(self, redis, *types):
        self._client, self._types = redis.client(), types
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.kills = 0

    def _run(self):
        while not self._ended.is_set():
            for kind in self._types:
                self.kills += self._client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
                self._ended.wait(KILL_EVERY)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()


@pytest.mark.quick
@pytest.mark.parametrize("types", [("pubsub", "normal")], ids="-".join)
def test_f41_connections_are_killed_again_and_again(scale, types):
    kill_in_a_loop(scale, types)


@pytest.mark.parametrize("types", [("pubsub",), ("normal",)], ids="-".join)
def test_f41_connections_of_one_type_are_killed(scale, types):
    kill_in_a_loop(scale, types)


def kill_in_a_loop(scale, types):
    with Load(scale) as load:
        load.calm()
        with Killer(load.redis, *types) as killer:
            load.last(5, 30)
        load.healed()
        load.calm()
        assert killer.kills >= scale.gateways
        load.judge(f"F41 CLIENT KILL TYPE {' and '.join(types)} every {KILL_EVERY} s", kills=killer.kills)


def test_f18_memory_is_full(scale):
    """Nothing is evicted to make room: sends are refused with an error."""
    with Load(scale) as load:
        load.calm()
        client = load.redis.client()
        client.config_set("maxmemory", client.info("memory")["used_memory"] // 2)
        load.last(1, 3)
        client.config_set("maxmemory", 0)
        load.healed()
        load.calm()
        verdict = load.judge("F18 memory full")
        assert verdict.rejected > 0
        assert verdict.reconnects == 0
        assert client.info("stats")["evicted_keys"] == 0


def test_f42_a_foreign_script_is_busy_for_8_s(scale):
    """Redis answers BUSY to everybody, which is as good as being down."""
    with Load(scale) as load:
        load.calm()
        script = "local t = redis.call('TIME')[1] + 8 while tonumber(redis.call('TIME')[1]) < t do end"
        busy = threading.Thread(target=load.redis.client().eval, args=(script, 0))
        busy.start()
        assert_red_within(load, 7)
        busy.join()
        load.healed()
        load.await_ready()
        load.calm()
        verdict = load.judge("F42 a script is busy for 8 s")
        assert verdict.reconnects == 0
