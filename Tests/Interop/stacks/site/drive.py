"""A Django process that does to its channel layer what it is told, a line at a time, and answers a line.

A line is a Python tuple in ASCII, as ascii() writes it, so that it can say what JSON cannot: ("group_send", "room",
{"type": "receive", "data": b"\\x00"}). The answer is what the call returned, or an Error with what it raised.
"""

import ast
import sys

import django

django.setup()

from asgiref.sync import async_to_sync  # noqa: E402
from balances.models import Balance  # noqa: E402
from channels.layers import get_channel_layer  # noqa: E402

layer = get_channel_layer()


def group_send_all(sends):
    """Many, one after the other, without leaving the event loop."""

    async def all_of_them():
        for group, message in sends:
            await layer.group_send(group, message)

    async_to_sync(all_of_them)()


def set_balance(user, amount):
    Balance.objects.update_or_create(user_id=user, defaults={"amount": amount})


VERBS = {
    "send": async_to_sync(layer.send),
    "group_send": async_to_sync(layer.group_send),
    "group_add": async_to_sync(layer.group_add),
    "group_discard": async_to_sync(layer.group_discard),
    "group_send_all": group_send_all,
    "set_balance": set_balance,
}

print("ready", flush=True)
for line in sys.stdin:
    verb, *arguments = ast.literal_eval(line)
    try:
        answer = ("returned", VERBS[verb](*arguments))
    except Exception as error:
        answer = ("raised", "%s: %s" % (type(error).__name__, error))
    print(ascii(answer), flush=True)
