"""Users with several devices each, which speak tocsin.v1: they read at random, resume after every loss, and repeat their marks."""

import asyncio
import contextlib
import json
import random
import threading

import websockets


class Device:
    """One device: a connection that is opened again whenever it ends, from where it was."""

    def __init__(self, fleet, user, number):
        self.fleet, self.user = fleet, user
        self.random = random.Random(f"{fleet.seed}-{user}-{number}")
        self.since = None
        self.state = None  # the last {"unread", "read"}
        self.shown = {}  # offset → id
        self.gaps = []
        self.pending = {}  # ref → command, until it is answered
        self.reconnects = -1
        self._ref = 0

    async def run(self):
        while not self.fleet.ended:
            with contextlib.suppress(OSError, websockets.exceptions.WebSocketException, asyncio.TimeoutError):
                await self._once()
            await asyncio.sleep(0.05 + 0.2 * self.random.random())

    async def _once(self):
        url = self.random.choice(self.fleet.urls()) + (f"?since={self.since}" if self.since else "")
        headers = {"X-Remote-User": self.user}
        async with websockets.connect(
            url, origin=self.fleet.origin, subprotocols=["tocsin.v1"], additional_headers=headers, open_timeout=5,
            compression=None, ping_interval=None,
        ) as socket:  # fmt: skip
            self.reconnects += 1
            for command in self.pending.values():  # a mark that was not answered may or may not have come through
                await socket.send(json.dumps(command))
            self._refused = []
            tasks = [asyncio.create_task(task(socket)) for task in (self._mark_at_random, self._repeat)]
            try:
                async for text in socket:
                    self._received(json.loads(text))
            finally:
                for task in tasks:
                    task.cancel()

    def _received(self, frame):
        if "id" in frame and "message" in frame:
            offset = int(frame["id"].rsplit(":", 1)[1])
            self.since = frame["id"]
            self.shown.setdefault(offset, frame["id"])
        if "gap" in frame:
            self.gaps.append(frame["gap"])
        if "unread" in frame:
            self.state = {key: frame[key] for key in ("unread", "read")}
            self.since = self.since or frame["read"]  # where it was before its first message
        if "error" in frame:
            assert frame["error"]["code"] in ("unavailable", "busy"), frame
            self._refused.append(frame["ref"])
        elif "ref" in frame:
            command = self.pending.pop(frame["ref"], None)
            if command:
                self.fleet.marked(self.user, command)

    async def _mark_at_random(self, socket):
        while True:
            await asyncio.sleep(self.random.expovariate(self.fleet.marks_per_second))
            if self.fleet.is_reading and self.shown and len(self.pending) < 8:
                self._ref += 1
                offset = self.random.choice(list(self.shown))
                kind = self.random.choice(["read", "read_one", "read_one", "read_one"])
                command = {kind: self.shown[offset], "ref": self._ref}
                self.pending[self._ref] = command
                await socket.send(json.dumps(command))

    async def _repeat(self, socket):
        """Sends again what could not be taken."""
        while True:
            await asyncio.sleep(0.5)
            refused, self._refused = self._refused, []
            for ref in refused:
                if ref in self.pending:
                    await socket.send(json.dumps(self.pending[ref]))


class Devices:
    """All devices, on an event loop of their own. `read` has the offsets that each user has read, by answered marks alone."""

    def __init__(self, urls, users, devices, origin, marks_per_second=2.0, seed=1):
        self.urls, self.origin, self.seed, self.marks_per_second = urls, origin, seed, marks_per_second
        self.ended, self.is_reading = False, True
        self.read = {user: set() for user in users}
        self.upto = dict.fromkeys(users, 0)
        self.devices = [Device(self, user, number) for user in users for number in range(devices)]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        asyncio.set_event_loop(self._loop)
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._all())
        self._loop.close()

    async def _all(self):
        self._task = asyncio.gather(*(device.run() for device in self.devices))
        await self._task

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.ended = True
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(20)

    @property
    def connected(self):
        """Whether every device has been told a state."""
        return all(device.state for device in self.devices)

    def marked(self, user, command):
        (kind, position), = [item for item in command.items() if item[0] != "ref"]
        offset = int(position.rsplit(":", 1)[1])
        if kind == "read":
            self.upto[user] = max(self.upto[user], offset)
        else:
            self.read[user].add(offset)

    def has_read(self, user, offset):
        return offset <= self.upto[user] or offset in self.read[user]

    @property
    def pending(self):
        return sum(len(device.pending) for device in self.devices)

    @property
    def reconnects(self):
        return sum(max(device.reconnects, 0) for device in self.devices)
