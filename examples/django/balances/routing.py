from django.urls import re_path

from .consumers import IsInsufficientConsumer, SpendingConsumer

websocket_urlpatterns = [
    re_path(r"^users/isinsufficient$", IsInsufficientConsumer.as_asgi()),
]

# Channels that `manage.py runworker` reads.
channel_names = {"spending": SpendingConsumer.as_asgi()}
