"""Read state, receipts and escalations while gateways and Redis are killed: at the end all of it is what the users did."""

import json
import random
import time

import pytest
from harness.gateway import ORIGIN, Gateway, config
from harness.waiting import wait_until
from redis.exceptions import RedisError

from .bench import figures
from .bench.devices import Devices
from .bench.load import durable_redis

AFTER = 6
SETTINGS = {
    "routes": [{"path": "/mine", "auth": "lb", "groups": ["{user}.inbox"]}],
    "groups": [
        {"match": "{user}.inbox", "history": {"size": 2000, "ttl": "1d"}, "inbox": True,
         "escalate": {"after": f"{AFTER}s", "unless": "read"}},
    ],
}  # fmt: skip


class Sender:
    """Sends to random users, each message until it is accepted: an idempotency key makes that once."""

    def __init__(self, server, users, count, seed=7):
        self.client, self.random = server.client(), random.Random(seed)
        self.targets = [self.random.choice(users) for _ in range(count)]
        self.sent = {user: {} for user in users}  # offset → when it was accepted

    def send(self, number):
        user = self.targets[number]
        while True:
            try:
                answer = self.client.fcall(
                    "group_send", 1, f"asgi:group:{user}.inbox", json.dumps({"n": number}), "KEY", str(number)
                )
            except (RedisError, OSError):
                time.sleep(0.1)
                continue
            self.sent[user][int(answer[0].decode().rsplit(":", 1)[1])] = time.monotonic()
            return


def inbox(client, user):
    """All of the user's messages: offset → read; and the unread count."""
    shown, before = {}, []
    while True:
        page = json.loads(client.fcall_ro("inbox", 1, f"asgi:group:{user}.inbox", user, "LIMIT", 1000, *before))
        for entry in page["messages"]:
            shown[int(entry["position"].rsplit(":", 1)[1])] = entry["read"]
        if not page["messages"]:
            return shown, page["unread"]
        before = ["BEFORE", page["messages"][-1]["position"]]


def wait_for_silence(devices, sender):
    """Everybody has everything, and every mark is answered."""
    devices.is_reading = False
    for device in devices.devices:
        wait_until(lambda d=device: len(d.shown) == len(sender.sent[d.user]), 60, f"the messages of {device.user}")
    wait_until(lambda: devices.pending == 0, 60, "answers to all marks")


@pytest.mark.quick
@pytest.mark.timeout(900)
def test_unread_counts_receipts_and_escalations_survive_kills(scale):
    users = [f"u{n}" for n in range(scale.pick(20, 200))]
    count, rate = scale.pick(400, 20_000), scale.pick(60, 200)
    with durable_redis("always") as redis:
        gateways = [Gateway(redis.url, f"inbox-{n}", config(**SETTINGS)) for n in range(3)]
        try:
            for gateway in gateways:
                gateway.start()
            sender = Sender(redis, users, count)
            urls = [gateway.url("/mine") for gateway in gateways]
            with Devices(lambda: urls, users, 3, ORIGIN, marks_per_second=scale.pick(1.0, 0.3)) as devices:
                wait_until(lambda: devices.connected, 60, "all devices")
                began = time.monotonic()
                kills = {count // 4: gateways[0], count // 2: redis, 3 * count // 4: gateways[1]}
                for number in range(count):
                    sender.send(number)
                    if victim := kills.get(number):
                        victim.kill()
                        time.sleep(0.5)
                        victim.start()
                    time.sleep(max(0, began + number / rate - time.monotonic()))
                wait_for_silence(devices, sender)
                compare(redis, devices, sender, users, scale, began)
        finally:
            for gateway in gateways:
                gateway.close()


def compare(redis, devices, sender, users, scale, began):
    client = redis.client()
    time.sleep(AFTER + 2)  # the last message's escalation
    escalated = escalations(client)
    wrong = {"unread": 0, "read": 0, "delivered": 0, "escalated": 0, "states": 0}
    for user in users:
        group = f"asgi:group:{user}.inbox"
        sent = sender.sent[user]
        shown, unread = inbox(client, user)
        assert set(shown) == set(sent), user
        expected = {offset: devices.has_read(user, offset) for offset in sent}
        wrong["read"] += sum(shown[offset] != expected[offset] for offset in sent)
        wrong["unread"] += unread != sum(not read for read in expected.values())
        wrong["states"] += sum(
            device.state["unread"] != unread for device in devices.devices if device.user == user and device.state
        )
        if sent:
            top = max(device_id for device in devices.devices if device.user == user for device_id in [last(device)])
            receipt = json.loads(client.fcall_ro("receipts", 1, group, top[1]))["users"]
            wrong["delivered"] += not receipt[0]["delivered"]
        for offset, read in expected.items():
            entries = escalated.get((f"{user}.inbox", offset), 0)
            wrong["escalated"] += entries > 1 or not read and entries != 1
    figures.recorded.append(
        figures.Count(
            "inboxes with gateways and Redis killed", scale.name, users=len(users), devices=len(devices.devices),
            messages=len(sender.targets), reconnects=devices.reconnects, escalations=sum(escalated.values()),
            gaps=sum(len(device.gaps) for device in devices.devices), seconds=round(time.monotonic() - began), **wrong,
        )  # fmt: skip
    )
    assert not any(wrong.values()), wrong
    assert not any(device.gaps for device in devices.devices)


def last(device):
    offset = max(device.shown)
    return offset, device.shown[offset]


def escalations(client):
    """(group, offset) → how many entries."""
    found = {}
    for _, entry in client.xrange("tocsin:escalations"):
        key = (entry[b"group"].decode(), int(entry[b"position"].decode().rsplit(":", 1)[1]))
        found[key] = found.get(key, 0) + 1
    return found
