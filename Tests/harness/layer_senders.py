"""Many concurrent Django senders: processes × coroutines, each with the real channel layer, all starting together.

Also the program of one such process: python layer_senders.py '{"process": 0, …}', which waits for a line before it
sends and then prints its totals.
"""

import asyncio
import json
import logging
import subprocess
import sys

MESSAGE_TYPE = "receive"


def groups_of(sender: int, plan: dict) -> list[str]:
    """The groups that one coroutine sends to: `width` of them, so that each group has several senders."""
    return [f"{plan['name']}-{(sender * 25 + step * 7) % plan['groups']}" for step in range(plan["width"])]


def group_names(plan: dict) -> list[str]:
    return [f"{plan['name']}-{n}" for n in range(plan["groups"])]


def expected(plan: dict) -> dict[str, dict[int, list[int]]]:
    """Group → sender → the numbers that it sends there, in order."""
    table: dict[str, dict[int, list[int]]] = {name: {} for name in group_names(plan)}
    for sender in range(plan["processes"] * plan["coroutines"]):
        own = groups_of(sender, plan)
        for number in range(plan["sends"]):
            table[own[number % len(own)]].setdefault(sender, []).append(number)
    return table


class LayerSenders:
    """plan: processes, coroutines (per process), sends (per coroutine), groups, width, name."""

    def __init__(self, site, plan):
        self.plan = plan
        self._processes = [
            subprocess.Popen(
                [sys.executable, __file__, json.dumps({**plan, "process": number})],
                env=site.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
            for number in range(plan["processes"])
        ]  # fmt: skip
        for process in self._processes:
            assert process.stdout.readline() == "ready\n"

    def go(self):
        for process in self._processes:
            process.stdin.write("go\n")
            process.stdin.flush()

    def finish(self, timeout=90) -> dict:
        """Waits for all of them; returns the messages sent and those dropped by the layer for lack of capacity."""
        totals = {"sent": 0, "over_capacity": 0}
        for process in self._processes:
            out, _ = process.communicate(timeout=timeout)
            assert process.returncode == 0
            for key, value in json.loads(out).items():
                totals[key] += value
        return totals

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self._processes:
            if process.poll() is None:
                process.kill()
                process.wait()
            process.stdin.close()
            process.stdout.close()


class OverCapacity(logging.Handler):
    """Counts the layer's log lines about dropped messages, which it reports in no other way."""

    count = 0

    def emit(self, record):
        if "over capacity" in record.getMessage():
            self.count += 1


async def send_all(plan):
    from channels.layers import get_channel_layer

    layer, sent = get_channel_layer(), 0

    async def one(sender):
        nonlocal sent
        own = groups_of(sender, plan)
        for number in range(plan["sends"]):
            await layer.group_send(own[number % len(own)], {"type": MESSAGE_TYPE, "sender": sender, "number": number})
            sent += 1

    first = plan["process"] * plan["coroutines"]
    await asyncio.gather(*(one(first + n) for n in range(plan["coroutines"])))
    await layer.close_pools()
    return sent


def main():
    import django

    plan = json.loads(sys.argv[1])
    django.setup()
    dropped = OverCapacity()
    logger = logging.getLogger("channels_redis.core")
    logger.addHandler(dropped)
    logger.setLevel(logging.INFO)
    print("ready", flush=True)
    sys.stdin.readline()
    sent = asyncio.run(send_all(plan))
    print(json.dumps({"sent": sent, "over_capacity": dropped.count}))


if __name__ == "__main__":
    main()
