"""What a message, a delivery and a connection cost the gateway's loop, in figures that noise does not affect.

Counted under QEMU (Benchmarks/counting.py), in rounds of which the lowest counts. The gateway's clock stands still meanwhile,
so that only the work itself is done. The limits are the measured values plus five percent: whoever makes something more
expensive on purpose raises them here, and explains why.
"""

import contextlib
import socket
from itertools import pairwise

import pytest
import redis as redis_client

from Benchmarks.counting import Cost, counted
from Benchmarks.house import house
from Benchmarks.servers.server import CENTRIFUGE, PLAIN, SSE
from Benchmarks.servers.tocsin import Tocsin

CLIENTS, MESSAGES, ROUNDS = 50, 5, 5
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


@pytest.fixture
def gateway():
    with house(counted(Tocsin)) as (redis, (server,)):
        with redis_client.Redis(port=redis.port, db=3) as client:
            yield House(server, client)


class House:
    """A gateway whose work can be counted, and clients that wait for each byte."""

    def __init__(self, server, redis):
        self.server = server
        self.redis = redis

    @contextlib.contextmanager
    def clients(self, path, protocol=PLAIN, count=CLIENTS):
        with contextlib.ExitStack() as stack:
            yield [stack.enter_context(self.connect(path.format(number), protocol)) for number in range(count)]

    def connect(self, path, protocol=PLAIN):
        client = self.request(path, protocol)
        # A stream's response continues with its first line.
        read_until(client, b"\nretry: " if protocol == SSE else b"\r\n\r\n")
        if protocol == CENTRIFUGE:
            command = b'{"id":1,"connect":{}}'
            client.sendall(bytes([0x81, 0x80 | len(command)]) + bytes(4) + command)
            read_until(client, b"connect")
        return client

    def request(self, path, protocol=PLAIN):
        wish = "Accept: text/event-stream\r\n"
        if protocol != SSE:
            wish = f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n"
        address = f"127.0.0.1:{self.server.port}"
        client = socket.create_connection(("127.0.0.1", self.server.port), timeout=20)
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: {address}\r\nOrigin: http://{address}\r\n{wish}\r\n".encode())
        return client

    def cost(self, work, count) -> Cost:
        """The cost of one `work(number)`: the lowest of several rounds of `count`, after one run to warm up."""
        work(0)
        self.server.arm()
        self.server.settle()
        counts = [self.server.cost()]
        for done in range(0, ROUNDS * count, count):
            for number in range(done + 1, done + count + 1):
                work(number)
            self.server.settle()
            counts.append(self.server.cost())
        self.server.arm(False)
        return Cost.least((after - before).per(count) for before, after in pairwise(counts))


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


# A message with a position costs more: the position is compared with what the client was shown, and stored.
@pytest.mark.parametrize(
    "verb, protocol, instructions",
    [
        ("PUBLISH", PLAIN, 735),
        ("PUBLISH", SSE, 820),
        ("PUBLISH", CENTRIFUGE, 740),
        ("group_send", PLAIN, 953),
        ("group_send", SSE, 1_039),
        ("group_send", CENTRIFUGE, 960),
    ],
)
def test_one_more_client_of_a_group_costs_one_write_and_no_allocation(gateway, verb, protocol, instructions):
    path = "/centrifuge/news" if protocol == CENTRIFUGE else "/ws/news"

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

        cost = gateway.cost(send, CLIENTS)
    assert_at_most(cost, 16_940, 3.1, 8.4)
    assert cost.turns < 1.05


def test_a_connection_costs_at_most_this_from_accept_to_close(gateway):
    with gateway.clients("/ws/news"):

        def come_and_go(_):
            # Always, and not just by chance, the request has arrived when the loop accepts.
            gateway.server.pause()
            client = gateway.request("/ws/news")
            gateway.server.resume()
            with client:
                read_until(client, b"\r\n\r\n")
                client.sendall(b"\x88\x82\0\0\0\0\x03\xe8")
                while client.recv(100):
                    pass
            gateway.server.settle()

        cost = gateway.cost(come_and_go, 20)
    assert_at_most(cost, 160_400, 16.3, 104)
