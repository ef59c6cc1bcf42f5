import json
import math

from asgiref.sync import async_to_sync
from channels.consumer import SyncConsumer
from channels.generic.websocket import WebsocketConsumer
from django.db import transaction

from .models import Balance


class IsInsufficientConsumer(WebsocketConsumer):
    """The Channels consumer that Tocsin's route in tocsin.yaml replaces, line for line."""

    group = None

    def connect(self):
        user_id = self.scope["session"].get("userId")
        if user_id is None:
            self.close()  # before accept(): the browser gets a 403
            return
        self.group = f"{user_id}isInsufficient"
        async_to_sync(self.channel_layer.group_add)(self.group, self.channel_name)
        self.accept()

    # Called with the text of each frame from the browser, and with each group message, because their "type" is "receive".
    def receive(self, text_data=None, bytes_data=None):
        print(text_data, flush=True)
        self.send(text_data=json.dumps(text_data))

    def disconnect(self, code):
        if self.group:
            async_to_sync(self.channel_layer.group_discard)(self.group, self.channel_name)


class SpendingConsumer(SyncConsumer):
    """`manage.py runworker spending`: what browsers send to the gateway's route /users/spending.

    The gateway's login says who it is. The text is whatever the browser sent.
    """

    def websocket_receive(self, event):
        answer = {"type": "answer", **self.spend(event["user"], event["text"])}
        async_to_sync(self.channel_layer.send)(event["reply_channel"], answer)

    def spend(self, user_id, text):
        try:
            amount = float(text)
        except ValueError:
            amount = math.nan
        if not 0 < amount < math.inf:
            return {"error": "send an amount above 0"}
        with transaction.atomic():
            balance = Balance.objects.select_for_update().filter(user_id=user_id).first()
            if balance is None or balance.amount < amount:
                return {"error": "the balance is too low"}
            balance.amount -= amount
            balance.save()
        return {"balance": balance.amount}
