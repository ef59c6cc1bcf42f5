"""Names and numbers that the tests compute independently, so that they can disagree with the program."""

import re
import zlib
from typing import NamedTuple

STAMP = "__tocsin__"


def group_key(group, prefix="asgi"):
    return f"{prefix}:group:{group}"


def live_channel(group, prefix="asgi"):
    return f"{prefix}__group__{group}"


def own(name, prefix="asgi"):
    """A key of Tocsin's own: tocsin:NAME, or tocsin:PREFIX:NAME if the prefix is not the default."""
    return f"tocsin:{name}" if prefix == "asgi" else f"tocsin:{prefix}:{name}"


def inbox_number(group):
    return zlib.crc32(group.encode()) & 15


def shard_of(name, count):
    """channels_redis 4.3, utils._consistent_hash: which of so many servers has this name."""
    return int((zlib.crc32(name.encode()) & 0xFFF) / (4096 / float(count)))


def fleet_member(group, shards=1):
    """The one member of a group that stands for all gateways; on several servers Django's layer must find it where the group is."""
    name = f"specific.tocsin-{inbox_number(group):02x}"
    if shards == 1:
        return f"{name}!{group}"
    names = (f"{name}.{n}!" for n in range(10**6))
    return next(name for name in names if shard_of(name, shards) == shard_of(group, shards)) + group


def inbox_key(group, prefix="asgi"):
    return f"{prefix}specific.tocsin-{inbox_number(group):02x}!"


class Position(NamedTuple):
    """EPOCH.HISTORY:OFFSET"""

    epoch: str
    history: str
    offset: int

    @classmethod
    def parse(cls, text):
        if isinstance(text, bytes):
            text = text.decode("ascii")
        # 0.0:0 is the position before the first message.
        match = re.fullmatch(r"([0-9a-f]{8}|0(?=\.0:0))\.([0-9a-f]{10}|0(?=:0)):(0|[1-9][0-9]*)", text)
        assert match, f"not a position: {text!r}"
        return cls(match[1], match[2], int(match[3]))

    def __str__(self):
        return f"{self.epoch}.{self.history}:{self.offset}"
