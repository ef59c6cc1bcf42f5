"""A process full of clients, separate from the tests, so that neither starves the other.

Its parent writes one JSON object per line and reads one JSON line for each:
  {"do": "start", "within": s}         all clients connect, spread over s seconds
  {"do": "opened", "timeout": s}       waits until all are open
  {"do": "until", "last": {…}, "timeout": s}   waits until all have been shown these numbers, by "publisher/group"
  {"do": "drop"} {"do": "flip", "share": x} {"do": "crawl"} {"do": "read"} {"do": "status"}
  {"do": "targets", "targets": [[host, port], …]}
    {"do": "delays"}                     how late messages were since the last such order: count, p50, p99, max, in s
The answer is the status: clients, open, shown, opens.
"""

import asyncio
import json
import random
import sys
import time

from .client import KINDS
from .timing import percentile


class Fleet:
    def __init__(self, spec):
        self.targets = [tuple(target) for target in spec["targets"]]
        self.log = open(spec["log"], "w", buffering=1 << 20)
        self.name, self.sources = spec["name"], spec["sources"]
        self.slow, self.forgetful = spec["slow"], spec["forgetful"]
        self.delays: list[float] | None = None  # None: not asked for yet
        self.tasks: set[asyncio.Task] = set()
        self.shown = 0
        self.clients = [
            KINDS[spec["kind"]](self, n, path, tuple(groups)) for n, (path, groups) in enumerate(spec["clients"])
        ]

    def spawn(self, work):
        # asyncio keeps only weak references to tasks.
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def heard(self, sent=None):
        """sent: the message's time, by its publisher's clock, which is shared (logs.py)."""
        self.shown += 1
        if sent is not None and self.delays is not None:
            self.delays.append(time.monotonic() - sent)

    def status(self):
        return {
            "clients": len(self.clients),
            "open": sum(client.is_open for client in self.clients),
            "opens": sum(client.opens for client in self.clients),
            "shown": self.shown,
        }

    async def wait(self, client_is_done, timeout):
        """Waits until client_is_done for all; a client that is done is not checked again."""
        deadline = time.monotonic() + timeout
        waiting = self.clients
        while True:
            waiting = [client for client in waiting if not client_is_done(client)]
            if not waiting or time.monotonic() > deadline:
                return {"done": not waiting, "waiting": [client.name for client in waiting[:5]]}
            await asyncio.sleep(0.05)

    async def do(self, order):
        match order["do"]:
            case "start":
                for n, client in enumerate(self.clients):
                    delay = random.uniform(0, order["within"])
                    asyncio.get_running_loop().call_later(delay, client.start, n)
            case "opened":
                return await self.wait(lambda client: client.is_open, order["timeout"])
            case "until":
                wanted: dict[str, list[tuple[str, int]]] = {}
                for name, number in order["last"].items():
                    wanted.setdefault(name.split("/")[1], []).append((name, number))
                return await self.wait(
                    lambda client: all(
                        client.last.get(name, 0) >= number
                        for group in client.groups
                        for name, number in wanted.get(group, ())
                    ),
                    order["timeout"],
                )
            case "targets":
                self.targets = [tuple(target) for target in order["targets"]]
            case "flip":
                for client in random.sample(self.clients, max(1, int(len(self.clients) * order["share"]))):
                    client.flip()
            case "drop" | "crawl" | "read" as word:
                for client in self.clients:
                    getattr(client, word)()
            case "delays":
                late, self.delays = self.delays or [], []
                return {
                    "delays": {
                        "count": len(late), "p50": percentile(late, 0.5), "p99": percentile(late, 0.99),
                        "max": max(late, default=0.0),
                    }
                }  # fmt: skip
            case "status":
                pass
            case unknown:
                raise ValueError(unknown)
        return {}

    async def watch(self):
        while True:
            await asyncio.sleep(1)
            now = time.monotonic()
            for client in self.clients:
                client.look(now)

    async def run(self):
        self.spawn(self.watch())
        orders = asyncio.StreamReader(limit=1 << 24)
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
        while line := await orders.readline():
            answer = await self.do(json.loads(line))
            print(json.dumps({**self.status(), **answer}), flush=True)
        self.log.close()


if __name__ == "__main__":
    fleet = Fleet(json.loads(sys.stdin.readline()))
    print(json.dumps(fleet.status()), flush=True)
    asyncio.run(fleet.run())
