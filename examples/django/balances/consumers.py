"""The Channels consumer that Tocsin's route in tocsin.yaml replaces, line for line."""

import json

from asgiref.sync import async_to_sync
from channels.generic.websocket import WebsocketConsumer


class IsInsufficientConsumer(WebsocketConsumer):
    group = None

    def connect(self):
        user_id = self.scope["session"].get("userId")
        if user_id is None:
            self.close()  # before accept(): the browser is answered 403
            return
        self.group = f"{user_id}isInsufficient"
        async_to_sync(self.channel_layer.group_add)(self.group, self.channel_name)
        self.accept()

    # Called with the text of a browser's frame, and, because group messages have "type": "receive", with each of them.
    def receive(self, text_data=None, bytes_data=None):
        print(text_data, flush=True)
        self.send(text_data=json.dumps(text_data))

    def disconnect(self, code):
        if self.group:
            async_to_sync(self.channel_layer.group_discard)(self.group, self.channel_name)
