"""python channels_publisher.py GROUP USERS: group_send at the rate that wsload passes in the environment.

With {u:5} in the group's name each message goes to a random one of USERS.
"""

import asyncio
import json
import os
import random
import sys
import time

import channels_site  # noqa: F401  configures the layer
from channels.layers import get_channel_layer

group, users = sys.argv[1], int(sys.argv[2])
rate, count = float(os.environ["WSLOAD_RATE"]), int(os.environ["WSLOAD_COUNT"])
size, first = int(os.environ["WSLOAD_SIZE"]), int(os.environ["WSLOAD_FIRST_SEQ"])


async def publish():
    layer = get_channel_layer()
    start = time.monotonic_ns()
    for n in range(count):
        due = start + int(n / rate * 1e9)
        await asyncio.sleep(max(0, due - time.monotonic_ns()) / 1e9)
        text = json.dumps({"ts": due, "seq": first + n, "p": ""}, separators=(",", ":"))
        text = text[:-2] + "x" * max(0, size - len(text)) + '"}'
        name = group.replace("{u:5}", f"{random.randrange(users):05}")
        await layer.group_send(name, {"type": "relay", "text": text})


asyncio.run(publish())
