"""The smallest Django Channels site: a socket of /ws/NAME joins the group NAME and receives its messages."""

import os

from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.urls import re_path

settings.configure(
    CHANNEL_LAYERS={
        "default": {
            "BACKEND": os.environ["BENCH_LAYER"],
            # The core layer drops messages beyond its capacity of 100 per process.
            "CONFIG": {"hosts": [os.environ["BENCH_REDIS"]]}
            | ({"capacity": 100_000} if "core" in os.environ["BENCH_LAYER"] else {}),
        }
    }
)


class Consumer(AsyncWebsocketConsumer):
    async def connect(self):
        self.room = self.scope["url_route"]["kwargs"]["room"]
        await self.channel_layer.group_add(self.room, self.channel_name)
        await self.accept()

    async def disconnect(self, code):
        await self.channel_layer.group_discard(self.room, self.channel_name)

    async def relay(self, event):
        await self.send(text_data=event["text"])


application = ProtocolTypeRouter({"websocket": URLRouter([re_path(r"^ws/(?P<room>[\w.-]+)$", Consumer.as_asgi())])})
