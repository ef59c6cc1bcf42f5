"""Gateways: the lease, the canary, sweeping dead gateways, releasing leases, retention."""

import json

import pytest
from redis.exceptions import ResponseError

from harness.names import fleet_member, group_key, own
from harness.waiting import wait_until


@pytest.fixture
def lease(redis):
    """lease("gw") → (canary, renewed, live gateways)"""

    def lease(gateway="gw", *fields, seconds=15):
        canary, renewed, _, *live = redis.fcall("gateway_lease", 0, "asgi", gateway, seconds, "", *fields)
        return canary, renewed, {name.decode() for name in live}

    return lease


@pytest.fixture
def sweep(redis):
    return lambda limit=100: redis.fcall("gateway_sweep", 0, "asgi", limit)


@pytest.fixture
def connect(redis):
    """connect("gw", "g", 25): creates that many connections of the gateway in the group"""

    def connect(gateway, group, count):
        for n in range(count):
            redis.fcall("group_add", 1, group_key(group), gateway, 86400, f"specific.{gateway}!{n}", "1", "")

    return connect


def members(redis, group="g"):
    return [m.decode() for m in redis.zrange(group_key(group), 0, -1)]


# The lease


def test_a_lease_names_the_live_gateways_and_says_whether_it_was_renewed(lease):
    assert lease("a")[1:] == (0, {"a"})
    assert lease("b")[1:] == (0, {"a", "b"})
    assert lease("a")[1:] == (1, {"a", "b"})


def test_a_lease_ends_by_itself(redis, lease):
    lease("a", seconds=1)
    lease("b")
    assert 1 <= redis.pttl(own("gateway:a")) <= 1000
    wait_until(lambda: lease("b")[2] == {"b"})
    wait_until(lambda: not redis.exists(own("gateway:a")))
    assert lease("a")[1:] == (0, {"a", "b"}), "a gateway that slept too long is told that it was given up"


def test_a_gateway_s_fields_can_be_read(redis, lease):
    lease("a", "host", "h1", "version", "1.2", "connections", 7)
    fields = redis.hgetall(own("gateway:a"))
    assert abs(float(fields.pop(b"seen")) - redis.time()[0]) < 5
    assert fields == {b"gateway": b"a", b"host": b"h1", b"version": b"1.2", b"connections": b"7"}
    lease("a", "connections", 8)
    assert redis.hget(own("gateway:a"), "connections") == b"8"


def test_a_lease_says_which_policies_are_in_force(redis, policy):
    def version():
        return redis.fcall("gateway_lease", 0, "asgi", "gw", 15, "")[2]

    assert version() == 0
    assert version() == 0 != policy({"match": "a"}) == version()
    assert policy({"match": "b"}) == version() == 2


def test_all_gateways_see_the_same_canary(lease):
    canary = lease("a")[0]
    assert len(canary) == 16
    assert {lease("a")[0], lease("b")[0]} == {canary}


def test_the_canary_is_another_after_whatever_deletes_the_layer_s_keys(redis, lease):
    seen = [lease()[0]]
    redis.delete(*redis.keys("asgi*"))
    seen.append(lease()[0])
    redis.flushdb()
    seen.append(lease()[0])
    assert len(set(seen)) == 3
    assert lease()[0] == seen[-1]


def test_prefixes_have_gateways_of_their_own(redis, lease):
    lease("a")
    canary, renewed, _, *live = redis.fcall("gateway_lease", 0, "shop", "a", 15, "")
    assert (renewed, live) == (0, [b"a"])
    assert canary != lease("a")[0]
    assert redis.exists("tocsin:shop:gateway:a", "tocsin:shop:gateways", "shop:tocsin") == 3


@pytest.mark.parametrize("args", [(), ("asgi",), ("asgi", "gw"), ("asgi", "gw", "15"), ("asgi", "gw", "0", ""), ("asgi", "gw", "x", "")])
def test_a_lease_with_wrong_arguments_is_refused(redis, args):
    with pytest.raises(ResponseError, match="tocsin: gateway_lease wants"):
        redis.fcall("gateway_lease", 0, *args)
    assert redis.dbsize() == 0


# The sweep


def test_with_nobody_dead_there_is_nothing_to_sweep(redis, lease, sweep, connect):
    lease("a")
    connect("a", "g", 3)
    assert sweep() == 0
    assert redis.hlen(own("roster:g")) == 3


def test_an_expired_gateway_is_swept_in_batches(redis, lease, sweep, connect, policy):
    policy({"match": "*", "size": 0})
    lease("dead", seconds=1)
    connect("dead", "g", 25)
    connect("dead", "h", 1)
    lease("live")
    connect("live", "g", 2)
    wait_until(lambda: lease("live")[2] == {"live"})
    assert [sweep(10) for _ in range(4)] == [10, 10, 6, 0]
    assert {json.loads(v)["gateway"] for v in redis.hvals(own("roster:g"))} == {"live"}
    assert members(redis, "g") == [fleet_member("g")], "somebody is still there"
    assert not redis.exists(group_key("h")), "nobody is left"
    assert not redis.exists(own("members:dead"), own("gateway:dead"), own("roster:h"))
    assert redis.zrange(own("gateways"), 0, -1) == [b"live"]


def test_a_full_last_batch_is_followed_by_one_that_ends_it(redis, lease, sweep, connect):
    lease("dead")
    connect("dead", "g", 20)
    redis.zadd(own("gateways"), {"dead": 1})
    assert [sweep(10) for _ in range(4)] == [10, 10, 1, 0]


def test_several_dead_gateways_are_swept_one_after_the_other(redis, lease, sweep, connect):
    for name in ("a", "b", "c"):
        lease(name)
        connect(name, "g", 2)
        redis.zadd(own("gateways"), {name: 1})
    assert [sweep() for _ in range(4)] == [2, 2, 2, 0]
    assert not redis.exists(own("roster:g"), own("gateways"))


def test_a_dead_gateway_without_connections_counts_as_one(redis, lease, sweep):
    lease("dead")
    redis.zadd(own("gateways"), {"dead": 1})
    assert [sweep(), sweep()] == [1, 0]


def test_a_sweep_retains_what_has_history(redis, lease, sweep, connect):
    lease("dead")
    connect("dead", "g", 2)
    redis.zadd(own("gateways"), {"dead": 1})
    sweep()
    assert members(redis) == [fleet_member("g")]
    assert redis.zscore(own("retained"), "g") > redis.time()[0]


def test_a_gateway_that_comes_back_in_the_middle_of_its_sweep_can_add_all_again(redis, lease, sweep, connect):
    lease("a")
    connect("a", "g", 10)
    redis.delete(own("gateway:a"))
    redis.zadd(own("gateways"), {"a": 1})
    sweep(4)
    assert redis.hlen(own("roster:g")) == 6
    assert lease("a")[1] == 0
    connect("a", "g", 10)
    assert sweep() == 0
    assert redis.hlen(own("roster:g")) == redis.scard(own("members:a")) == 10


def test_a_released_gateway_is_swept_at_once(redis, lease, sweep, connect):
    lease("a")
    connect("a", "g", 2)
    assert redis.fcall("gateway_release", 0, "asgi", "a") == 1
    assert not redis.exists(own("gateway:a"))
    assert lease("b")[2] == {"b"}
    assert [sweep(), sweep()] == [2, 0]


def test_a_retention_that_ended_takes_the_member_with_it(redis, sweep, connect):
    connect("a", "g", 1)
    redis.fcall("group_discard", 1, group_key("g"), "a", "specific.a!0")
    assert sweep() == 0 and members(redis) == [fleet_member("g")]
    redis.zadd(own("retained"), {"g": redis.time()[0] - 1})
    assert sweep() == 1
    assert not redis.exists(group_key("g"), own("retained"))


def test_a_retention_that_ended_leaves_a_group_that_is_in_use(redis, sweep, connect):
    connect("a", "g", 1)
    redis.zadd(own("retained"), {"g": 1})
    assert sweep() == 1
    assert members(redis) == [fleet_member("g")] and not redis.exists(own("retained"))


def test_ended_retentions_are_swept_in_batches(redis, sweep):
    redis.zadd(own("retained"), {f"g{i}": 1 for i in range(25)})
    assert [sweep(10) for _ in range(4)] == [10, 10, 5, 0]


@pytest.mark.parametrize("limit", ["0", "-1", "x", "", "10001"])
def test_a_sweep_wants_a_limit(redis, limit):
    with pytest.raises(ResponseError, match="tocsin: gateway_sweep wants"):
        redis.fcall("gateway_sweep", 0, "asgi", limit)


# Retention


def test_retained_members_are_refreshed_page_by_page(redis):
    groups = [f"g{i:02d}" for i in range(25)]
    for i, group in enumerate(groups):
        redis.zadd(own("retained"), {group: 10**10 + i})
        redis.zadd(group_key(group), {fleet_member(group): 1})
    start, pages = 0, []
    while True:
        start = redis.fcall("gateway_retain", 0, "asgi", 86400, start, 10)
        pages.append(start)
        if start == 0:
            break
    assert pages == [10, 20, 0]
    for group in groups:
        assert redis.zscore(group_key(group), fleet_member(group)) > 1e9
        assert redis.ttl(group_key(group)) > 86390


def test_a_retained_member_that_was_flushed_is_put_back(redis):
    redis.zadd(own("retained"), {"g": 10**10})
    assert redis.fcall("gateway_retain", 0, "asgi", 60, 0, 10) == 0
    assert members(redis) == [fleet_member("g")]


def test_a_full_last_page_is_followed_by_an_empty_one(redis):
    redis.zadd(own("retained"), {f"g{i}": 10**10 for i in range(10)})
    assert redis.fcall("gateway_retain", 0, "asgi", 60, 0, 10) == 10
    assert redis.fcall("gateway_retain", 0, "asgi", 60, 10, 10) == 0


@pytest.mark.parametrize("args", [(), (60,), (60, 0), (0, 0, 10), (60, -1, 10), (60, 0, 0), (60, 0, 10001), ("x", 0, 10)])
def test_retain_with_wrong_arguments_is_refused(redis, args):
    with pytest.raises(ResponseError, match="tocsin: gateway_retain wants"):
        redis.fcall("gateway_retain", 0, "asgi", *args)


# The process that holds a name


@pytest.fixture
def hold(redis):
    """hold("gw", "a1", 1) → (renewed, the living gateways or the fields of the lease's holder)"""

    def hold(gateway, process, link=1, seconds=15):
        _, renewed, *rest = redis.fcall("gateway_lease", 0, "asgi", gateway, seconds, "", "process", process, "link", link, "host", "h1")
        return renewed, rest if renewed < 0 else rest[1:]

    return hold


@pytest.fixture
def listening(server, redis):
    """listening("gw", "a1"): that process' connection for probes; close() ends it."""

    def listening(gateway, process):
        pubsub = server.client().pubsub()
        pubsub.subscribe(f"asgi__probe__{gateway}" + (f".{process}" if process else ""))
        assert pubsub.get_message(timeout=5)["type"] == "subscribe"
        return pubsub

    return listening


def test_a_name_belongs_to_the_process_that_listens(redis, hold, listening):
    first = listening("gw", "a1")
    assert hold("gw", "a1") == (0, [b"gw"])
    renewed, fields = hold("gw", "b2")
    assert renewed == -1
    assert dict(zip(fields[::2], fields[1::2]))[b"process"] == b"a1" and b"h1" in fields
    assert hold("gw", "a1")[0] == 1, "who has it keeps it"
    first.close()


def test_a_killed_process_name_is_free_at_once(redis, hold, listening):
    first = listening("gw", "a1")
    hold("gw", "a1")
    first.close()
    wait_until(lambda: hold("gw", "b2")[0] == 0)
    assert hold("gw", "b2")[0] == 1


def test_a_name_is_free_when_its_lease_has_run_out(redis, hold, listening):
    frozen = listening("gw", "a1")
    hold("gw", "a1", seconds=1)
    wait_until(lambda: not redis.exists(own("gateway:gw")))
    second = listening("gw", "b2")
    assert hold("gw", "b2")[0] == 0
    assert hold("gw", "a1")[0] == -1, "the frozen one is told when it thaws"
    for pubsub in (frozen, second):
        pubsub.close()


def test_a_gateway_without_processes_in_its_lease_keeps_its_name_too(redis, lease, hold, listening):
    older = listening("gw", None)
    lease("gw")
    assert hold("gw", "b2")[0] == -1
    older.close()
    wait_until(lambda: hold("gw", "b2")[0] == 0)


def test_commands_of_an_earlier_link_are_refused(redis, hold):
    hold("gw", "a1", link=2)
    for gateway in ("gw@a1:1", "gw@b2:2"):
        with pytest.raises(ResponseError, match="does not hold its lease"):
            redis.fcall("group_add", 1, group_key("g"), gateway, 60, "specific.gw!1", "", "")
        with pytest.raises(ResponseError, match="does not hold its lease"):
            redis.fcall("group_discard", 1, group_key("g"), gateway, "specific.gw!1")
    with pytest.raises(ResponseError, match="does not hold its lease"):
        hold("gw", "a1", link=1)
    assert not redis.exists(own("roster:g"))
    redis.fcall("group_add", 1, group_key("g"), "gw@a1:2", 60, "specific.gw!1", "", "")
    assert json.loads(redis.hget(own("roster:g"), "specific.gw!1"))["gateway"] == "gw"


def test_without_a_lease_nobody_joins(redis, hold):
    with pytest.raises(ResponseError, match="does not hold its lease"):
        redis.fcall("group_add", 1, group_key("g"), "gw@a1:1", 60, "specific.gw!1", "", "")
    assert redis.dbsize() == 0


def test_a_process_releases_only_its_own_name(redis, hold):
    hold("gw", "a1")
    assert redis.fcall("gateway_release", 0, "asgi", "gw", "b2") == 0
    assert redis.exists(own("gateway:gw"))
    assert redis.fcall("gateway_release", 0, "asgi", "gw", "a1") == 1
    assert not redis.exists(own("gateway:gw"))
