"""One group of Django's and ours: four kinds of senders at the same time, and what a client has heard of them.

with Senders(group, redis_server, driver, gateways) as senders:
    senders.round(20, commands=2, listeners=sockets)     20 of each sender, then waits until the sockets have them
"""

import contextlib
import json
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from .gateway import tocsin
from .http_client import request
from .waiting import wait_until

DJANGO, REDIS_CLI, HTTP, COMMAND = "django", "redis-cli", "http", "command"


@dataclass
class Tally:
    """What was wrong with what some clients have heard."""

    heard: int = 0
    lost: int = 0
    doubled: int = 0
    reordered: int = 0

    @property
    def is_clean(self) -> bool:
        return self.heard > 0 and not (self.lost or self.doubled or self.reordered)

    def add_two(self, before: list[int], after: list[int], since: int, until: int):
        """Of one client, before it was cut and after it came back: what was sent meanwhile is not due."""
        self.add(before, 0, max(before, default=-1) + 1)
        self.add(after, since, until)
        self.doubled += len(set(before) & set(after))

    def add(self, numbers: list[int], since: int, until: int, may_miss=False):
        """numbers: of one sender, as heard. Due are those from `since` on, before `until`; earlier ones may be there."""
        unique, first = set(numbers), min([since, *numbers])
        self.heard += len(numbers)
        self.doubled += len(numbers) - len(unique)
        self.reordered += sum(later < earlier for earlier, later in zip(numbers, numbers[1:]))
        if not may_miss:
            self.lost += len(set(range(first, until)) - unique)


def numbers_by_sender(messages: Iterable[str | dict]) -> dict[str, list[int]]:
    heard: dict[str, list[int]] = {}
    for message in messages:
        if not isinstance(message, dict):
            message = json.loads(message)
        heard.setdefault(message["sender"], []).append(message["number"])
    return heard


class Senders:
    """Each sender sends 0, 1, 2, … to the group, the next one when the last is accepted; all four at the same time."""

    def __init__(self, group, redis_server, django, gateways):
        """django: a Driver. gateways: whose admin ports are used in turn; another list may be set at any time."""
        self.group, self.redis_server, self.django, self.gateways = group, redis_server, django, gateways
        self.started = dict.fromkeys((DJANGO, REDIS_CLI, HTTP, COMMAND), 0)  # what is sent from now on is at least this
        self.rounds = 0
        self._threads = ThreadPoolExecutor(4)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._threads.shutdown()

    def round(self, burst, commands=0, listeners=(), timeout=60):
        """Sends a burst of each, and `commands` by `tocsin send`; waits until those who listen now have them.

        Daphne's layer drops silently what exceeds its capacity, 100 for each process: a round must be smaller.
        """
        assert 3 * burst + commands < 90, "channels_redis drops what exceeds its capacity"
        senders = (self._by_django, self._by_redis_cli, self._by_http)
        jobs = [self._threads.submit(send, burst) for send in senders]
        jobs.append(self._threads.submit(self._by_command, commands))
        for job in jobs:
            job.result(timeout)
        self.rounds += 1
        waiting = [socket for socket in (listeners() if callable(listeners) else listeners) if socket.open]
        self._by_redis_cli(1, round=self.rounds)
        if waiting:
            self._wait(waiting, f'"round": {self.rounds},', timeout)

    def has_last(self, messages) -> bool:
        """Whether the last message of each sender is among them: a relayed one may come after what was sent later."""
        tail = numbers_by_sender(messages[-300:])
        return all(number - 1 in tail.get(sender, []) for sender, number in self.started.items())

    @contextlib.contextmanager
    def steadily(self, burst, commands, listeners):
        """One round after the other in a thread, until the block ends. Yields go_on(rounds): waits for so many more."""
        ended = threading.Event()

        def rounds():
            while not ended.is_set():
                self.round(burst, commands, listeners)

        def go_on(rounds=1, timeout=120):
            until = self.rounds + rounds
            wait_until(lambda: self.rounds >= until or thread.done(), timeout, "more rounds")
            if thread.done():
                thread.result()

        with ThreadPoolExecutor(1) as pool:
            thread = pool.submit(rounds)
            try:
                yield go_on
            finally:
                ended.set()
            thread.result(60)

    @staticmethod
    def _wait(waiting, marker, timeout):
        """Until each that is still open has the marker, which was sent after everything else of the round."""

        def has_it(socket):
            return any(marker in text for text in socket.messages[-300:])

        def all_have_it():
            while waiting and (not waiting[-1].open or has_it(waiting[-1])):
                waiting.pop()
            return not waiting

        waiting[0]._clients.wait_for(
            all_have_it,
            timeout,
            lambda: f"{marker} at {len(waiting)} sockets, {waiting[-1].url} has {waiting[-1].messages[-3:]}",
        )

    def _next(self, sender, count, **more) -> list[dict]:
        first = self.started[sender]
        self.started[sender] += count
        return [{"type": "receive", "sender": sender, "number": first + n, **more} for n in range(count)]

    def _by_django(self, count):
        self.django.group_send(*((self.group, message) for message in self._next(DJANGO, count)))

    def _by_redis_cli(self, count, **more):
        lines = [
            f"FCALL group_send 1 {self.django.project.stack.group_key(self.group)} '{json.dumps({**more, **message})}'\n"
            for message in self._next(REDIS_CLI, count)
        ]
        answers = self.redis_server.cli(stdin="".join(lines).encode())
        assert answers.count(":") == count, f"positions of {count} messages: {answers}"

    def _by_http(self, count):
        path = f"/v1/groups/{self.group}/messages"
        for message in self._next(HTTP, count):
            gateways = self.gateways
            gateway = gateways[message["number"] % len(gateways)]
            answer = request(gateway.admin_port, "POST", path, json.dumps(message), timeout=20)
            assert answer.status == 201, (answer.status, answer.text)

    def _by_command(self, count):
        for message in self._next(COMMAND, count):
            settings = self.gateways[0].directory / "tocsin.yaml"
            options = ("--config", settings, "--redis", self.redis_server.url)
            tocsin("send", self.group, json.dumps(message), *options)
