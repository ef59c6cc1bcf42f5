"""What Daphne serves and `manage.py runworker` runs, in the words of Channels 2, 3 and 4."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
django.setup()

from balances import consumers  # noqa: E402
from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.routing import ChannelNameRouter, ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402
from django.urls import re_path  # noqa: E402


def application_of(consumer):
    """Channels 2 takes the class itself."""
    return consumer.as_asgi() if hasattr(consumer, "as_asgi") else consumer


urls = [
    re_path(r"^users/isinsufficient$", application_of(consumers.IsInsufficientConsumer)),
    re_path(r"^ask$", application_of(consumers.AskConsumer)),
]
protocols = {
    "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(urls))),
    "channel": ChannelNameRouter({"tasks": application_of(consumers.TaskConsumer)}),
}
if django.VERSION >= (3, 0):  # before it, Channels serves HTTP by itself
    from django.core.asgi import get_asgi_application

    protocols["http"] = get_asgi_application()

application = ProtocolTypeRouter(protocols)
