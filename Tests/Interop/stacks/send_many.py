"""One process of harness/layer_senders.py: many coroutines that send at once. In the words of Python 3.6.

python send_many.py '{"sends": 200, "senders": {"0": ["a", "b"], …}}'
"""

import asyncio
import json
import logging
import sys

import django


class OverCapacity(logging.Handler):
    """Counts the layer's log lines about dropped messages, which it reports in no other way; 2.1.1 in none."""

    count = 0

    def emit(self, record):
        if "over capacity" in record.getMessage():
            self.count += 1


async def send_all(layer, plan):
    sent = []

    async def one(sender, groups):
        for number in range(plan["sends"]):
            message = {"type": "receive", "sender": int(sender), "number": number}
            await layer.group_send(groups[number % len(groups)], message)
            sent.append(sender)

    await asyncio.gather(*(one(sender, groups) for sender, groups in plan["senders"].items()))
    if hasattr(layer, "close_pools"):
        await layer.close_pools()
    return len(sent)


def main():
    plan = json.loads(sys.argv[1])
    django.setup()
    from channels.layers import get_channel_layer

    dropped = OverCapacity()
    logger = logging.getLogger("channels_redis.core")
    logger.addHandler(dropped)
    logger.setLevel(logging.INFO)
    print("ready", flush=True)
    sys.stdin.readline()
    sent = asyncio.get_event_loop().run_until_complete(send_all(get_channel_layer(), plan))
    print(json.dumps({"sent": sent, "over_capacity": dropped.count}))


main()
