"""Several servers: the fleet's member of a group is one that channels_redis' ring finds on the group's server."""

import json

import pytest
from redis.exceptions import ResponseError

from harness.names import fleet_member, group_key, own, shard_of


def set_layer(redis, **layer):
    return redis.fcall("policy_set", 0, "asgi", "[]", "", json.dumps(layer))


def add(redis, group, gateway="gw"):
    redis.fcall("group_add", 1, group_key(group), gateway, 86400, f"specific.{gateway}!1", "42", "")


def members(redis, group):
    return [member.decode() for member in redis.zrange(group_key(group), 0, -1)]


@pytest.mark.parametrize("shards", [2, 3, 5, 64])
def test_the_member_is_found_where_the_group_is(redis, shards):
    groups = [f"shard-{n}" for n in range(200)]
    for shard in range(min(shards, 5)):
        set_layer(redis, shard=shard, shards=shards)
        for group in (group for group in groups if shard_of(group, shards) == shard):
            add(redis, group)
            [member] = members(redis, group)
            assert member == fleet_member(group, shards)
            assert shard_of(member[: member.index("!") + 1], shards) == shard


def test_a_single_server_has_the_names_that_it_always_had(redis):
    set_layer(redis, shard=0, shards=1)
    add(redis, "42isInsufficient")
    assert members(redis, "42isInsufficient") == [fleet_member("42isInsufficient")]


def test_members_of_a_fleet_with_other_servers_are_no_consumers(redis, send):
    """They stay in the group for as long as its key when a server is added, and have no inbox that anybody reads."""
    group = next(f"g{n}" for n in range(100) if shard_of(f"g{n}", 2) == 1)
    add(redis, group)
    set_layer(redis, shard=1, shards=2)
    add(redis, group)
    assert set(members(redis, group)) == {fleet_member(group), fleet_member(group, 2)}
    send(b'{"type":"receive"}', group=group)
    assert not redis.keys("asgispecific.*")


def test_who_leaves_takes_the_member_along_and_a_retention_refreshes_it(redis):
    group = next(f"g{n}" for n in range(100) if shard_of(f"g{n}", 2) == 1)
    set_layer(redis, shard=1, shards=2)
    add(redis, group)
    redis.zadd(own("retained"), {group: 9e9})
    redis.delete(group_key(group))
    redis.fcall("gateway_retain", 0, "asgi", 86400, 0, 100)
    assert members(redis, group) == [fleet_member(group, 2)]
    redis.delete(own(f"roster:{group}"))
    redis.zadd(own("retained"), {group: 1})
    redis.fcall("gateway_sweep", 0, "asgi", 100)
    assert members(redis, group) == []


@pytest.mark.parametrize("layer", [{"shard": 2, "shards": 2}, {"shards": 0}, {"shards": 65}, {"shard": 1}, {"shard": -1}, {"shards": "2"}])
def test_a_place_that_is_none_is_refused(redis, layer):
    with pytest.raises(ResponseError, match="the layer is"):
        set_layer(redis, **layer)
