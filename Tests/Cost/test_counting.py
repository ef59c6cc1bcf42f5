"""The counting itself (Benchmarks/counting.py): what its figures include, and what they never include."""

import contextlib
import socket
import sys
import time

import pytest

from Benchmarks.counting import Cost, counted
from Benchmarks.servers.server import Server
from harness.waiting import wait_until

# An event loop like the gateway's: events, then due timers, then the wait for the next. Each request is a byte: `t` asks for
# the time, `m` allocates for its answer, and `l` continues working after the answer was sent.
PROGRAM = """
import select, socket, sys, time
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
epoll = select.epoll()
epoll.register(listener, select.EPOLLIN)
clients, kept, ticks, due = {}, [], 0, time.monotonic() + 0.01
while True:
    for descriptor, _ in epoll.poll(max(due - time.monotonic(), 0)):
        if descriptor == listener.fileno():
            client, _ = listener.accept()
            clients[client.fileno()] = client
            epoll.register(client, select.EPOLLIN)
            continue
        request = clients[descriptor].recv(1)
        if not request:
            clients.pop(descriptor).close()
            continue
        if request == b"m": kept.append(bytes(5000))
        clients[descriptor].send(b"%.6f %d\\n" % (time.monotonic(), ticks))
        if request == b"l":
            time.sleep(0.05)
            sum(range(100_000))
    if time.monotonic() >= due:
        ticks, due = ticks + 1, time.monotonic() + 0.01
        sum(range(10_000))
"""


class Loop(Server):
    name = "loop"

    def program(self):
        return [sys.executable, "-S", "-c", PROGRAM, str(self.port)]

    def environment(self):
        return {"PYTHONHASHSEED": "0", "PYTHONMALLOC": "malloc"}


@pytest.fixture
def loop():
    with counted(Loop)(redis=None) as server, contextlib.closing(Client(server)) as client:
        yield client


class Client:
    def __init__(self, server):
        self.server = server
        self.connection = socket.create_connection(("127.0.0.1", server.port), timeout=20)
        self.close = self.connection.close

    def ask(self, request=b"t") -> tuple[float, int]:
        """The server's time, and how often its timer was due."""
        self.connection.sendall(request)
        moment, ticks = self.connection.recv(100).split()
        return float(moment), int(ticks)

    def cost(self, request, pause=0.0) -> Cost:
        before = self.server.cost()
        self.ask(request)
        time.sleep(pause)
        self.server.settle()
        return self.server.cost() - before


def test_time_stands_while_turns_are_counted_and_goes_on_from_where_it_stood(loop):
    before, _ = loop.ask()
    loop.server.arm()
    loop.ask()  # during whose turn the timer may have been due already
    stood = [loop.ask()]
    time.sleep(0.3)
    stood.append(loop.ask())
    goes_on = time.monotonic()
    loop.server.arm(False)
    after, ticks = loop.ask()
    assert stood[0] == stood[1]
    assert before <= stood[0][0] <= after <= stood[0][0] + time.monotonic() - goes_on
    wait_until(lambda: loop.ask()[1] > ticks, what="its timers go on too")


def test_a_timer_that_would_be_due_when_a_slow_turn_ends_does_not_run_in_it(loop):
    loop.server.arm()
    loop.ask()
    _, before = loop.ask()
    costs = [loop.cost(b"l") for _ in range(3)]
    assert {cost.turns for cost in costs} == {1}
    assert loop.ask()[1] == before


def test_a_turn_is_counted_to_its_end_though_its_answer_has_left_long_before(loop):
    loop.server.arm()
    loop.cost(b"l")
    whole = loop.cost(b"l", pause=0.5)
    assert loop.cost(b"l").instructions == pytest.approx(whole.instructions, rel=0.01)


def test_one_allocation_more_for_each_answer_is_seen(loop):
    loop.server.arm()
    plain, more = (Cost.least([loop.cost(request) for _ in range(5)]) for request in (b"t", b"m"))
    assert more.allocations - plain.allocations >= 1


def test_what_is_added_to_some_rounds_is_not_in_the_least_of_them():
    rounds = [Cost(1, 900, 1, 0), Cost(1, 1203, 1.2, 0.257), Cost(1, 1002, 1, 0)]
    assert Cost.least(rounds) == Cost(1, 900, 1, 0)
