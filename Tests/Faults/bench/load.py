"""A whole site under load: Redis, gateways, HAProxy, clients and publishers, and the verdict over their logs.

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
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field

from harness.free_port import free_port
from harness.gateway import Gateway, config
from harness.haproxy import HAProxy
from harness.redis_server import RedisServer
from harness.waiting import wait_until

from . import figures
from .checker import Verdict, check
from .fleet import Fleet
from .logs import Attempt, ClientLog
from .network import Namespace
from .publishers import Publishers
from .scale import Scale
from .timing import catch_up, delays

# Enough for what a fault holds back: a minute of the fastest group.
HISTORY = 1000
# A loss without a following message is found by the check of quiet groups, every 10 s.
SETTLE_SECONDS = 40
# A dead gateway's lease of 15 s, and the time that HAProxy takes to notice that a client has disconnected.
ROSTER_SECONDS = 45
# At the start, which is not tested: a rate that disturbs nothing.
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


def client_list(groups, count, three_every) -> list[tuple[str, list[str]]]:
    """(path, groups) of each client: groups have equal numbers, and one in every so many clients is in three groups."""
    clients = []
    for n in range(count):
        mine = [groups[n % len(groups)]]
        if three_every and n % three_every == 0 and len(groups) >= 20:
            mine += [groups[(n + 7) % len(groups)], groups[(n + 14) % len(groups)]]
        clients.append((f"/three/{'/'.join(mine)}" if len(mine) == 3 else f"/ws/{mine[0]}", mine))
    return clients


def durable_redis(fsync="everysec", *args, **options) -> RedisServer:
    """A Redis with persistence, at a port that a reconnecting gateway cannot take for its own end while Redis is down."""
    server = RedisServer(aof=True, args=("--appendfsync", fsync, *args), **options)
    server.port = free_port()
    return server


@dataclass
class Load:
    scale: Scale
    _: KW_ONLY
    # Not started; by default with an append-only file.
    redis: RedisServer = field(default_factory=durable_redis)
    # The URL for gateway n, for what is between the two.
    redis_url: Callable[[RedisServer, int], str] = lambda server, n: server.url
    gateway_class: type[Gateway] = Gateway
    configuration: dict = field(default_factory=site_config)
    environment: dict[int, dict[str, str]] = field(default_factory=dict)  # of gateway n
    # Clients connect through it; None: round robin over the gateways.
    haproxy_class: type[HAProxy] | None = HAProxy
    host: str = "127.0.0.1"  # where clients find it, or the gateways
    # If the scale's number does not fit.
    clients: int = 0
    groups: int = 0
    rate: int = 0
    processes: int = 1  # of clients
    forgetful: bool = False  # clients come back without their cursor
    padding: int = 0  # bytes added to each message
    publishing: bool = True  # False: nothing is sent except what the test has the publishers send
    # Seconds to wait for the last messages; less if it is known that they may never come.
    patience: float = SETTLE_SECONDS
    # Network namespaces, if not the test's own.
    clients_in: Namespace | None = None
    publishers_in: Namespace | None = None

    def __post_init__(self):
        self.group_names = [f"fault-{n}" for n in range(self.groups or self.scale.groups)]
        self.gateways: list[Gateway] = []
        self.haproxy: HAProxy | None = None
        self.fleets: list[Fleet] = []
        self._all_publishers: list[Publishers] = []
        self.attempts: list[Attempt] = []  # logs of publishers and clients, once they have been compared
        self.logs: dict[str, ClientLog] = {}
        self._stack = contextlib.ExitStack()
        self._healed_at = None
        self._began = time.monotonic()

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self._start(stack)
            self._stack = stack.pop_all()
        return self

    def _start(self, stack):
        stack.callback(self._close_helpers)
        stack.enter_context(self.redis)
        for n in range(self.scale.gateways):
            gateway = self._gateway(n)
            stack.callback(gateway.close)
            self.gateways.append(gateway.start(wait=False))
        for gateway in self.gateways:
            gateway.wait_ready()
        if self.haproxy_class:
            self.haproxy = stack.enter_context(self.haproxy_class(self.gateways, self.host))
        clients = client_list(self.group_names, self.clients or self.scale.clients, self.scale.three_groups_every)
        self.fleet = self.add_fleet(
            "c", clients, forgetful=self.forgetful, namespace=self.clients_in, processes=self.processes
        )
        self.publishers = self.add_publishers("p", self.group_names, self.rate or self.scale.rate, self.padding)
        self.fleet.start(within=len(clients) / JOINS_PER_SECOND)
        if self.publishing:
            self.publishers.start()

    def _gateway(self, n) -> Gateway:
        host = "127.0.0.1" if self.haproxy_class else self.host
        url = self.redis_url(self.redis, n)
        return self.gateway_class(url, f"g{n + 1}", self.configuration, self.environment.get(n), host)

    def __exit__(self, *_):
        self._stack.close()

    def _close_helpers(self):
        for helper in (*self.fleets, *self._all_publishers):
            helper.close()

    @property
    def targets(self) -> list[tuple[str, int]]:
        if self.haproxy:
            return [(self.host, self.haproxy.port)]
        return [(gateway.host, gateway.port) for gateway in self.gateways]

    def add_fleet(self, name, clients, **options) -> Fleet:
        fleet = Fleet(name, options.pop("targets", None) or self.targets, clients, **options)
        self.fleets.append(fleet)
        return fleet

    def kill_fleet(self, fleet):
        """Kills its processes; their logs are not judged."""
        self.fleets.remove(fleet)
        fleet.close()

    def add_publishers(self, name, groups, rate, padding=0, redis=None) -> Publishers:
        publishers = Publishers(redis or self.redis, groups, rate, name=name, padding=padding, namespace=self.publishers_in)
        self._all_publishers.append(publishers)
        return publishers

    # The course of a test

    def calm(self):
        """Undisturbed load for a while."""
        time.sleep(self.scale.calm)

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
        """From now on nothing is broken: the time to catch up is counted from here."""
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
        """Publishers stop, and everything that may still be outstanding gets time to arrive."""
        last = {}
        for publishers in self._all_publishers:
            last |= publishers.stop()["last"]
        for fleet in self.fleets:
            fleet.await_shown(last, self.patience)
            fleet.await_open()

    def _assert_rosters_are_true(self):
        """The rosters list exactly the connected clients: no duplicates, no ghosts of dead gateways."""
        connected = sum(fleet.memberships for fleet in self.fleets)
        client = self.redis.client()
        wait_until(
            lambda: sum(client.hlen(key) for key in client.scan_iter("tocsin:roster:*", 1000)) == connected,
            ROSTER_SECONDS,
            f"the rosters say {connected}",
            every=0.5,
        )

    def compare(self, allowed=(), required=()) -> Verdict:
        """Ends everything and compares the logs. allowed, required: reasons of notices (checker.check)."""
        self.settle()
        self._assert_rosters_are_true()
        for gateway in self.gateways:
            assert gateway.running, f"{gateway.id} has ended\n{gateway.log[-4000:]}"
        for fleet in self.fleets:
            self.logs |= fleet.finish()
        self._assert_nothing_is_left()
        planned = sum(publishers.status["planned"] for publishers in self._all_publishers)
        self.attempts = [attempt for publishers in self._all_publishers for attempt in publishers.finish()]
        return check(self.attempts, self.logs, planned, allowed, required)

    def _assert_nothing_is_left(self):
        """When all clients have disconnected, nothing kept for them must remain."""
        if self.haproxy:
            # It holds the connection of a client that has disconnected for `timeout client-fin`, in case only half of it has.
            self.haproxy.kill()
        self.await_connections(0)
        client = self.redis.client()
        wait_until(
            lambda: not client.pubsub_channels("asgi__group__*") and not client.keys("tocsin:roster:*"),
            20,
            "no subscriptions and rosters are left",
        )

    def judge(self, title, allowed=(), required=(), **facts) -> Verdict:
        """compare(), recorded under the title; fails if anything was lost, duplicated, reordered or not reported.

        facts: additional figures for the report.
        """
        verdict = self.compare(allowed, required)
        self._figure = figure = figures.Figure(title, self.scale.name, verdict, time.monotonic() - self._began, facts)
        figure.delays(delays(self.attempts, self.logs))
        if self._healed_at is not None:
            figure.catch_up(catch_up(self.attempts, self.logs, self._healed_at))
        figures.recorded.append(figure)
        assert verdict.passes, f"{title}\n{verdict}"
        return verdict

    def note(self, **facts):
        """Adds figures to the last report."""
        self._figure.facts |= facts
