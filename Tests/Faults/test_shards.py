"""One of two Redis servers goes away under load: the other's groups notice nothing, its own catch up when it is back."""

import json
import time

import pytest
from harness.clients import Clients
from harness.gateway import Gateway, config
from harness.names import shard_of
from harness.waiting import wait_until

from .bench import figures
from .bench.api_publisher import APIPublishers
from .bench.load import durable_redis

GROUPS = [f"half-{n}" for n in range(12)]
RATE = 120


@pytest.mark.quick
def test_one_of_two_servers_is_killed_and_comes_back(scale):
    with durable_redis() as one, durable_redis() as two:
        groups = [{"match": "*", "history": {"size": 5000, "ttl": "1d"}}]
        settings = config(redis={"hosts": [one.url, two.url]}, groups=groups)
        with Gateway(None, "half", settings) as gateway, Clients() as clients:
            sockets = {group: clients.open(gateway.url(f"/ws/{group}"), count=3) for group in GROUPS}
            with APIPublishers([gateway], GROUPS, RATE) as publishers:
                time.sleep(1)
                began = time.monotonic()
                two.kill()
                time.sleep(scale.pick(2, 10))
                two.start()
                back = time.monotonic()
                wait_until(
                    lambda: all(publishers.accepted[group][-1][1] > back for group in GROUPS), 20, "messages in every group"
                )
                publishing = time.monotonic() - back
                time.sleep(1)
            wait_until(lambda: gateway.readyz() == 200, 20, "a gateway that is ready again")
            lost, pauses = 0, {0: 0.0, 1: 0.0}
            for group, members in sockets.items():
                messages = publishers.accepted[group]
                shard = shard_of(group, 2)
                pauses[shard] = max(pauses[shard], *(b - a for (_, a), (_, b) in zip(messages, messages[1:], strict=False)))
                for socket in members:
                    wait_until(lambda s=socket, n=messages[-1][0]: f'{{"n": {n}}}' in s.messages[-1:], 20, "the last message")
                    assert socket.open
                    shown = [json.loads(message)["n"] for message in socket.messages]
                    assert shown == sorted(set(shown)), group
                    lost += len({number for number, _ in messages} - set(shown))
            figures.recorded.append(
                figures.Count(
                    "one of two Redis killed and started", scale.name, accepted=publishers.count,
                    away_seconds=round(back - began, 1), lost=lost, pause_there=round(pauses[1], 2),
                    pause_elsewhere=round(pauses[0], 2), publishing_again=round(publishing, 2),
                )  # fmt: skip
            )
            assert lost == 0
            assert pauses[0] < 1.0 < pauses[1], pauses
