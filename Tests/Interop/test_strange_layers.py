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


def shell(site, tmp_path):
    """A script that runs Python in the site, as `manage.py shell` does."""
    names = ("DJANGO_SETTINGS_MODULE", "PYTHONPATH", "REDIS_URL", "LAYER", "DATABASE", "LAYER_KEYS", "LAYER_SERIALIZER")
    environment = " ".join(f"{name}='{value}'" for name, value in site.environment().items() if name in names)
    script = tmp_path / "shell"
    script.write_text(
        f"#!/bin/sh\nexport {environment}\nexec {sys.executable} -c 'import django, sys; django.setup(); exec(sys.stdin.read())'\n")
    script.chmod(0o755)
    return script


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


def test_groups_that_django_s_pub_sub_layer_is_in_too_are_named_with_what_not_to_send(server, clients):
    with Gateway(server.url, "mixed", config()) as gateway, server.client().pubsub() as django:
        clients.open(gateway.url("/ws/both"))
        assert finding(server, "mixed groups")["verdict"] == "fine"
        django.subscribe("asgi__group__both")
        assert finding(server, "mixed groups")["verdict"] == "fine", "somebody with redis-cli"
        django.subscribe("asgispecific." + "0" * 32)
        found = finding(server, "mixed groups")
        assert found["verdict"] == "warning" and "PUBLISH asgi__group__both" in found["detail"], found


@pytest.mark.parametrize("layer", ["core", "pubsub"])
def test_the_site_s_own_layer_is_tried(server, tmp_path, layer):
    script = shell(Project(Stack("4.3.0", layer), server.url, tmp_path / "db.sqlite3"), tmp_path)
    found = finding(server, "Django", "--django", str(script))
    assert found["verdict"] == "fine" and layer.replace("pubsub", "pub/sub") in found["detail"], found
    script.write_text(script.read_text().replace("/3'", "/0'"))
    found = finding(server, "Django", "--django", str(script))
    assert (found["verdict"] == "fine") == (layer == "pubsub"), "pub/sub knows no databases"


# The stack, the site's keys, the gateways' settings, and what is wrong; None: nothing.
FORMS = {
    "as configured": (Stack("4.3.0"), "one", {"encryption_keys": ["one"]}, None),
    "no keys here": (Stack("4.3.0"), "one", {}, "it is encrypted: set redis.encryption_keys"),
    "other keys here": (Stack("4.3.0"), "one", {"encryption_keys": ["two"]}, "encrypted with another key"),
    "keys here only": (Stack("4.3.0"), None, {"encryption_keys": ["one"]}, "it is not encrypted"),
    "JSON there": (Stack("4.3.0", serializer="json"), None, {}, "set redis.serializer to json"),
    "JSON here": (Stack("4.3.0"), None, {"serializer": "json"}, "set redis.serializer to msgpack"),
    "no random bytes here": (Stack("4.3.0"), None, {"random_prefix_length": 0}, "it cannot be read"),
}


@pytest.mark.parametrize("form", FORMS)
def test_how_the_site_s_core_layer_writes_is_compared_with_the_configuration(server, tmp_path, form):
    stack, keys, redis, wrong = FORMS[form]
    site = Project(stack, server.url, tmp_path / "db.sqlite3", {"LAYER_KEYS": keys} if keys else {})
    file = tmp_path / "tocsin.yaml"
    file.write_text(json.dumps({"redis": {"hosts": [server.url], **redis}}))
    done = tocsin("doctor", "--json", "--config", file, "--django", str(shell(site, tmp_path)), check=False)
    [found] = [row for row in json.loads(done.stdout) if row["check"] == "Django"]
    assert (found["verdict"] == "fine") == (wrong is None), found
    assert (wrong or "core") in found["detail"], found
