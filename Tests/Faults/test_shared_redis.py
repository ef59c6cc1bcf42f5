"""What other users do to a Redis that gateways share with them, and what a gateway's own stalls leave there."""

import asyncio
import contextlib
import json
import socket
import threading
import time

import pytest
from channels_redis.core import RedisChannelLayer
from harness.clients import Clients
from harness.event_stream import EventStreams
from harness.gateway import Gateway, config, tocsin
from harness.names import fleet_member, group_key, inbox_key, inbox_number, own
from harness.redis_server import RedisServer
from harness.switching_proxy import SwitchingProxy
from harness.waiting import wait_until

pytestmark = [pytest.mark.quick, pytest.mark.timeout(180)]

LEASE = 15


@pytest.fixture
def redis_server():
    with RedisServer() as server:
        yield server


def roster(redis, group):
    return {channel.decode() for channel in redis.hgetall(own(f"roster:{group}"))}


# The doorbell


def send_from_django(url, group, rate, seconds):
    """Sends numbered messages at a steady rate, like one Django process."""

    async def send():
        layer = RedisChannelLayer(hosts=[url])
        began = time.monotonic()
        for number in range(rate * seconds):
            await layer.group_send(group, {"type": "receive", "number": number})
            await asyncio.sleep(max(0, began + (number + 1) / rate - time.monotonic()))
        await layer.close_pools()

    asyncio.run(send())


def test_a_doorbell_that_another_application_switches_off_costs_no_message(redis_server, redis):
    """290 per second to one group: if lost notifications go unnoticed, messages beyond the layer's 100 are lost."""
    rate, seconds = 290, 8
    with Gateway(redis_server.url, "g1") as first, Gateway(redis_server.url, "g2") as second, Clients() as clients:
        sockets = clients.open(first.url("/ws/busy"), second.url("/ws/busy"), count=2)
        wait_until(lambda: first.metric("tocsin_doorbell_heard") == second.metric("tocsin_doorbell_heard") == 1)
        sender = threading.Thread(target=send_from_django, args=(redis_server.url, "busy", rate, seconds))
        sender.start()
        while sender.is_alive():
            redis.config_set("notify-keyspace-events", "")
            sender.join(2)
        for socket_ in sockets:
            numbers = [json.loads(message)["number"] for message in socket_.wait(rate * seconds, 20)]
            assert numbers == list(range(rate * seconds))
        assert "Redis does not ring" in first.log + second.log
        wait_until(lambda: "z" in redis.config_get("notify-keyspace-events")["notify-keyspace-events"])
        assert redis.xlen(own("log:busy")) >= 100


# Foreign keys


def test_one_foreign_key_costs_a_dead_gateway_s_other_groups_nothing(redis_server, redis):
    groups = [f"room{n}" for n in range(60)]
    with Gateway(redis_server.url, "dies") as dies, Gateway(redis_server.url, "lives") as lives, Clients() as clients:
        clients.open(*(dies.url(f"/ws/{group}") for group in groups))
        redis.delete(own("roster:room7"))
        redis.set(own("roster:room7"), "somebody's")
        dies.kill()
        wait_until(
            lambda: [group for group in groups if redis.exists(own(f"roster:{group}"))] == ["room7"], 2 * LEASE,
            "only the foreign roster is left",
        )  # fmt: skip
        wait_until(lambda: "tocsin:roster:room7" in lives.log, 5, "the log names the key")
        assert lives.metric("tocsin_foreign_keys_total") > 0
        report = tocsin("doctor", "--redis", redis_server.url, check=False)
        assert "tocsin:roster:room7" in report.stdout


def test_a_foreign_staging_key_costs_no_message_of_django(redis_server, redis):
    redis.set(own(f"staging:{inbox_number('busy'):02x}"), "somebody's")
    with Gateway(redis_server.url) as gateway, Clients() as clients:
        [socket_] = clients.open(gateway.url("/ws/busy"))
        send_from_django(redis_server.url, "busy", 50, 1)
        assert [json.loads(message)["number"] for message in socket_.wait(50)] == list(range(50))
        wait_until(lambda: "tocsin:staging:" in gateway.log, 5, "the log names the key")


def test_a_gateway_starts_though_a_dead_one_s_list_has_a_wrong_type(redis_server, redis):
    redis.set(own("members:old"), "somebody's")
    redis.zadd(own("gateways"), {"old": 1})
    with Gateway(redis_server.url) as gateway:
        wait_until(lambda: "tocsin:members:old" in gateway.log, 5, "the log names the key")


def test_a_bad_message_of_django_is_counted_once_by_the_whole_fleet(redis_server, redis):
    gateways = [Gateway(redis_server.url, f"g{n}") for n in range(3)]
    with gateways[0], gateways[1], gateways[2], Clients() as clients:
        [socket_] = clients.open(gateways[0].url("/ws/room"))
        redis.zadd(inbox_key("room"), {b"0123456789ab" + b"\xc1": 1})
        send_from_django(redis_server.url, "room", 1, 1)
        socket_.wait(1)

        def counted():
            return sum(g.metric("tocsin_messages_malformed_total", entrance="core_layer") for g in gateways)

        wait_until(lambda: counted() >= 1)
        assert counted() == 1


# Late commands


class StallingProxy(SwitchingProxy):
    """Connections can be held with their data, and released when their sender has long given up."""

    def __init__(self, target):
        self._gates = []
        self.held = set()  # as Redis knows them: HOST:PORT
        super().__init__(target)

    def _forward(self, near, far):
        # A separate gate for each connection: new ones are not held.
        gate = threading.Event()
        gate.set()
        self._gates.append((gate, "%s:%d" % far.getsockname()))
        threading.Thread(target=self._upstream, args=(near, far, gate), daemon=True).start()
        threading.Thread(target=self._downstream, args=(far, near), daemon=True).start()

    @staticmethod
    def _upstream(near, far, gate):
        """Delivers what was sent although its sender has disconnected meanwhile."""
        with contextlib.suppress(OSError):
            while True:
                try:
                    piece = near.recv(1 << 16)
                except OSError:
                    piece = b""
                gate.wait()
                if not piece:
                    return far.shutdown(socket.SHUT_WR)
                far.sendall(piece)

    @staticmethod
    def _downstream(far, near):
        with contextlib.suppress(OSError):
            while piece := far.recv(1 << 16):
                near.sendall(piece)
            near.shutdown(socket.SHUT_WR)

    def stall(self):
        for gate, name in self._gates:
            gate.clear()
            self.held.add(name)

    def release(self):
        for gate, _ in self._gates:
            gate.set()

    def __exit__(self, *_):
        self.release()
        super().__exit__()


def test_joins_that_were_given_up_and_arrive_late_leave_no_ghost(redis_server, redis):
    """The bytes reach Redis when the gateway has long answered 503 and uses a new connection."""
    with StallingProxy(redis_server.port) as proxy, Gateway(proxy.url) as gateway, Clients() as clients:
        [there] = clients.open(gateway.url("/ws/room"))
        proxy.stall()
        results = []
        joins = [
            threading.Thread(target=lambda: results.append(clients.status(gateway.url("/ws/room")))) for _ in range(20)
        ]
        for join in joins:
            join.start()
        for join in joins:
            join.join(40)
        assert set(results) <= {503}, results
        wait_until(lambda: gateway.readyz() == 200, 40, "the gateway works over a new connection")
        proxy.release()
        # When Redis has seen the end of the abandoned connection, it has read the held bytes.
        wait_until(lambda: proxy.held - {client["addr"] for client in redis.client_list()}, 20, "the late bytes")
        [later] = clients.open(gateway.url("/ws/room"))
        wait_until(lambda: len(roster(redis, "room")) == (2 if there.open else 1), 10, "only the living are there")
        assert len(roster(redis, "room")) == sum(each.open for each in (there, later))


def test_without_history_a_gateway_that_was_frozen_past_its_lease_tells_its_clients(redis_server, redis):
    """The fleet's member was swept meanwhile, so what Django sent reached nobody."""
    live_only = config(groups=[{"match": "*", "history": {"size": 0}}])
    with (
        Gateway(redis_server.url, "frozen", config=live_only) as frozen,
        Gateway(redis_server.url, "other", config=live_only),
        Clients() as clients,
        EventStreams() as streams,
    ):
        [page] = clients.open(frozen.url("/ws/room"))
        stream = streams.open(frozen, "/ws/room")
        frozen.pause()
        wait_until(lambda: not redis.exists(own("roster:room")), 2 * LEASE, "the frozen gateway is swept")
        assert fleet_member("room").encode() not in redis.zrange(group_key("room"), 0, -1)
        send_from_django(redis_server.url, "room", 5, 1)
        frozen.resume()
        assert page.wait_closed(20) == 4510
        wait_until(lambda: any(event.name == "gap" for event in stream.events), 20, "the stream is told")
        [page] = clients.open(frozen.url("/ws/room"))
        send_from_django(redis_server.url, "room", 1, 1)
        assert json.loads(page.wait(1)[0])["number"] == 0


# Names


def test_a_second_gateway_of_the_same_name_does_not_start_and_says_who_has_it(redis_server, redis):
    with Gateway(redis_server.url, "same") as first, Clients() as clients:
        clients.open(first.url("/ws/room"), count=20)
        second = Gateway(redis_server.url, "same")
        try:
            second.start(wait=False)
            assert second.wait(20) == 1
            assert "the name same is in use by process" in second.log and str(first.pid) in second.log
            assert second.readyz() == 0
        finally:
            second.close()
        assert len(roster(redis, "room")) == 20 and first.readyz() == 200
        send_from_django(redis_server.url, "room", 1, 1)
        for each in clients.sockets:
            each.wait(1)


def test_a_gateway_that_was_killed_takes_its_name_over_at_once(redis_server, redis):
    with Gateway(redis_server.url, "same") as gateway, Clients() as clients:
        clients.open(gateway.url("/ws/room"), count=5)
        for _ in range(3):
            gateway.kill()
            began = time.monotonic()
            gateway.start()
            assert time.monotonic() - began < LEASE / 2
            assert roster(redis, "room") == set()


def test_a_frozen_gateway_whose_name_was_taken_ends_when_it_thaws(redis_server, redis):
    first, second = Gateway(redis_server.url, "same"), Gateway(redis_server.url, "same")
    with first, Clients() as clients:
        [page] = clients.open(first.url("/ws/room"))
        first.pause()
        wait_until(lambda: not redis.exists(own("gateway:same")), 2 * LEASE, "its lease runs out")
        with second:
            clients.open(second.url("/ws/room"))
            first.resume()
            assert first.wait(30) == 1
            assert "the name same is in use by process" in first.log
            assert page.wait_closed() == 1012
            assert second.readyz() == 200 and len(roster(redis, "room")) == 1


# Made-up groups


def test_rooms_that_strangers_made_up_leave_nothing_in_redis(redis_server, redis):
    with Gateway(redis_server.url) as gateway, Clients() as clients:
        before = set(redis.keys())
        for n in range(10):
            for each in clients.open(*(gateway.url(f"/ws/made-up-{n}-{m}") for m in range(30))):
                each.abort()
        wait_until(lambda: gateway.metric("tocsin_connections") == 0)

        def left():
            return [key for key in redis.keys() if b"made-up" in key]

        wait_until(lambda: not left(), 10, f"nothing of the rooms is left, there is {left()[:5]}")
        assert len(set(redis.keys()) - before) <= 3


def test_who_waits_in_a_group_before_its_first_message_misses_nothing_of_it(redis_server, redis):
    """There is no position before the first message, but there is a cursor."""
    with Gateway(redis_server.url) as gateway, EventStreams() as streams:
        stream = streams.open(gateway, "/ws/fresh")
        assert not redis.exists(own("pos:fresh"))
        cursor = wait_until(lambda: stream.events and stream.events[-1].id or _last_id(stream))
        stream.close()
        for n in range(3):
            redis.fcall("group_send", 1, group_key("fresh"), json.dumps({"n": n}))
        again = streams.open(gateway, "/ws/fresh", last_event_id=cursor)
        wait_until(lambda: len(again.events) >= 3, 10, "three messages")
        assert [(event.name, json.loads(event.data)) for event in again.events] == [("message", {"n": n}) for n in range(3)]


def _last_id(stream):
    ids = [line.partition(":")[2].strip() for block in stream.blocks for line in block if line.startswith("id:")]
    return ids[-1] if ids else None


# Policies, and messages with forged positions


def test_a_gateway_that_only_reconnects_leaves_a_newer_configuration_alone(redis_server, redis):
    older = config(groups=[{"match": "*", "history": {"size": 0}}])
    newer = config(groups=[{"match": "*", "history": {"size": 1000}}])
    with Gateway(redis_server.url, "old", config=older) as first, Gateway(redis_server.url, "new", config=newer):
        fault = [client["id"] for client in redis.client_list() if client["name"] == "tocsin-old"]
        for each in fault:
            redis.client_kill_filter(_id=each)
        wait_until(lambda: first.metric("tocsin_redis_losses_total") >= 1)
        wait_until(lambda: first.readyz() == 200)
        for n in range(3):
            redis.fcall("group_send", 1, group_key("kept"), json.dumps({"n": n}))
        assert redis.xlen(own("log:kept")) == 3


def test_a_bare_publish_under_the_next_position_hides_no_message(redis_server, redis):
    with Gateway(redis_server.url) as gateway, Clients() as clients:
        sockets = clients.open(gateway.url("/ws/room"), count=3)
        position, _ = redis.fcall("group_send", 1, group_key("room"), '{"n":1}')
        head, _, offset = position.decode().rpartition(":")
        redis.publish("asgi__group__room", json.dumps({"__tocsin__": f"{head}:{int(offset) + 1}", "forged": True}))
        redis.fcall("group_send", 1, group_key("room"), '{"n":2}')
        redis.fcall("group_send", 1, group_key("room"), '{"n":3}')
        for each in sockets:
            each.until('"n":3')
            each.until('"n":2')
        wait_until(lambda: "two messages came under one position" in gateway.log, 5)
        assert gateway.metric("tocsin_positions_disputed_total") == 1


# The doctor's findings


def test_a_message_to_a_single_connection_arrives_and_doctor_names_members_that_were_taken_out(redis_server, redis):
    with Gateway(redis_server.url, "g1") as gateway, Clients() as clients:
        (socket,) = clients.open(gateway.url("/ws/room"))
        [channel] = roster(redis, "room")

        async def send():
            layer = RedisChannelLayer(hosts=[redis_server.url], group_expiry=1)
            await layer.send(channel, {"type": "receive"})
            # The layer's clock has whole seconds.
            old = lambda: redis.zcount(group_key("room"), 0, int(time.time()) - 1)
            await asyncio.to_thread(wait_until, old)
            await layer.group_send("room", {"type": "receive"})
            await layer.close_pools()

        asyncio.run(send())
        report = tocsin("doctor", "--redis", redis_server.url, check=False).stdout
        assert json.loads(socket.wait(1)[0]) == {"type": "receive"}
        assert "group_expiry" in report, report
