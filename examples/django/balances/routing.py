from django.urls import re_path

from .consumers import IsInsufficientConsumer

websocket_urlpatterns = [
    re_path(r"^users/isinsufficient$", IsInsufficientConsumer.as_asgi()),
]
