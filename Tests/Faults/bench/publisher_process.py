"""A process that publishes numbered messages as a careful backend does: one after the other in each group, each with an
idempotency key, repeated with the same key while its outcome is unknown. Every attempt is logged (logs.py).

Orders, as for the clients' process:
  {"do": "start"}   {"do": "stop", "timeout": s}   {"do": "status"}   {"do": "burst", "count": n}
The answer: planned, accepted, rejected, attempts, and `last`, the highest accepted number by "publisher/group".
"""

import asyncio
import json
import sys
import time

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, RedisError, ResponseError

from . import logs

# Each worker has a connection and its share of the groups, so each group has one publisher that waits for each answer.
WORKERS = 8
ANSWER_TIMEOUT = 2.5
PAUSE = 0.1  # before another attempt


class Publishers:
    def __init__(self, spec):
        self.name, self.groups, self.prefix = spec["name"], spec["groups"], spec["prefix"]
        self.interval = len(self.groups) / spec["rate"]  # between two messages of one group
        self.padding = "." * spec["padding"]
        self.address = spec["address"]
        self.log = open(spec["log"], "w", buffering=1 << 20)
        self.counts = {"planned": 0, "accepted": 0, "rejected": 0, "attempts": 0}
        self.numbers = dict.fromkeys(self.groups, 0)
        self.last: dict[str, int] = {}
        self.tasks: list[asyncio.Task] = []
        self.stopping = False
        self.give_up = float("inf")

    def status(self):
        return {**self.counts, "last": self.last, "running": sum(not task.done() for task in self.tasks)}

    # One worker

    async def work(self, groups, delay):
        host, port, database = self.address
        connection = redis.asyncio.Connection(
            host=host, port=port, db=database, socket_timeout=ANSWER_TIMEOUT, socket_connect_timeout=ANSWER_TIMEOUT,
            retry=Retry(NoBackoff(), 0),
        )  # fmt: skip
        pause = self.interval / len(groups)
        due = time.monotonic() + delay
        try:
            while not self.stopping:
                for group in groups:
                    await asyncio.sleep(max(0.0, due - time.monotonic()))
                    if self.stopping:
                        break
                    await self.publish(connection, group)
                    # What could not be sent in time is sent soon, but not all together: at twice the planned rate.
                    due = max(due + pause, time.monotonic() + pause / 2)
        finally:
            await connection.disconnect()

    async def publish(self, connection, group):
        """Sends one message, until its outcome is known or cannot be determined."""
        self.numbers[group] += 1
        self.counts["planned"] += 1
        number = self.numbers[group]
        id = f"{self.name}/{group}/{number}"
        body = self.body(id)
        doubtful = False
        while True:
            outcome = await self.attempt(connection, group, id, body)
            if outcome == logs.OK:
                self.counts["accepted"] += 1
                self.last[f"{self.name}/{group}"] = number
                return
            if outcome == logs.REJECTED and not doubtful:
                self.counts["rejected"] += 1
                return
            doubtful = doubtful or outcome == logs.UNKNOWN
            if time.monotonic() > self.give_up:
                return
            await asyncio.sleep(PAUSE)

    def body(self, id):
        message = {"id": id, "at": time.monotonic()}
        return json.dumps({**message, "pad": self.padding} if self.padding else message)

    async def attempt(self, connection, group, id, body):
        began = time.monotonic()
        self.counts["attempts"] += 1
        outcome, detail = logs.UNSENT, ""
        try:
            await connection.connect()
            outcome = logs.UNKNOWN
            await connection.send_command("FCALL", "group_send", 1, f"{self.prefix}:group:{group}", body, "KEY", id)
            answer = await connection.read_response()
            outcome, detail = logs.OK, answer[0].decode()
        except (ResponseError, BusyLoadingError) as error:
            # A negative answer. (redis-py closes the connection when Redis is loading; that counts as one too.)
            outcome, detail = (outcome if outcome == logs.UNSENT else logs.REJECTED), str(error)
        except (RedisError, OSError, TimeoutError) as error:
            detail = type(error).__name__
            await connection.disconnect(nowait=True)
        self.log.write(logs.attempt_line(logs.Attempt(began, time.monotonic(), id, outcome, detail)))
        return outcome

    # Orders

    async def burst(self, count):
        """Sends that many messages to each group, over every worker's connection, without waiting for one before the next."""
        host, port, database = self.address
        client = redis.asyncio.Redis(host=host, port=port, db=database, retry=Retry(NoBackoff(), 0), socket_timeout=60)
        try:
            for start in range(0, len(self.groups), 100):
                await self.burst_part(client, self.groups[start : start + 100], count)
        finally:
            await client.aclose()

    async def burst_part(self, client, groups, count):
        pipeline = client.pipeline(transaction=False)
        ids = []
        for group in groups:
            for _ in range(count):
                self.numbers[group] += 1
                id = f"{self.name}/{group}/{self.numbers[group]}"
                ids.append((group, id))
                pipeline.fcall("group_send", 1, f"{self.prefix}:group:{group}", self.body(id), "KEY", id)
        began = time.monotonic()
        answers = await pipeline.execute()
        ended = time.monotonic()
        for (group, id), answer in zip(ids, answers, strict=True):
            self.log.write(logs.attempt_line(logs.Attempt(began, ended, id, logs.OK, answer[0].decode())))
            self.last[f"{self.name}/{group}"] = self.numbers[group]
        for name in ("planned", "accepted", "attempts"):
            self.counts[name] += len(ids)

    async def do(self, order):
        match order["do"]:
            case "start":
                self.stopping, self.give_up = False, float("inf")
                shares = [self.groups[n::WORKERS] for n in range(WORKERS)]
                self.tasks = [
                    asyncio.create_task(self.work(share, self.interval * n / WORKERS / max(1, len(share))))
                    for n, share in enumerate(shares)
                    if share
                ]
            case "stop":
                self.stopping, self.give_up = True, time.monotonic() + order["timeout"]
                await asyncio.gather(*self.tasks)
            case "burst":
                await self.burst(order["count"])
            case "status":
                pass
            case unknown:
                raise ValueError(unknown)

    async def run(self):
        orders = asyncio.StreamReader(limit=1 << 24)
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
        while line := await orders.readline():
            await self.do(json.loads(line))
            print(json.dumps(self.status()), flush=True)
        self.log.close()


if __name__ == "__main__":
    publishers = Publishers(json.loads(sys.stdin.readline()))
    print(json.dumps(publishers.status()), flush=True)
    asyncio.run(publishers.run())
