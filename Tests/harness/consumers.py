"""Consumers of Django as Redis sees them, without any Django: their names, and what lies in their processes' inboxes."""

import json
import time

from .names import group_key, own

ADDRESS = "__asgi_channel__"
RANDOM_PREFIX = 12


def consumer(number=0, process="a") -> str:
    """A channel name as channels_redis 3 and 4 make it. All consumers of a process share what is up to the '!'."""
    return f"specific.{process * 32}!{number:032x}"


def inbox(process="a", prefix="asgi") -> str:
    return f"{prefix}specific.{process * 32}!"


class CoreLayer:
    """The core layer of one prefix in a Redis with the function library."""

    def __init__(self, redis, prefix="asgi"):
        self.redis, self.prefix = redis, prefix

    def configure(self, **settings):
        """What gateways say that the layer is configured with; their `redis:` section."""
        self.redis.fcall("policy_set", 0, self.prefix, "[]", "", json.dumps(settings))

    def join(self, *members, group="g", age=0.0):
        self.redis.zadd(group_key(group, self.prefix), {member: time.time() - age for member in members})

    def send(self, message, *options, group="g") -> list[int]:
        """group_send's answer after the position: gateways, and told and skipped where consumers are in the group."""
        return self.redis.fcall("group_send", 1, group_key(group, self.prefix), message, *options)[1:]

    def in_inbox(self, process="a") -> list[bytes]:
        """The copies in the inbox of a process, the oldest first, without what makes the entries differ."""
        return [entry[RANDOM_PREFIX:] for entry in self.redis.zrange(inbox(process, self.prefix), 0, -1)]

    def own(self, name):
        return own(name, self.prefix)
