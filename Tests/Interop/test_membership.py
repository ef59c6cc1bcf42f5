"""Group membership: one member for the fleet in channels_redis' key, every connection in the roster, no dead ones."""

import json
import time

import pytest
from harness.django_site import DjangoSite
from harness.gateway import Gateway, config, tocsin
from harness.names import fleet_member
from harness.waiting import wait_until

REFRESH, EXPIRY = 1, 3


@pytest.fixture(scope="module")
def settings():
    return config(
        redis={"refresh_seconds": REFRESH, "group_expiry": EXPIRY},
        groups=[{"match": "live.*", "history": {"size": 0}}],
    )


@pytest.fixture
def gateways(redis_server, settings):
    with Gateway(redis_server.url, "one", settings) as one, Gateway(redis_server.url, "two", settings) as two:
        yield one, two


@pytest.fixture(scope="module")
def site(redis_server, site_database):
    """Not a server: only the settings of single Django processes with the core layer."""
    return DjangoSite(redis_server.url, "core", database=site_database)


def members(redis, group):
    return [name.decode() for name in redis.zrange(f"asgi:group:{group}", 0, -1)]


def who(redis_server, *arguments):
    return json.loads(tocsin("who", *arguments, "--json", "--redis", redis_server.url).stdout)


def seats(rows):
    """(gateway, user) of each connection, sorted."""
    return sorted((row["gateway"], row.get("user")) for row in rows)


def test_a_group_has_one_member_for_the_whole_fleet_while_anyone_is_connected(redis, redis_server, clients, gateways):
    group = "live.one-member"
    assert members(redis, group) == []
    sockets = [clients.open(gateway.url(f"/ws/{group}"), count=2) for gateway in gateways]
    assert members(redis, group) == [fleet_member(group)]
    first, *rest = [socket for pair in sockets for socket in pair]
    for socket in rest:
        socket.close()
    wait_until(lambda: len(who(redis_server, group)) == 1, 10, "one connection in the roster")
    assert members(redis, group) == [fleet_member(group)]
    first.close()
    wait_until(lambda: members(redis, group) == [], 10, "the end of the membership")
    assert who(redis_server, group) == []


def test_with_history_the_membership_outlives_the_connections(redis, redis_server, clients, gateways, site):
    # The group is confirmed by a login: a stranger's group would leave no trace.
    group = "kept.inbox"
    (socket,) = clients.open(gateways[0].url("/mine"), headers={"X-Remote-User": "kept"})
    socket.close()
    wait_until(lambda: who(redis_server, group) == [], 10, "an empty roster")
    assert members(redis, group) == [fleet_member(group)]
    # So what Django sends meanwhile is kept for the client that returns.
    site.group_send((group, {"type": "receive", "n": 1}))
    wait_until(lambda: redis.xlen(f"tocsin:log:{group}") == 1, 10, "the message in the log")


def test_who_lists_the_connections_with_user_and_gateway(redis_server, clients, gateways):
    one, two = gateways
    for gateway, user in [(one, "7"), (one, "7"), (two, "7"), (two, "8")]:
        clients.open(gateway.url("/mine"), headers={"X-Remote-User": user})
    rows = who(redis_server, "7.inbox")
    assert seats(rows) == [("one", "7"), ("one", "7"), ("two", "7")]
    assert len({row["channel"] for row in rows}) == 3
    assert all(abs(time.time() - row["since"]) < 60 for row in rows)
    assert seats(who(redis_server, "--user", "8")) == [("two", "8")]
    assert who(redis_server, "nobody.inbox") == []


def test_connections_of_a_killed_gateway_are_out_of_every_roster_within_20_seconds(
    redis, redis_server, clients, gateways
):
    dies, lives = gateways
    groups = [f"live.roster-{n}" for n in range(20)]
    for group in groups[:10]:
        clients.open(lives.url(f"/ws/{group}"))
    clients.open(*(dies.url(f"/ws/{group}") for group in groups), count=3)
    assert sum(len(who(redis_server, group)) for group in groups[8:12]) == 14
    dies.kill()
    killed_at = time.monotonic()
    wait_until(
        lambda: all(redis.hlen(f"tocsin:roster:{group}") == (index < 10) for index, group in enumerate(groups)),
        20,
        "clean rosters",
    )
    assert time.monotonic() - killed_at < 20
    for index, group in enumerate(groups):
        assert members(redis, group) == ([fleet_member(group)] if index < 10 else []), group
    assert seats(who(redis_server, groups[0])) == [("two", None)]
    assert who(redis_server, groups[10]) == []


def test_a_connection_stays_a_member_beyond_three_refreshes_and_the_expiry(redis, clients, gateways, site):
    group = "live.stays"
    (socket,) = clients.open(gateways[0].url(f"/ws/{group}"))
    end = time.monotonic() + max(3 * REFRESH, EXPIRY) + 1
    while time.monotonic() < end:
        assert members(redis, group) == [fleet_member(group)]
        assert redis.ttl(f"asgi:group:{group}") > 0
        # Django purges by score with its own group_expiry, so the score must be recent.
        (score,) = [score for _, score in redis.zrange(f"asgi:group:{group}", 0, -1, withscores=True)]
        assert time.time() - score < EXPIRY
        time.sleep(0.1)
    site.group_send((group, {"type": "receive", "n": 1}))
    assert json.loads(socket.wait(1)[0])["n"] == 1


def test_flush_of_a_django_test_suite_heals_within_a_refresh(redis, redis_server, clients, gateways, site):
    groups = [f"live.flushed-{n}" for n in range(10)]
    sockets = clients.open(*(gateway.url(f"/ws/{group}") for group in groups for gateway in gateways))
    site.python(
        "from asgiref.sync import async_to_sync; from channels.layers import get_channel_layer\n"
        "async_to_sync(get_channel_layer().flush)()"
    )
    flushed_at = time.monotonic()
    wait_until(
        lambda: all(members(redis, group) == [fleet_member(group)] for group in groups),
        REFRESH + 2,
        "all members again within a refresh (and some room for a busy machine)",
    )
    assert time.monotonic() - flushed_at < REFRESH + 2
    site.group_send(*((group, {"type": "receive", "n": 1}) for group in groups))
    for socket in sockets:
        assert json.loads(socket.wait(1)[0])["n"] == 1
    assert all(socket.open for socket in sockets)
    # Tocsin's own keys are not under the layer's prefix, so they were not lost.
    assert seats(who(redis_server, groups[0])) == [("one", None), ("two", None)]


def test_gateways_lists_the_living_with_their_lease(redis_server, gateways):
    listed = json.loads(tocsin("gateways", "--json", "--redis", redis_server.url).stdout)
    assert {"one", "two"} <= {row["gateway"] for row in listed}
    gateways[1].stop()
    wait_until(
        lambda: (
            "two"
            not in {
                row["gateway"] for row in json.loads(tocsin("gateways", "--json", "--redis", redis_server.url).stdout)
            }
        ),
        10,
        "a stopped gateway leaves the list",
    )
