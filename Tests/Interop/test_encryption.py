"""symmetric_encryption_keys: gateways that have one of the keys decrypt what Django's layers encrypt."""

import asyncio
import json

import pytest
from channels_redis.core import RedisChannelLayer
from channels_redis.pubsub import RedisPubSubChannelLayer
from harness.clients import exactly
from harness.gateway import Gateway, config, tocsin
from harness.waiting import wait_until

KEYS = ["newer-key-of-the-tests", "older-key-of-the-tests"]
MALFORMED = "tocsin_messages_malformed_total"
LAYERS = {"core": RedisChannelLayer, "pubsub": RedisPubSubChannelLayer}


def send(redis_server, layer, keys, *messages, **options):
    """Sends to the group as a Django process with these keys does."""

    async def all_of_them():
        channel_layer = LAYERS[layer](hosts=[redis_server.url], symmetric_encryption_keys=keys, **options)
        for message in messages:
            await channel_layer.group_send("room", message)
        await getattr(channel_layer, "close_pools", channel_layer.flush)()

    asyncio.run(all_of_them())


@pytest.fixture(scope="module")
def gateway(redis_server):
    with Gateway(redis_server.url, "one", config(redis={"encryption_keys": KEYS})) as gateway:
        yield gateway


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("keys", [KEYS, KEYS[::-1], KEYS[1:]], ids=["the same", "turned", "the older alone"])
def test_what_a_layer_encrypts_arrives_in_clear(redis_server, gateway, clients, layer, keys):
    (socket,) = clients.open(gateway.url("/ws/room"))
    messages = [{"type": "receive", "balance": number} for number in range(3)]
    send(redis_server, layer, keys, *messages)
    assert [exactly(text) for text in socket.wait(3)] == [exactly(json.dumps(message)) for message in messages]


def test_encrypted_json_arrives_too(redis_server, gateway, clients):
    (socket,) = clients.open(gateway.url("/ws/room"))
    send(redis_server, "core", KEYS, {"type": "receive", "text": "grün"}, serializer_format="json")
    assert json.loads(socket.wait(1)[0]) == {"type": "receive", "text": "grün"}


def test_publishers_without_keys_are_heard_as_before(redis, gateway, clients):
    (socket,) = clients.open(gateway.url("/ws/room"))
    redis.publish("asgi__group__room", '{"n":1}')
    redis.fcall("group_send", 1, "asgi:group:room", '{"n":2}')
    assert [json.loads(text)["n"] for text in socket.wait(2)] == [1, 2]


@pytest.mark.parametrize("layer", LAYERS)
def test_a_foreign_key_s_messages_are_dropped_and_counted_and_the_next_ones_arrive(redis_server, gateway, clients, layer):
    (socket,) = clients.open(gateway.url("/ws/room"))
    before = gateway.metrics()[MALFORMED]
    send(redis_server, layer, ["of-somebody-else"], {"type": "receive", "balance": 1})
    wait_until(lambda: gateway.metrics()[MALFORMED] == before + 1)
    send(redis_server, layer, KEYS, {"type": "receive", "balance": 2})
    assert [json.loads(text)["balance"] for text in socket.wait(1)] == [2]
    assert "encrypted, and opened by none of redis.encryption_keys" in gateway.log


def test_keys_come_from_a_file_or_the_environment_and_are_in_no_log(redis_server, clients, tmp_path):
    file = tmp_path / "keys"
    file.write_text("\n".join(KEYS) + "\n")
    loud = {"log": {"level": "debug"}}
    for number, (settings, environment) in enumerate(
        [({"encryption_keys_file": str(file)}, {}), ({}, {"TOCSIN_REDIS_ENCRYPTION_KEYS": KEYS[0]})]
    ):
        with Gateway(redis_server.url, f"from-{number}", config(redis=settings, **loud), environment=environment) as gateway:
            (socket,) = clients.open(gateway.url("/ws/room"))
            send(redis_server, "core", KEYS, {"type": "receive", "balance": number})
            assert json.loads(socket.wait(1)[0])["balance"] == number
            assert not any(key in gateway.log for key in KEYS)


def test_an_empty_file_of_keys_stops_the_start_and_is_named(redis_server, tmp_path):
    file = tmp_path / "keys"
    file.write_text("\n")
    path = tmp_path / "tocsin.yaml"
    path.write_text(json.dumps(config(redis={"encryption_keys_file": str(file)})))
    done = tocsin("gateway", "--config", path, "--redis", redis_server.url, check=False)
    assert done.returncode != 0 and "redis.encryption_keys_file" in done.stderr and str(file) in done.stderr
