"""TTL: an expired message is not shown, neither live nor from the log."""

import json
import time

from harness.gateway import Gateway
from harness.waiting import wait_until


def test_a_message_that_expired_while_the_gateway_slept_is_not_shown(redis_server, clients):
    """It waits on the gateway's connection to Redis; the log shows that it has expired."""
    with Gateway(redis_server.url, "sleeper") as gateway:
        (client,) = clients.open(gateway.url("/ws/expiry"))
        redis = redis_server.client()

        def send(n, *options):
            redis.fcall("group_send", 1, "asgi:group:expiry", json.dumps({"n": n}), *options)

        send(1)
        client.wait(1)
        gateway.pause()
        send(2, "TTL", 1)
        send(3, "TTL", 60)
        asleep = time.monotonic()
        wait_until(lambda: time.monotonic() - asleep > 2.2, 5, "the first message's time is over")
        gateway.resume()
        client.wait(2)
        send(4)
        assert [json.loads(text)["n"] for text in client.wait(3)] == [1, 3, 4]
