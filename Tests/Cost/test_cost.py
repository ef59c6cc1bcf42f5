"""What a message, a delivery and a connection cost the gateway's loop, in numbers that no noise changes.

Counted under QEMU (Benchmarks/counting.py). The limits are what was measured and an eighth: who makes something dearer on
purpose raises them here, and says why.
"""

import contextlib
import socket

import pytest
import redis as redis_client

from Benchmarks.counting import Cost, counted
from Benchmarks.house import house
from Benchmarks.servers.server import CENTRIFUGE, PLAIN, SSE
from Benchmarks.servers.tocsin import Tocsin
from harness.waiting import wait_until

CLIENTS, MESSAGES = 50, 20
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


@pytest.fixture
def gateway():
    with house(counted(Tocsin)) as (redis, (server,)):
        with redis_client.Redis(port=redis.port, db=3) as client:
            yield House(server, client)


class House:
    """A gateway of which everything that it does can be counted, and clients that wait for each byte."""

    def __init__(self, server, redis):
        self.server = server
        self.redis = redis

    @contextlib.contextmanager
    def clients(self, path, protocol=PLAIN, count=CLIENTS):
        with contextlib.ExitStack() as stack:
            yield [stack.enter_context(self.connect(path.format(number), protocol)) for number in range(count)]

    def connect(self, path, protocol=PLAIN):
        client = socket.create_connection(("127.0.0.1", self.server.port), timeout=20)
        wish = "Accept: text/event-stream\r\n"
        if protocol != SSE:
            wish = f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n"
        address = f"127.0.0.1:{self.server.port}"
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: {address}\r\nOrigin: http://{address}\r\n{wish}\r\n".encode())
        # A stream's answer goes on with its first line.
        read_until(client, b"\nretry: " if protocol == SSE else b"\r\n\r\n")
        if protocol == CENTRIFUGE:
            command = b'{"id":1,"connect":{}}'
            client.sendall(bytes([0x81, 0x80 | len(command)]) + bytes(4) + command)
            read_until(client, b"connect")
        return client

    def cost(self, work, count) -> Cost:
        """Of `work(number)` for each of `count`, after it was done once."""
        work(0)
        self.server.arm()
        before = self.server.cost()
        for number in range(1, count + 1):
            work(number)
        self.settle()
        self.server.arm(False)
        return (self.server.cost() - before).per(count)

    def settle(self):
        """Answers of Redis to what was done last are part of it."""
        last = None

        def still():
            nonlocal last
            last, before = self.server.cost(), last
            return last == before

        wait_until(still, timeout=10)


def read_until(client, end) -> bytes:
    got = b""
    while end not in got:
        piece = client.recv(4096)
        assert piece, got
        got += piece
    return got


def assert_at_most(cost, instructions, system_calls, allocations):
    assert cost.instructions <= instructions, f"{cost}"
    assert cost.system_calls <= system_calls, f"{cost}"
    assert cost.allocations <= allocations, f"{cost}"


@pytest.mark.parametrize(
    "protocol, path, instructions",
    [(PLAIN, "/ws/news", 930), (SSE, "/ws/news", 990), (CENTRIFUGE, "/centrifuge/news", 940)],
)
@pytest.mark.parametrize("verb", ["PUBLISH", "group_send"])
def test_one_more_client_of_a_group_costs_one_write_and_no_allocation(gateway, protocol, path, instructions, verb):
    def send(number):
        if verb == "PUBLISH":
            gateway.redis.publish("asgi__group__news", f'{{"number":"{number:05}"}}')
        else:
            gateway.redis.fcall("group_send", 1, "asgi:group:news", f'{{"number":"{number:05}"}}')
        for client in clients:
            read_until(client, b"%05d" % number)

    costs = []
    for count in (CLIENTS, 2 * CLIENTS):
        with gateway.clients(path, protocol, count) as clients:
            costs.append(gateway.cost(send, MESSAGES))
    assert_at_most((costs[1] - costs[0]).per(CLIENTS), instructions, 1.05, 0.1)


def test_a_private_message_costs_one_turn_and_three_system_calls(gateway):
    with gateway.clients("/ws/user.{:02}") as clients:

        def send(number):
            gateway.redis.publish(f"asgi__group__user.{number % CLIENTS:02}", f'{{"number":"{number:05}"}}')
            read_until(clients[number % CLIENTS], b"%05d" % number)

        cost = gateway.cost(send, 200)
    assert_at_most(cost, 18_300, 3.1, 9.2)
    assert cost.turns < 1.1


def test_a_connection_costs_at_most_this_from_accept_to_close(gateway):
    with gateway.clients("/ws/news"):

        def come_and_go(_):
            with gateway.connect("/ws/news") as client:
                client.sendall(b"\x88\x82\0\0\0\0\x03\xe8")
                while client.recv(100):
                    pass

        cost = gateway.cost(come_and_go, 100)
    assert_at_most(cost, 168_000, 17.5, 113)
