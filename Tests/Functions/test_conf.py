"""redis/redis.conf: what it sets, that each line has a reason, and that it leaves out what differs between installations."""

import pytest

from harness.names import group_key
from harness.redis_server import CONF, RedisServer


def directives():
    """(line number, directive, the line before it) of each setting"""
    lines = CONF.read_text().splitlines()
    for number, line in enumerate(lines):
        if line and not line.startswith("#"):
            yield number + 1, line, lines[number - 1]


def test_each_line_says_why():
    for number, line, before in directives():
        # The two lazyfree lines share one reason.
        assert before.startswith(("# ", "lazyfree-")), f"line {number}: {line}"


def test_it_leaves_the_place_to_the_place():
    """A bind or protected-mode line would either expose a host or lock out the containers."""
    names = {line.split()[0] for _, line, _ in directives()}
    assert not names & {"bind", "protected-mode", "port", "dir", "daemonize", "logfile", "pidfile", "unixsocket", "requirepass"}


@pytest.mark.parametrize(
    ("name", "value"),
    [("databases", "16"), ("maxmemory-policy", "noeviction"), ("appendfsync", "everysec"), ("timeout", "0"), ("tcp-keepalive", "30"),
     ("lazyfree-lazy-user-del", "yes"), ("lazyfree-lazy-expire", "yes"), ("protected-mode", "yes"), ("replica-read-only", "yes")])
def test_the_server_has_taken_it(redis, name, value):
    assert redis.config_get(name)[name] == value


def test_the_doorbell_rings_for_zsets_and_lists_and_for_nothing_else(redis):
    assert set(redis.config_get("notify-keyspace-events")["notify-keyspace-events"]) == set("Kzl")


def test_a_subscriber_that_falls_behind_is_cut(redis):
    limits = redis.config_get("client-output-buffer-limit")["client-output-buffer-limit"]
    assert f"pubsub {32 << 20} {8 << 20} 60" in limits


def test_it_persists_by_the_append_only_file_alone():
    text = CONF.read_text()
    assert "\nappendonly yes\n" in text and '\nsave ""\n' in text


def test_what_was_accepted_survives_a_crash():
    with RedisServer(aof=True) as server:
        server.load_library()
        client = server.client()
        for _ in range(100):
            client.fcall("group_send", 1, group_key("g"), "{}")
        server.kill()
        server.start()
        assert server.client().xlen("tocsin:log:g") == 100
        assert server.client().fcall("tocsin_version", 0) >= 1, "functions are kept, too"
