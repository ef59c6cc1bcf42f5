"""A deployment with redis/users.acl: each part logs in as its own user, and Redis denies none of their commands."""

import asyncio
import json

from channels_redis.core import RedisChannelLayer
from harness.gateway import Gateway, tocsin
from harness.redis_server import RedisServer


def test_gateway_publisher_django_and_operator_work_without_one_refusal(clients):
    with RedisServer(acl=True) as server:

        def url(user):
            return f"redis://{user}:change-me-{user}@127.0.0.1:{server.port}/3"

        def login(user):
            return server.client(username=user, password=f"change-me-{user}")

        async def group_send():
            layer = RedisChannelLayer(hosts=[url("django")])
            await layer.group_send("room", {"type": "receive", "from": "django"})
            await layer.close_pools()

        with Gateway(url("gateway")) as gateway:
            [browser] = clients.open(gateway.url("/ws/room"))
            position, listening = login("publisher").fcall("group_send", 1, "asgi:group:room", '{"from":"publisher"}')
            assert position and listening == 1
            asyncio.run(group_send())
            heard = [json.loads(message) for message in browser.wait(2)]
            assert heard == [{"from": "publisher"}, {"type": "receive", "from": "django"}]
            for command in (("who", "room"), ("gateways",)):
                tocsin(*command, "--redis", url("operator"))
            tocsin("doctor", "--redis", url("gateway"))
        assert [(e["username"], e["object"]) for e in login("operator").acl_log()] == []
