"""Many escalations are due at the same time, while gateways die and the site that is called hangs for a while."""

import json
import time

import pytest
from harness.gateway import Gateway, config
from harness.waiting import wait_until
from harness.webhook_site import WebhookSite

from .bench import figures
from .bench.load import durable_redis
from .bench.memory import resident

SECRET = "whsec_" + "YW4tZXhhbXBsZS1oYXMtbm8tc2VjcmV0cy1jaGFuZ2UtbWU="
MOST = 16


def settings(site, targets):
    return config(
        groups=[
            {"match": "quiet.{user}", "receipts": True, "history": {"size": 10}},
            {"match": "{user}.inbox", "receipts": True, "history": {"size": 10}, "escalate": {"after": "1h", "to": targets}},
        ],
        escalations={"site": {"kind": "webhook", "url": site.url, "secret": SECRET, "max_in_flight": MOST}},
    )


def fill(client, count):
    """So many messages, each for another user, whose escalations are due at the same time: in two seconds."""
    for begin in range(0, count, 1000):
        batch = client.pipeline(transaction=False)
        for n in range(begin, min(begin + 1000, count)):
            batch.fcall("group_send", 1, f"asgi:group:u{n}.inbox", json.dumps({"n": n}))
        batch.execute()
    due = int(time.time() * 1000) + 2000
    for begin in range(0, count, 5000):
        members = client.zrange("tocsin:due", begin, begin + 4999)
        client.zadd("tocsin:due", dict.fromkeys(members, due))


def send_time(client, rounds=300):
    """Seconds of the median group_send."""
    times = []
    for n in range(rounds):
        began = time.perf_counter()
        client.fcall("group_send", 1, f"asgi:group:quiet.{n % 10}", "{}")
        times.append(time.perf_counter() - began)
    return sorted(times)[len(times) // 2]


@pytest.mark.quick
def test_a_hundred_thousand_are_due_at_once(scale):
    count = scale.pick(5_000, 100_000)
    with durable_redis() as redis, WebhookSite(SECRET) as site:
        with Gateway(redis.url, "storm-1", settings(site, [])), Gateway(redis.url, "storm-2", settings(site, [])) as gateway:
            client = redis.client()
            calm = send_time(client)
            fill(client, count)
            before = resident(gateway.pid)
            wait_until(lambda: client.xlen("tocsin:escalations") > 0, 10)
            began, busy, most = time.monotonic(), [], before
            while client.zcard("tocsin:due"):
                busy.append(send_time(client, 50))
                most = max(most, resident(gateway.pid))
                assert time.monotonic() - began < 60, "all out within a minute"
            seconds = time.monotonic() - began
            entries = [entry[b"id"] for _, entry in client.xrange("tocsin:escalations")]
            assert len(entries) == len(set(entries)) == min(count, 100_000), "each once"
    figure = {
        "due": count, "seconds": round(seconds, 1), "memory_grew_mib": round((most - before) / 2**20, 1),
        "send_calm_us": round(calm * 1e6), "send_meanwhile_us": round(sorted(busy or [calm])[len(busy) // 2] * 1e6),
    }  # fmt: skip
    figures.recorded.append(figures.Count("escalations due at once", scale.name, **figure))
    assert most - before < 16 * 2**20, figure


@pytest.mark.quick
def test_webhooks_reach_the_site_once_each_although_gateways_die_and_it_hangs(scale):
    count = scale.pick(200, 3_000)
    with durable_redis() as redis, WebhookSite(SECRET) as site:
        gateways = [Gateway(redis.url, f"hooks-{n}", settings(site, ["site"])) for n in range(2)]
        try:
            for gateway in gateways:
                gateway.start()
            client = redis.client()
            fill(client, count)
            wait_until(lambda: len(site.deliveries) > count // 4, 60)
            gateways[0].kill()
            wait_until(lambda: len(site.deliveries) > count // 2, 60)
            gateways[0].start()
            gateways[1].stop()
            # The claims of the killed gateway end after a minute, then the other one takes their tasks.
            wait_until(lambda: len({delivery.id for delivery in site.deliveries}) == count, scale.pick(120, 240))
            wait_until(lambda: client.zcard("tocsin:claims:site") == 0, 90)
            ids = [delivery.id for delivery in site.deliveries]
            figures.recorded.append(
                figures.Count(
                    "webhooks with gateways killed", scale.name, escalations=count, calls=len(ids),
                    repeated=len(ids) - len(set(ids)), most_at_once=site.most_at_once,
                )  # fmt: skip
            )
            assert len(ids) - len(set(ids)) <= MOST, "only what was on its way when a gateway died is repeated"
            assert site.most_at_once <= MOST and not site.forged
            assert {delivery.message["data"]["message"]["n"] for delivery in site.deliveries} == set(range(count))
        finally:
            for gateway in gateways:
                gateway.close()
