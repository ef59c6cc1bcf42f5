import json

from asgiref.sync import async_to_sync
from channels.consumer import AsyncConsumer
from channels.generic.websocket import WebsocketConsumer


class IsInsufficientConsumer(WebsocketConsumer):
    """What the gateways stand in for."""

    group = None

    def connect(self):
        user_id = self.scope["session"].get("userId")
        if user_id is None:
            self.close()
            return
        self.group = f"{user_id}isInsufficient"
        async_to_sync(self.channel_layer.group_add)(self.group, self.channel_name)
        self.accept()

    # Called with a browser's text, and with each group message, as their type is "receive".
    def receive(self, text_data=None, bytes_data=None):
        print(text_data, flush=True)
        self.send(text_data=json.dumps(text_data))

    def disconnect(self, code):
        if self.group:
            async_to_sync(self.channel_layer.group_discard)(self.group, self.channel_name)


class AskConsumer(WebsocketConsumer):
    """Passes a browser's task on to the worker, and what the worker answers back to the browser."""

    def receive(self, text_data=None, bytes_data=None):
        task = json.loads(text_data)
        async_to_sync(self.channel_layer.send)("tasks", {**task, "reply_channel": self.channel_name})

    def answer(self, event):
        self.send(text_data=json.dumps(event))


class TaskConsumer(AsyncConsumer):
    """The worker: `manage.py runworker tasks`. A task's type says what it does with the layer."""

    async def reply(self, task):
        await self.channel_layer.send(task["reply_channel"], task["message"])

    async def tell(self, task):
        await self.channel_layer.group_send(task["group"], task["message"])

    async def join(self, task):
        await self.channel_layer.group_add(task["group"], task["reply_channel"])

    async def leave(self, task):
        await self.channel_layer.group_discard(task["group"], task["reply_channel"])

    async def websocket_receive(self, event):
        """A text of a browser that a gateway holds: `receive: forward:tasks`."""
        task, reply_channel = json.loads(event["text"]), event["reply_channel"]
        if task["do"] == "answer":
            told = {name: event[name] for name in ("text", "user", "groups", "path", "client")}
            await self.channel_layer.send(reply_channel, {"type": "answer", **told})
        elif task["do"] == "count":
            await self.channel_layer.send(reply_channel, {"type": "answer", "number": task["number"]})
        elif task["do"] == "tell":
            await self.channel_layer.group_send(task["group"], task["message"])
        else:
            act = {"join": self.channel_layer.group_add, "leave": self.channel_layer.group_discard}[task["do"]]
            await act(task["group"], reply_channel)
            await self.channel_layer.send(reply_channel, {"type": "answer", "done": task["do"]})
