"""A deployment with redis/users.acl: each part logs in as its own user, and Redis denies none of their commands."""

import asyncio
import json

from channels_redis.core import RedisChannelLayer
from harness.gateway import Gateway, tocsin
from harness.redis_server import LIBRARY, RedisServer


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


def test_doctor_names_the_right_that_a_route_s_worker_needs(tmp_path):
    with RedisServer(acl=True) as server:
        operator = server.client(username="operator", password="change-me-operator")
        operator.execute_command("FUNCTION", "LOAD", "REPLACE", LIBRARY.read_bytes())
        url = f"redis://gateway:change-me-gateway@127.0.0.1:{server.port}/3"
        file = tmp_path / "tocsin.yaml"
        route = {"path": "/chat", "groups": ["chat"], "receive": "forward:tasks"}
        file.write_text(json.dumps({"redis": {"hosts": [url]}, "routes": [route]}))

        def rights():
            done = tocsin("doctor", "--json", "--config", file, check=False)
            return next(row for row in json.loads(done.stdout) if row["check"] == "rights")

        assert rights()["verdict"] == "fine", rights()


def test_doctor_names_a_worker_s_channel_that_an_older_users_file_does_not_grant(tmp_path):
    with RedisServer() as server:
        rules = ["~asgi:*", "~asgispecific.*", "~tocsin:*", "&*", "+@all"]
        server.client().execute_command("ACL", "SETUSER", "gateway", "on", ">x", *rules)
        server.load_library()
        file = tmp_path / "tocsin.yaml"
        route = {"path": "/chat", "groups": ["chat"], "receive": "forward:tasks"}
        hosts = [f"redis://gateway:x@127.0.0.1:{server.port}/3"]
        file.write_text(json.dumps({"redis": {"hosts": hosts}, "routes": [route]}))
        done = tocsin("doctor", "--json", "--config", file, check=False)
        [found] = [row for row in json.loads(done.stdout) if row["check"] == "rights"]
        assert found["verdict"] == "wrong" and "~asgitasks" in found["detail"], found
