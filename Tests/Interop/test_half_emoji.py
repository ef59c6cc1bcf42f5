r"""A lone surrogate such as "\ud83d", which JavaScript's JSON.stringify writes for truncated text, passes every entrance unchanged.

So do one in a key, \u0000, and an escaped backslash in front of something that looks like one."""

import asyncio
import json

import pytest
from channels_redis.core import RedisChannelLayer
from channels_redis.pubsub import RedisPubSubChannelLayer
from harness.clients import RawSocket, frame
from harness.event_stream import EventStreams
from harness.gateway import Gateway, config, tocsin
from harness.http_client import request

TEXT, PERMISSION_DENIED, BAD_REQUEST = 1, 103, 107
KEY = "0123456789abcdef-test-key"
TEXTS = {
    "half an emoji": r'{"text":"hello \ud83d"}',
    "the other half": r'{"text":"\ude00 hello"}',
    "halves the wrong way round": r'{"text":"\ude00\ud83d"}',
    "a half before a whole one": r'{"text":"\ud83d\ud83d\ude00"}',
    "a half as key": r'{"\ud83d":1,"text":2}',
    "a half, a NUL and a backslash": r'{"text":"\u0000\ud83d\\ud83d"}',
}


@pytest.fixture(scope="module")
def gateway(redis_server):
    settings = config(gateway={"admin_key": KEY})
    settings["routes"].append(
        {"path": "/rooms", "protocol": "centrifuge", "may_join": ["*"], "receive": "group_send"}
    )
    with Gateway(redis_server.url, "one", settings) as gateway:
        yield gateway


def by_group_send(gateway, redis, redis_server, clients, text):
    redis.fcall("group_send", 1, "asgi:group:half", text)


def by_publish(gateway, redis, redis_server, clients, text):
    redis.publish("asgi__group__half", text)


def by_the_api(gateway, redis, redis_server, clients, text):
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    answer = request(gateway.admin_port, "POST", "/v1/groups/half/messages", text, headers)
    assert answer.status == 201, answer.text


def by_tocsin_send(gateway, redis, redis_server, clients, text):
    tocsin("send", "half", text, "--redis", redis_server.url)


def by_a_browser(gateway, redis, redis_server, clients, text):
    (sender,) = clients.open(gateway.url("/say/half"))
    sender.send(text)
    assert len(sender.wait(1)) == 1 and sender.open


def centrifuge(gateway, command):
    """Returns the reply to one centrifuge command, sent by hand because the SDK would write its own JSON."""
    with RawSocket(gateway.port, "/rooms") as socket:
        for number, text in enumerate((b'{"connect":{}}', command), 1):
            socket.send(frame(TEXT, b'{"id":%d,' % number + text[1:]))
            while b'"id":%d' % number not in (answer := socket.frame()[1]):
                pass
        return json.loads(answer)


def by_centrifuge(gateway, redis, redis_server, clients, text):
    assert "error" not in centrifuge(gateway, b'{"publish":{"channel":"half","data":%s}}' % text.encode())


def by_a_django_layer(layer, **options):
    def send(gateway, redis, redis_server, clients, text):
        async def group_send():
            channel_layer = layer(hosts=[redis_server.url], **options)
            await channel_layer.group_send("half", json.loads(text))
            await getattr(channel_layer, "close_pools", channel_layer.flush)()

        asyncio.run(group_send())

    return send


ENTRANCES = {
    "group_send": by_group_send,
    "PUBLISH": by_publish,
    "the API": by_the_api,
    "tocsin send": by_tocsin_send,
    "a browser": by_a_browser,
    "centrifuge": by_centrifuge,
    "Django's core layer": by_a_django_layer(RedisChannelLayer, serializer_format="json"),
    "Django's pub/sub layer": by_a_django_layer(RedisPubSubChannelLayer, serializer_format="json"),
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("entrance", ENTRANCES)
def test_it_is_shown_as_it_was_written(entrance, name, gateway, redis, redis_server, clients):
    text = TEXTS[name]
    (listener,) = clients.open(gateway.url("/ws/half"))
    with EventStreams() as streams:
        stream = streams.open(gateway, "/ws/half")
        ENTRANCES[entrance](gateway, redis, redis_server, clients, text)
        (shown,) = listener.wait(1)
        # For a client's message the gateway sets the type. The rest is the same text, escapes included.
        assert {**json.loads(shown), "type": 0} == {**json.loads(text), "type": 0}
        assert shown.replace(" ", "").startswith(text[:-1].replace(" ", ""))
        assert stream.wait(1)[0].data == shown


def test_it_comes_from_the_log_as_it_was_written(gateway, redis):
    before = redis.fcall("group_send", 1, "asgi:group:logged-half", "{}")[0].decode()
    for text in TEXTS.values():
        redis.fcall("group_send", 1, "asgi:group:logged-half", text)
    with EventStreams() as streams:
        stream = streams.open(gateway, "/ws/logged-half", last_event_id=before)
        assert [event.data for event in stream.wait(len(TEXTS))] == list(TEXTS.values())


def test_a_group_s_name_that_holds_one_is_no_name_and_no_harm(gateway):
    answer = centrifuge(gateway, rb'{"subscribe":{"channel":"room\ud83d"}}')
    assert answer["error"]["code"] in (BAD_REQUEST, PERMISSION_DENIED)
