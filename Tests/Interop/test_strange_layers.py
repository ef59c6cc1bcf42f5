"""A channel layer of Django that no gateway reads is found, and what to set is said."""

import json
import sys

import pytest
from harness.django_stack import Driver, Project, Stack
from harness.gateway import Gateway, config, tocsin
from harness.redis_server import RedisServer
from harness.waiting import wait_until


@pytest.fixture
def server():
    with RedisServer() as server:
        yield server


def finding(server, check, *arguments):
    done = tocsin("doctor", "--json", "--redis", server.url, *arguments, check=False)
    return {row["check"]: row for row in json.loads(done.stdout)}[check]


def project(server, tmp_path, url=None, **settings):
    return Project(Stack("4.3.0"), url or server.url, tmp_path / "db.sqlite3", settings)


def join_a_consumer(project):
    with Driver(project) as django:
        django.do("group_add", "news", "specific." + "0" * 32 + "!x")


def test_a_layer_in_database_0_as_in_channels_tutorial(server, tmp_path):
    assert finding(server, "Django's layer")["verdict"] == "fine"
    join_a_consumer(project(server, tmp_path, server.url.replace("/3", "/0")))
    found = finding(server, "Django's layer")
    assert found["verdict"] == "warning" and "in database 0, the gateways read database 3" in found["detail"]
    with Gateway(server.url, "one", config()) as gateway:
        wait_until(lambda: "reaches no gateway" in gateway.log, 20)


def test_a_layer_under_another_prefix(server, tmp_path):
    join_a_consumer(project(server, tmp_path, LAYER_PREFIX="shop"))
    assert 'set redis.prefix to "shop"' in finding(server, "Django's layer")["detail"]


def test_a_layer_of_channels_redis_2(server):
    server.client().zadd("asgi::group:news", {"specific.DOhfqono!NmmoVlbEXilm": 1})
    assert 'set redis.layer to "2"' in finding(server, "Django's layer")["detail"]


def test_the_groups_of_the_gateways_and_of_other_fleets_are_no_strangers(server, clients):
    with Gateway(server.url, "one", config()) as gateway, Gateway(server.url, "two", config(redis={"prefix": "shop"})) as other:
        clients.open(gateway.url("/ws/a"), other.url("/ws/b"))
        assert finding(server, "Django's layer")["verdict"] == "fine"


@pytest.mark.parametrize("layer", ["core", "pubsub"])
def test_the_site_s_own_layer_is_tried(server, tmp_path, layer):
    site = Project(Stack("4.3.0", layer), server.url, tmp_path / "db.sqlite3")
    script = tmp_path / "shell"
    environment = " ".join(f"{name}='{value}'" for name, value in site.environment().items() if name in (
        "DJANGO_SETTINGS_MODULE", "PYTHONPATH", "REDIS_URL", "LAYER", "DATABASE"))
    script.write_text(f"#!/bin/sh\nexport {environment}\nexec {sys.executable} -c 'import django, sys; django.setup(); exec(sys.stdin.read())'\n")
    script.chmod(0o755)
    found = finding(server, "Django", "--django", str(script))
    assert found["verdict"] == "fine" and layer.replace("pubsub", "pub/sub") in found["detail"], found
    script.write_text(script.read_text().replace("/3'", "/0'"))
    found = finding(server, "Django", "--django", str(script))
    assert (found["verdict"] == "fine") == (layer == "pubsub"), "pub/sub knows no databases"
