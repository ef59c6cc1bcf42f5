"""The database is really number 3, and two deployments on one Redis do not receive each other's messages."""

import contextlib
import json
import time

import pytest
from harness.gateway import Gateway

from .bench.checker import check
from .bench.fleet import Fleet
from .bench.load import Load, durable_redis, site_config
from .bench.publishers import Publishers

pytestmark = pytest.mark.timeout(180)

CANARY = "tocsin:test:canary"
SECONDS = 6


def test_f40_the_database_is_3(scale):
    others = (0, 1, 2, 4)
    with Load(scale) as load:
        for database in others:
            with load.redis.client(database) as client:
                client.set(CANARY, database)
        load.calm()
        connections = load.redis.client().client_list()
        assert {c["db"] for c in connections} == {"3"}, connections
        # Two per gateway: commands and subscriptions.
        assert len(connections) >= 2 * scale.gateways
        load.judge("F40 database 3")
        for database in others:
            assert load.redis.client(database).keys("*") == [CANARY.encode()]
            assert load.redis.client(database).get(CANARY) == str(database).encode()


class Deployment:
    """A gateway with its own clients and publishers, on a shared Redis."""

    def __init__(self, redis, name, prefix, database, groups, stack):
        configuration = site_config(redis={"prefix": prefix})
        self.gateway = stack.enter_context(contextlib.closing(Gateway(redis.url_of(database), name, configuration)))
        self.gateway.start()
        targets = [("127.0.0.1", self.gateway.port)]
        self.fleet = Fleet(name, targets, [(f"/ws/{group}", [group]) for group in groups])
        stack.callback(self.fleet.close)
        self.publishers = Publishers(redis, groups, 50, name=name, prefix=prefix, database=database)
        stack.callback(self.publishers.close)

    def start(self):
        self.fleet.start()
        self.publishers.start()

    def verdict(self):
        self.fleet.await_shown(self.publishers.stop()["last"], 20)
        return check(self.publishers.finish(), self.fleet.finish())


@pytest.mark.parametrize("databases", [(3, 3), (3, 4)], ids=["one database", "two databases"])
def test_f40_two_deployments_on_one_redis(databases):
    """The same group names under two prefixes. (The prefixes must differ, because pub/sub ignores databases.)"""
    groups = [f"shared-{n}" for n in range(10)]
    with contextlib.ExitStack() as stack:
        redis = stack.enter_context(durable_redis())
        both = [
            Deployment(redis, name, prefix, database, groups, stack)
            for name, prefix, database in zip(("first", "second"), ("one", "two"), databases, strict=True)
        ]
        for deployment in both:
            deployment.start()
        time.sleep(SECONDS)
        for deployment in both:
            verdict = deployment.verdict()
            assert verdict.passes, f"{verdict}"


@pytest.mark.parametrize("offset", [1, 10**9], ids=["of another epoch", "far ahead"])
def test_f40_a_stranger_who_publishes_with_a_stamp_of_its_own_stops_nobody(offset):
    """A deployment with the same prefix on another database does this by mistake; a forger on purpose."""
    groups = ["forged"]
    with contextlib.ExitStack() as stack:
        redis = stack.enter_context(durable_redis())
        site = Deployment(redis, "first", "asgi", 3, groups, stack)
        site.start()
        client = redis.client()
        time.sleep(1)
        epoch, history = (text.decode() for text in client.hmget("tocsin:pos:forged", "epoch", "history"))
        if offset == 1:
            epoch = "deadbeef"
        before = log_reads(client)
        for n in range(5):
            message = {"__tocsin__": f"{epoch}.{history}:{offset + n}", "id": f"stranger/forged/{n}"}
            client.publish("asgi__group__forged", json.dumps(message))
        time.sleep(3)
        reads = log_reads(client) - before
        status = site.publishers.stop()
        on_time = site.fleet.await_shown(status["last"], 15)
        verdict = check(site.publishers.finish(), site.fleet.finish())
        # The stranger's messages may be shown, since Redis lets it publish. Accepted ones are shown, in order, and once.
        assert (verdict.lost, verdict.duplicated, verdict.reordered) == (0, 0, 0), f"{verdict}"
        assert on_time, "the group's own messages come late"
        assert reads < 100, f"the log was read {reads} times in 3 s"


def log_reads(client) -> int:
    return client.info("commandstats").get("cmdstat_fcall_ro", {}).get("calls", 0)
