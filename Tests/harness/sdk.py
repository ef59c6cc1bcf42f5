"""The real centrifuge SDK for Python: its clients on one event loop in a thread, with all their events recorded.

with Sdk() as sdk:
    client = sdk.connect(gateway.url("/connection/websocket"))
    room = client.subscribe("room")
    room.wait(3)      three publications
"""

import asyncio
import threading

import centrifuge

from .gateway import ORIGIN
from .waiting import Listener


class Channel(centrifuge.SubscriptionEventHandler):
    """What one client receives on one channel. A server-side subscription has no `subscription`."""

    def __init__(self, sdk, name):
        self.name = name
        self.subscription: centrifuge.Subscription | None = None
        self.subscribed: list[centrifuge.SubscribedContext] = []  # one per subscription
        self.subscribing: list[tuple[int, str]] = []
        self.unsubscribed: list[tuple[int, str]] = []
        self.publications: list[centrifuge.Publication] = []
        self.comings: list[tuple[str, str]] = []  # ("join" or "leave", client)
        self.errors: list[Exception] = []
        self._sdk = sdk

    @property
    def data(self) -> list:
        return [publication.data for publication in self.publications]

    @property
    def offsets(self) -> list[int]:
        return [publication.offset for publication in self.publications]

    def wait(self, count, timeout=10) -> list:
        """Waits for count publications and returns the data of the first count."""
        self._sdk.wait_for(
            lambda: len(self.publications) >= count, timeout, lambda: f"{count} in {self.name}, has {self.data[-5:]}"
        )
        return self.data[:count]

    def until(self, key, timeout=10) -> list:
        """Waits for a publication with this key and returns the data of all publications before it."""

        def place():
            return next((i for i, publication in enumerate(self.publications) if key in publication.data), None)

        self._sdk.wait_for(lambda: place() is not None, timeout, lambda: f"{key} in {self.name}, has {self.data[-5:]}")
        return self.data[: place()]

    def wait_subscribed(self, times=1, timeout=10) -> centrifuge.SubscribedContext:
        """Waits until the channel has been subscribed to that many times; returns the server's last reply."""
        self._sdk.wait_for(
            lambda: len(self.subscribed) >= times, timeout, lambda: f"{self.name} subscribed: {self.unsubscribed}"
        )
        return self.subscribed[times - 1]

    # Callbacks of the SDK

    async def on_subscribed(self, ctx):
        self._sdk.note(self.subscribed, ctx)

    async def on_subscribing(self, ctx):
        self._sdk.note(self.subscribing, (ctx.code, ctx.reason))

    async def on_unsubscribed(self, ctx):
        self._sdk.note(self.unsubscribed, (ctx.code, ctx.reason))

    async def on_publication(self, ctx):
        self._sdk.note(self.publications, ctx.pub)

    async def on_join(self, ctx):
        self._sdk.note(self.comings, ("join", ctx.info.client))

    async def on_leave(self, ctx):
        self._sdk.note(self.comings, ("leave", ctx.info.client))

    async def on_error(self, ctx):
        self._sdk.note(self.errors, ctx.error)


class SdkClient(centrifuge.ClientEventHandler):
    def __init__(self, sdk, url, headers, options):
        self.connected: list[centrifuge.ConnectedContext] = []  # one per connection
        self.connecting: list[tuple[int, str]] = []  # the reason, each time; the first is the call of connect()
        self.disconnected: list[tuple[int, str]] = []  # permanently
        self.errors: list[Exception] = []
        self._server_channels: dict[str, Channel] = {}
        self._sdk, self._url, self._headers, self._options = sdk, url, headers, options
        self._client: centrifuge.Client | None = None

    async def _start(self):
        self._client = centrifuge.Client(
            self._url, events=self, headers={"Origin": ORIGIN, **self._headers}, proxy=None, **self._options
        )
        await self._client.connect()

    @property
    def id(self) -> str:
        """The server's name for the current connection."""
        return self.connected[-1].client

    def wait_connected(self, times=1, timeout=10) -> centrifuge.ConnectedContext:
        self._sdk.wait_for(
            lambda: len(self.connected) >= times, timeout, lambda: f"connected {times} times: {self.errors}"
        )
        return self.connected[times - 1]

    def subscribe(self, channel, wait=True, **options) -> Channel:
        """Subscribes from the client; with wait, returns once the server has accepted or refused."""
        record = Channel(self._sdk, channel)

        async def start():
            record.subscription = self._client.new_subscription(channel, events=record, **options)
            await record.subscription.subscribe()

        self._sdk.run(start())
        if wait:
            self._sdk.wait_for(lambda: record.subscribed or record.unsubscribed, 10, lambda: f"{channel} answered")
        return record

    def channel(self, name) -> Channel:
        """What the client receives on a channel to which the server has subscribed it."""
        return self._server_channels.setdefault(name, Channel(self._sdk, name))

    def __getattr__(self, name):
        """publish, history, presence, presence_stats, rpc, disconnect, …: the SDK's methods, called from this thread."""
        method = getattr(self._client, name)
        return lambda *arguments, **options: self._sdk.run(method(*arguments, **options))

    def unsubscribe(self, record: Channel):
        self._sdk.run(record.subscription.unsubscribe())

    def cut(self):
        """Drops the connection without a close frame; the SDK reconnects by itself."""
        self._sdk.call(lambda: self._client._conn and self._client._conn.transport.abort())

    # Callbacks of the SDK

    async def on_connecting(self, ctx):
        self._sdk.note(self.connecting, (ctx.code, ctx.reason))

    async def on_connected(self, ctx):
        self._sdk.note(self.connected, ctx)

    async def on_disconnected(self, ctx):
        self._sdk.note(self.disconnected, (ctx.code, ctx.reason))

    async def on_error(self, ctx):
        self._sdk.note(self.errors, ctx.error)

    async def on_subscribed(self, ctx):
        self._sdk.note(self.channel(ctx.channel).subscribed, ctx)

    async def on_unsubscribed(self, ctx):
        self._sdk.note(self.channel(ctx.channel).unsubscribed, (0, ""))

    async def on_publication(self, ctx):
        self._sdk.note(self.channel(ctx.channel).publications, ctx.pub)

    async def on_join(self, ctx):
        self._sdk.note(self.channel(ctx.channel).comings, ("join", ctx.info.client))

    async def on_leave(self, ctx):
        self._sdk.note(self.channel(ctx.channel).comings, ("leave", ctx.info.client))


class Sdk(Listener):
    def __init__(self):
        super().__init__()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="sdk", daemon=True)
        self._clients: list[SdkClient] = []

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        for client in self._clients:
            client.disconnect()
        self.run(self._end())
        self.call(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def connect(self, url, headers=None, wait=True, **options) -> SdkClient:
        """Returns a connected client. options: the SDK's own."""
        client = SdkClient(self, url, headers or {}, options)
        self._clients.append(client)
        self.run(client._start())
        if wait:
            client.wait_connected()
        return client

    def run(self, coroutine, timeout=20):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout)

    def call(self, function):
        self._loop.call_soon_threadsafe(function)

    def note(self, place, what):
        with self._hearing():
            place.append(what)

    @staticmethod
    async def _end():
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
