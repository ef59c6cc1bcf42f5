"""A whole site under load: Redis, gateways, HAProxy, clients and publishers, and the verdict over what they wrote down.

    with Load(scale) as load:
        load.calm()
        load.gateways[0].kill()
        ...
        load.healed()
        load.calm()
        load.judge("F01 gateway SIGKILL")
"""

import contextlib
import os
import signal
import time

from harness.free_port import free_port
from harness.gateway import Gateway, config
from harness.haproxy import HAProxy
from harness.redis_server import RedisServer
from harness.waiting import wait_until

from . import figures
from .checker import Verdict, check
from .fleet import Fleet
from .publishers import Publishers
from .scale import Scale
from .timing import catch_up, delays

# Wide enough for what a fault holds back: a minute of the fastest group.
HISTORY = 1000
# What is found by nobody's next message is found by the look at quiet groups, every 10 s.
SETTLE_SECONDS = 40
# A dead gateway's lease of 15 s, and what HAProxy takes to see that a client has gone.
ROSTER_SECONDS = 45
# At the start, which is no test: a pace that disturbs nobody.
JOINS_PER_SECOND = 600
ROUTES = [
    {"path": "/ws/{room}", "groups": ["{room}"]},
    {"path": "/three/{a}/{b}/{c}", "groups": ["{a}", "{b}", "{c}"]},
]


def site_config(history=HISTORY, **sections) -> dict:
    """A gateway's configuration for these tests."""
    sections["gateway"] = {"drain_seconds": 3, **sections.get("gateway", {})}
    sections.setdefault("groups", [{"match": "*", "history": {"size": history, "ttl": "1d"}}])
    return config(routes=ROUTES, **sections)


def group_names(count) -> list[str]:
    return [f"fault-{n}" for n in range(count)]


def client_list(groups, count, three_every) -> list[tuple[str, list[str]]]:
    """(path, groups) of each client: every group has as many, and every so many clients one is in three groups."""
    clients = []
    for n in range(count):
        mine = [groups[n % len(groups)]]
        if three_every and n % three_every == 0 and len(groups) >= 20:
            mine += [groups[(n + 7) % len(groups)], groups[(n + 14) % len(groups)]]
        clients.append((f"/three/{'/'.join(mine)}" if len(mine) == 3 else f"/ws/{mine[0]}", mine))
    return clients


def durable_redis(fsync="everysec", *args, **options) -> RedisServer:
    """A Redis that survives; at a port which no gateway that reconnects can take for its own end while it is away."""
    server = RedisServer(aof=True, args=("--appendfsync", fsync, *args), **options)
    server.port = free_port()
    return server


class Load:
    """redis         a RedisServer that is not started; by default one with an append-only file.
    redis_url     what gateway n is told: a function of the server and n, for what stands between the two.
    haproxy       clients go through HAProxy; otherwise round robin over the gateways.
    padding       bytes added to each message.
    forgetful     clients come back without their cursor.
    publishing    False: nothing is sent but what the test has the publishers send.
    patience      seconds that the last messages may take; less where it is known that they may never come.
    host          where clients find HAProxy, or the gateways.
    clients_in, publishers_in   network namespaces, if not the test's own.
    processes     of clients.
    """

    def __init__(
        self, scale: Scale, *, redis=None, redis_url=None, haproxy=True, padding=0, configuration=None, environment=None,
        clients=None, groups=None, rate=None, history=HISTORY, forgetful=False, publishing=True,
        patience=SETTLE_SECONDS, host="127.0.0.1", clients_in=None, publishers_in=None, processes=1,
    ):  # fmt: skip
        self.scale = scale
        self.groups = group_names(groups or scale.groups)
        self.redis = redis or durable_redis()
        self._redis_url = redis_url or (lambda server, n: server.url)
        self._through_haproxy, self._padding = haproxy, padding
        self._configuration = configuration or site_config(history)
        self._forgetful, self._publishing, self._patience = forgetful, publishing, patience
        self._host, self._clients_in, self._publishers_in, self._processes = host, clients_in, publishers_in, processes
        self._environment = environment or {}
        self._clients = client_list(self.groups, clients or scale.clients, scale.three_groups_every)
        self._rate = rate or scale.rate
        self._stack = contextlib.ExitStack()
        self.gateways: list[Gateway] = []
        self.haproxy: HAProxy | None = None
        self.fleets: list[Fleet] = []
        self._all_publishers: list[Publishers] = []
        self._fault_at = self._healed_at = None
        self._began = time.monotonic()

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self._start(stack)
            self._stack = stack.pop_all()
        return self

    def _start(self, stack):
        stack.enter_context(self.redis)
        for n in range(self.scale.gateways):
            gateway = self._gateway(n)
            stack.callback(gateway.close)
            self.gateways.append(gateway.start(wait=False))
        for gateway in self.gateways:
            gateway.wait_ready()
        if self._through_haproxy:
            self.haproxy = stack.enter_context(HAProxy(self.gateways, self._host))
        self.fleet = self.add_fleet(
            "c", self._clients, forgetful=self._forgetful, namespace=self._clients_in, processes=self._processes
        )
        self.publishers = self.add_publishers("p", self.groups, self._rate, self._padding)
        self.fleet.start(within=len(self._clients) / JOINS_PER_SECOND)
        if self._publishing:
            self.publishers.start()

    def _gateway(self, n) -> Gateway:
        host = "127.0.0.1" if self._through_haproxy else self._host
        url = self._redis_url(self.redis, n)
        return Gateway(url, f"g{n + 1}", self._configuration, self._environment.get(n), host)

    def __exit__(self, *_):
        for helper in (*self.fleets, *self._all_publishers):
            helper.close()
        self._stack.close()

    @property
    def targets(self) -> list[tuple[str, int]]:
        if self.haproxy:
            return [(self._host, self.haproxy.port)]
        return [(gateway.host, gateway.port) for gateway in self.gateways]

    def add_fleet(self, name, clients, **options) -> Fleet:
        fleet = Fleet(name, options.pop("targets", None) or self.targets, clients, **options)
        self.fleets.append(fleet)
        return fleet

    def kill_fleet(self, fleet):
        """Its processes are killed; what they wrote down is not judged."""
        self.fleets.remove(fleet)
        fleet.close()

    def add_publishers(self, name, groups, rate, padding=0) -> Publishers:
        publishers = Publishers(self.redis, groups, rate, name=name, padding=padding, namespace=self._publishers_in)
        self._all_publishers.append(publishers)
        return publishers

    # The course of a test

    def calm(self):
        """Undisturbed load for a while."""
        time.sleep(self.scale.calm)

    def fault(self):
        """Now it happens."""
        self._fault_at = time.monotonic()

    def last(self, quick, full):
        """The fault lasts that many seconds."""
        time.sleep(self.scale.pick(quick, full))

    @contextlib.contextmanager
    def frozen_redis(self):
        os.kill(self.redis.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.redis.pid, signal.SIGCONT)

    def healed(self):
        """Now nothing is broken any more: from here on the time to catch up is counted."""
        self._healed_at = time.monotonic()

    def await_ready(self, status=200, timeout=20):
        wait_until(
            lambda: {gateway.readyz() for gateway in self.gateways} == {status}, timeout, f"/readyz says {status} everywhere"
        )

    def await_connections(self, count, timeout=20):
        wait_until(
            lambda: sum(gateway.metric("tocsin_connections") for gateway in self.gateways) == count,
            timeout,
            f"{count} connections at all gateways together",
        )

    @staticmethod
    def await_ready_of(gateway, status, timeout):
        wait_until(lambda: gateway.readyz() == status, timeout, f"/readyz of {gateway.id} says {status}")

    def settle(self):
        """Publishers stop, and all who may still be waiting for something get the time for it."""
        last = {}
        for publishers in self._all_publishers:
            last |= publishers.stop()["last"]
        for fleet in self.fleets:
            fleet.await_shown(last, self._patience)
            fleet.await_open()

    def _assert_rosters_are_true(self):
        """Who is connected is who is said to be connected: nobody twice, no ghosts of dead gateways."""
        connected = sum(fleet.memberships for fleet in self.fleets)
        client = self.redis.client()
        wait_until(
            lambda: sum(client.hlen(key) for key in client.scan_iter("tocsin:roster:*", 1000)) == connected,
            ROSTER_SECONDS,
            f"the rosters say {connected}",
            every=0.5,
        )

    def compare(self, allowed=(), required=()) -> Verdict:
        """Everything ends; what was written down is compared. allowed, required: reasons of notices (checker.check)."""
        self.settle()
        self._assert_rosters_are_true()
        for gateway in self.gateways:
            assert gateway.running, f"{gateway.id} has ended\n{gateway.log[-4000:]}"
        clients = {}
        for fleet in self.fleets:
            clients.update(fleet.finish())
        self._assert_nothing_is_left()
        planned = sum(publishers.status["planned"] for publishers in self._all_publishers)
        self.attempts = [attempt for publishers in self._all_publishers for attempt in publishers.finish()]
        self.clients = clients
        return check(self.attempts, clients, planned, allowed, required)

    def _assert_nothing_is_left(self):
        """When all clients are gone, so is everything that was kept for them."""
        if self.haproxy:
            # It holds the line of a client that has gone for `timeout client-fin`, in case only half of it has.
            self.haproxy.kill()
        self.await_connections(0)
        client = self.redis.client()
        wait_until(
            lambda: not client.pubsub_channels("asgi__group__*") and not client.keys("tocsin:roster:*"),
            20,
            "no subscriptions and rosters are left",
        )

    def judge(self, title, allowed=(), required=(), **facts) -> Verdict:
        """compare(), recorded under the title; fails unless nothing was lost, doubled, reordered or left untold.

        facts: further figures for the report.
        """
        verdict = self.compare(allowed, required)
        self._figure = figure = figures.Figure(title, self.scale.name, verdict, time.monotonic() - self._began, facts)
        figure.delays(delays(self.attempts, self.clients))
        if self._healed_at is not None:
            figure.catch_up(catch_up(self.attempts, self.clients, self._healed_at))
        figures.recorded.append(figure)
        assert verdict.passes, f"{title}\n{verdict}"
        return verdict

    def note(self, **facts):
        """More for the report of what was judged."""
        self._figure.facts |= facts
