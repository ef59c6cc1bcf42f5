"""A replica is promoted that lacks the last messages: the new primary reuses their offsets, and all clients that were shown one
of them must be told. Earlier reads from the replica make no difference."""

import time

import pytest
from harness.http_client import get
from harness.names import group_key

from .bench.load import Load
from .bench.redis_pair import RedisPair

pytestmark = pytest.mark.timeout(300)

READ_FOR = 3.0
AT_ONCE = 12  # messages to each group of the new primary, before a gateway is connected: more than it lacks


def lose_a_tail(load, pair):
    """The replica is cut off, and clients are shown messages that it never gets."""
    pair.cut()
    load.last(1.5, 3)
    last = load.publishers.stop()["last"]
    assert load.fleet.await_shown(last, 20), "a tail that nobody saw is another fault"
    tails = [server.client().info("replication")["master_repl_offset"] for server in (pair.primary, pair.replica)]
    assert tails[0] > tails[1]


def is_promoted(load, pair):
    """The offsets of the messages it lacks are reused before anybody can notice: only the position distinguishes them."""
    pair.promote()
    load.add_publishers(f"new{pair.primary.port}-", load.group_names, load.scale.rate, redis=pair.primary).burst(AT_ONCE)
    pair.lead_to(pair.primary)


def goes_on(load):
    load.publishers.start()
    load.healed()
    load.await_ready()
    load.calm()


def nobody_reads_it(load, pair):
    pass


def everything_is_read_there(load, pair):
    """By hand, or by anything that offloads reads from the primary."""
    client = pair.replica.client()
    for group in load.group_names:
        client.fcall_ro("group_read", 1, group_key(group), 100, 10**6, "")


def gateways_come_to_it(load, pair):
    """The address leads to the replica before it is promoted: gateways dial it again and again, because it refuses their writes,
    and their API requests are sent to it whenever there is a connection."""
    pair.lead_to(pair.replica)
    load.await_ready(503)
    ends = time.monotonic() + READ_FOR
    while time.monotonic() < ends:
        for gateway in load.gateways:
            for group in load.group_names:
                assert get(gateway.admin_port, f"/v1/groups/{group}/messages").status in (200, 503)


READERS = {
    "not read": nobody_reads_it,
    "read by FCALL_RO": everything_is_read_there,
    "gateways on it for 3 s": gateways_come_to_it,
}


@pytest.mark.quick
@pytest.mark.parametrize("readers", READERS)
def test_f26_a_replica_is_promoted_that_lacks_the_tail(scale, readers):
    pair = RedisPair()
    with Load(scale, redis=pair) as load:
        load.calm()
        lose_a_tail(load, pair)
        READERS[readers](load, pair)
        pair.primary.kill()
        is_promoted(load, pair)
        goes_on(load)
        load.judge(f"F26 failover without the tail, replica {readers}", required={"rolled_back"})


@pytest.mark.quick
def test_f28_the_replica_is_promoted_and_then_the_other_one_again_each_without_the_tail(scale):
    """The first server has been a primary, then a replica that had to discard its tail, and becomes a primary again."""
    pair = RedisPair()
    with Load(scale, redis=pair) as load:
        load.calm()
        for _ in range(2):
            lose_a_tail(load, pair)
            gateways_come_to_it(load, pair)
            is_promoted(load, pair)
            assert not pair.follow(), "what it has and the new primary lacks is given up"
            goes_on(load)
            everything_is_read_there(load, pair)
            load.publishers.stop()
            pair.await_same()
            load.publishers.start()
        load.judge("F28 failover without the tail, there and back", required={"rolled_back"})


def test_f24_an_orderly_switch_there_and_back_is_noticed_by_nobody(scale):
    """Nothing is sent while the address moves, and both have everything: libraries stay as they are."""
    pair = RedisPair()
    with Load(scale, redis=pair) as load:
        load.calm()
        for _ in range(2):
            load.publishers.stop()
            pair.await_same()
            everything_is_read_there(load, pair)
            pair.promote()
            pair.lead_to(pair.primary)
            assert pair.follow(), "nothing was given up"
            goes_on(load)
        load.judge("F24 orderly switch of the primary, there and back")
