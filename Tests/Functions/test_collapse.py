"""COLLAPSE: who is behind sees only the newest of a key, who is live sees each, and a reader is told of no gap."""

import pytest
from redis.exceptions import ResponseError

from harness.names import group_key, own


@pytest.fixture(params=[False, True], ids=["without an inbox", "with an inbox"])
def group(policy, request):
    policy({"match": "g", "size": 10, "inbox": request.param})
    return "g"


@pytest.fixture
def read(redis):
    """read(position) → verdict, {offset: message} of what follows it"""

    def read(position, limit=100):
        [[verdict, _, _, entries]] = redis.fcall_ro("group_read", 1, group_key("g"), limit, 10**6, str(position))
        return verdict.decode(), dict(zip(entries[::2], entries[1::2]))

    return read


@pytest.mark.usefixtures("group")
def test_who_is_live_hears_each_and_the_log_has_the_newest(send, listen, redis):
    listener = listen()
    for n in range(3):
        send(b'{"n":%d}' % n, "COLLAPSE", "price")
    assert len(listener.take()) == 3
    assert [fields[b"m"] for _, fields in redis.xrange(own("log:g"))] == [b'{"n":2}']
    assert redis.xrange(own("log:g"))[0][1][b"k"] == b"price"


@pytest.mark.usefixtures("group")
def test_a_reader_passes_over_what_was_collapsed_without_a_gap(send, read):
    start = send(b'{"first":1}')[0]._replace(offset=0)
    for key in ("a", "b", "a", "b", "a"):
        send(b'{"k":"%s"}' % key.encode(), "COLLAPSE", key)
    assert read(start) == ("resumed", {1: b'{"first":1}', 4: b"", 5: b'{"k":"b"}', 6: b'{"k":"a"}'})
    for since in range(1, 6):
        assert read(start._replace(offset=since))[0] == "resumed"
    assert read(start._replace(offset=2))[1] == {4: b"", 5: b'{"k":"b"}', 6: b'{"k":"a"}'}


@pytest.mark.usefixtures("group")
def test_a_page_may_end_in_a_hole_and_the_next_goes_on_from_there(send, read):
    start = send()[0]
    for _ in range(4):
        send(b"{}", "COLLAPSE", "k")
    assert read(start, limit=1) == ("resumed", {4: b""})
    assert read(start._replace(offset=4), limit=1) == ("resumed", {5: b"{}"})


@pytest.mark.usefixtures("group")
def test_what_was_sent_live_only_is_a_gap_also_beside_what_was_collapsed(send, read):
    start = send(b"{}", "COLLAPSE", "k")[0]
    send(b"{}", "SIZE", 0)
    send(b"{}", "COLLAPSE", "k")
    assert read(start)[0] == "gap"
    assert read(start._replace(offset=2)) == ("resumed", {3: b"{}"})


def test_a_trimmed_message_of_the_key_is_no_hole(policy, send, read, redis):
    policy({"match": "g", "size": 3, "inbox": True})
    start = send(b"{}", "COLLAPSE", "k")[0]
    for _ in range(5):
        send()
    send(b"{}", "COLLAPSE", "k")
    assert not redis.exists(own("holes:g")) and read(start)[0] == "gap"


@pytest.mark.usefixtures("group")
def test_holes_are_joined_however_many_were_collapsed(send, redis):
    send()
    for n in range(500):
        send(b"{}", "COLLAPSE", "k")
    assert redis.zrange(own("holes:g"), 0, -1) == [b"h 2 500"]


@pytest.mark.usefixtures("group")
def test_keys_holes_and_expiries_are_bounded_by_the_log(send, redis):
    for n in range(1500):
        options = {0: ("SIZE", 0), 1: ("COLLAPSE", f"key {n}"), 2: ("COLLAPSE", "k"), 3: ("TTL", 10**6)}[n % 4]
        send(b"{}", *options)
    length = redis.xlen(own("log:g"))
    assert redis.hlen(own("collapse:g")) <= 2 * length + 120
    assert redis.zcard(own("holes:g")) <= 2 * length + 70 and redis.zcard(own("expiring:g")) <= 2 * length + 70


@pytest.mark.usefixtures("group")
@pytest.mark.parametrize("key", ["", "k" * 201])
def test_a_key_has_1_to_200_bytes(send, key):
    with pytest.raises(ResponseError, match="COLLAPSE wants 1 to 200 bytes"):
        send(b"{}", "COLLAPSE", key)
    assert send(b"{}", "COLLAPSE", b"\xff\x00" * 100)[0].offset == 1


def test_what_is_not_kept_cannot_be_collapsed(policy, send):
    policy({"match": "live", "size": 0})
    for options, group in ((("SIZE", 0), "g"), ((), "live")):
        with pytest.raises(ResponseError, match="COLLAPSE is for messages that are kept"):
            send(b"{}", "COLLAPSE", "k", *options, group=group)


@pytest.mark.usefixtures("group")
def test_a_failover_keeps_holes_and_a_new_epoch_has_none(send, read, redis, fail_over):
    start = send()[0]
    for _ in range(2):
        send(b"{}", "COLLAPSE", "k")
    fail_over()
    assert read(start)[0] == "history_changed"
    redis.delete(own("pos:g"))
    new = send(b"{}", "COLLAPSE", "k")[0]
    assert new.offset == 1 and not redis.exists(own("holes:g")) and redis.xlen(own("log:g")) == 1
