"""group_send: its answers, what it publishes, its options, its refusals."""

import threading

import pytest
from redis.exceptions import ResponseError

from harness.names import Position, group_key, own


def test_the_answer_is_a_position_and_the_number_of_listeners(redis, send, listen):
    answer = redis.fcall("group_send", 1, "asgi:group:42isInsufficient", '{"type":"receive","balance":3.5}')
    assert isinstance(answer[0], bytes) and Position.parse(answer[0]).offset == 1
    assert answer[1] == 0
    listeners = [listen(), listen()]
    assert send()[1] == len(listeners)


def test_offsets_run_from_one_without_holes(send):
    positions = [send()[0] for _ in range(50)]
    assert [p.offset for p in positions] == list(range(1, 51))
    assert len({(p.epoch, p.history) for p in positions}) == 1


def test_groups_count_apart_and_have_epochs_of_their_own(send):
    a, b, c = send(group="a")[0], send(group="b")[0], send(group="a")[0]
    assert (a.offset, b.offset, c.offset) == (1, 1, 2)
    assert a.epoch == c.epoch != b.epoch
    assert a.history == b.history


def test_parallel_senders_make_no_hole_and_no_double(server, send, listen):
    listener = listen()
    answers = []

    def run():
        client = server.client()
        answers.extend(Position.parse(client.fcall("group_send", 1, group_key("g"), "{}")[0]) for _ in range(150))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(p.offset for p in answers) == list(range(1, 601))
    stamped = [int(m.split(b":")[-1].rstrip(b'"}')) for m in listener.take()]
    assert stamped == list(range(1, 601)), "published in the order of the offsets"


def test_a_subscriber_on_any_database_hears_it(send, listen):
    listeners = [listen(db=db) for db in (0, 3, 9)]
    position, heard = send(b'{"a":1}')
    assert heard == 3
    for listener in listeners:
        assert listener.take() == [b'{"__tocsin__":"%s","a":1}' % str(position).encode()]


def test_the_stamp_says_that_no_log_has_the_message(send, listen, policy):
    policy({"match": "live", "size": 0})
    listener, live = listen(), listen("live")
    for message in (b"{}", b"\x80"):
        sent = [send(message)[0], send(message, "SIZE", "0")[0], send(message, "SIZE", "5", group="live")[0], send(message, group="live")[0]]
        heard = [text[text.index(b".") - 8:].split(b'"')[0].decode() for text in listener.take() + live.take()]
        assert heard == [str(sent[0]), f"{sent[1]} live", str(sent[2]), f"{sent[3]} live"]


def test_the_log_holds_the_message_as_it_was_sent(redis, send):
    position, _ = send(b' { "a" : 1 } ')
    [(entry, fields)] = redis.xrange(own("log:g"))
    assert entry == b"%d-0" % position.offset
    assert fields[b"m"] == b' { "a" : 1 } '
    assert abs(int(fields[b"t"]) / 1000 - redis.time()[0]) < 5, "the time is Redis' time, in milliseconds"
    assert set(fields) == {b"m", b"t"}


def test_another_prefix_is_another_world(redis, send, listen):
    asgi, other = listen("g"), listen("g", prefix="shop")
    position, heard = send(b"{}", group="g", prefix="shop")
    assert (position.offset, heard) == (1, 1)
    assert asgi.take() == [] and len(other.take()) == 1
    assert set(redis.keys()) == {b"tocsin:shop:pos:g", b"tocsin:shop:log:g"}
    assert send(b"{}", group="g")[0].offset == 1


def test_a_prefix_with_colons_ends_at_the_last_group(redis):
    redis.fcall("group_send", 1, "a:group:b:group:g", "{}")
    assert redis.exists("tocsin:a:group:b:pos:g")


# Options


def test_ttl_is_written_into_the_entry(redis, send):
    send(b"{}", "TTL", "30")
    [(_, fields)] = redis.xrange(own("log:g"))
    assert int(fields[b"x"]) - int(fields[b"t"]) == 30_000


def test_size_trims_the_log_of_this_send(redis, send):
    for _ in range(300):
        send(b'{"pad":"%s"}' % (b"x" * 500), "SIZE", "10")
    # "~" trims whole nodes of the stream: up to 4096 bytes of entries may remain in addition.
    assert 10 <= redis.xlen(own("log:g")) <= 20


def test_size_zero_writes_no_log(redis, send, listen):
    listener = listen()
    assert [send(b"{}", "SIZE", "0")[0].offset for _ in range(3)] == [1, 2, 3]
    assert not redis.exists(own("log:g"))
    assert len(listener.take()) == 3


def test_options_may_come_in_any_order_and_any_case(redis, send):
    first = send(b"{}", "size", "5", "Ttl", "9", "kEy", "k")
    assert send(b"{}", "KEY", "k") == first
    assert b"x" in redis.xrange(own("log:g"))[0][1]


def test_the_largest_option_values_are_taken(send):
    send(b"{}", "TTL", "315360000", "SIZE", "1000000", "KEY", "k" * 200)


@pytest.mark.parametrize(
    ("options", "named"),
    [(("TTL", value), "TTL") for value in ("0", "-1", "1.5", "", "x", "1x", " 1", "315360001", "1" * 30, "1\n")]
    + [(("SIZE", value), "SIZE") for value in ("-1", "1.5", "", "x", "1000001", "0x10", "1e3", "+1")]
    + [(("KEY", value), "KEY") for value in ("", "k" * 201)]
    + [(("TTL",), "TTL"), (("SIZE",), "SIZE"), (("KEY",), "KEY"), (("TTL", "1", "KEY"), "KEY")]
    + [((option,), "unknown option") for option in ("", "TTL ", "EX", "\xff")]
    + [(("EX", "1"), "unknown option"), (("TTL", "1", "PX", "5"), "unknown option")],
)
def test_a_bad_option_is_refused_and_named(redis, send, options, named):
    with pytest.raises(ResponseError, match=f"tocsin: .*{named}"):
        send(b"{}", *options)
    assert redis.dbsize() == 0, "nothing was written"


def test_a_repeat_under_the_same_key_answers_the_same_and_publishes_nothing(redis, send, listen):
    listener = listen()
    first = send(b'{"n":1}', "KEY", "order-1")
    other = listen()
    assert send(b'{"n":1}', "KEY", "order-1") == first, "the listeners of the first send, too"
    assert send(b'{"another":"message"}', "KEY", "order-1") == first
    assert len(listener.take()) == 1 and other.take() == []
    assert redis.xlen(own("log:g")) == 1
    assert send()[0].offset == first[0].offset + 1, "the repeat has used no offset"


def test_keys_are_apart_by_group_and_may_hold_any_byte(send):
    odd = b"a b\r\n:\x00\xff"
    assert send(b"{}", "KEY", odd, group="a")[0].offset == 1
    assert send(b"{}", "KEY", odd, group="b")[0].offset == 1
    assert send(b"{}", "KEY", odd, group="a")[0].offset == 1
    assert send(b"{}", "KEY", b"a b", group="a")[0].offset == 2


def test_a_key_is_remembered_for_a_day_or_as_long_as_history(redis, send, policy):
    send(b"{}", "KEY", "k")
    assert 86390 <= redis.ttl(own("key:g:k")) <= 86400
    policy({"match": "*", "ttl": 864000})
    send(b"{}", "KEY", "k2")
    assert 863990 <= redis.ttl(own("key:g:k2")) <= 864000


def test_a_refused_message_does_not_use_up_its_key(send):
    with pytest.raises(ResponseError):
        send(b"not json", "KEY", "k")
    assert send(b"{}", "KEY", "k")[0].offset == 1
    assert send(b"{}", "KEY", "k")[0].offset == 1


# Refusals


@pytest.mark.parametrize("group", ["a b", "a:b", "", "é", "٣", "a\n", "\n", "a/b", "a!b", "a*", "x" * 100, "a\x00", "a%"])
def test_a_bad_group_name_is_refused(redis, send, group):
    with pytest.raises(ResponseError, match="tocsin: the key must be PREFIX:group:NAME"):
        send(group=group)
    assert redis.dbsize() == 0


@pytest.mark.parametrize("group", ["a", "x" * 99, "A-z_0.9", "-", ".", "..", "specific.tocsin-00"])
def test_a_name_that_channels_redis_takes_is_taken(send, group):
    assert send(group=group)[0].offset == 1


@pytest.mark.parametrize("key", ["g", "group:g", "asgi:g", "asgi:group:", "asgi:groups:g", "asgi__group__g", ""])
def test_a_key_of_another_shape_is_refused(redis, key):
    with pytest.raises(ResponseError, match="tocsin: the key must be"):
        redis.fcall("group_send", 1, key, "{}")


def test_no_key_and_two_keys_are_refused(redis):
    for keys in ([], ["asgi:group:a", "asgi:group:b"]):
        with pytest.raises(ResponseError, match="tocsin: the key must be"):
            redis.fcall("group_send", len(keys), *keys, "{}")


def test_a_missing_message_is_refused(redis):
    with pytest.raises(ResponseError, match="tocsin: the message is missing"):
        redis.fcall("group_send", 1, "asgi:group:g")


@pytest.mark.parametrize("key", ["pos:g", "policy", "key:g:k"])
def test_a_key_of_the_wrong_type_refuses_the_send_whole(redis, send, listen, key):
    listener = listen()
    before = send()[0]
    redis.delete(own(key))
    redis.rpush(own(key), "not ours")
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        send(b"{}", "KEY", "k")
    assert redis.xlen(own("log:g")) == 1 and len(listener.take()) == 1
    redis.delete(own(key))
    after = send(b"{}", "KEY", "k")[0]
    assert after.offset == (1 if key == "pos:g" else before.offset + 1)


def test_a_log_of_the_wrong_type_refuses_the_send_and_uses_no_offset(redis, send, listen):
    listener = listen()
    before = send()[0]
    redis.delete(own("log:g"))
    redis.set(own("log:g"), "not a stream")
    for _ in range(3):
        with pytest.raises(ResponseError, match="WRONGTYPE"):
            send()
    assert len(listener.take()) == 1
    redis.delete(own("log:g"))
    assert send()[0] == before._replace(offset=2)


def test_when_memory_is_full_a_send_is_refused_whole_and_a_discard_is_not(redis, send):
    send()
    redis.fcall("group_add", 1, group_key("g"), "gw", 60, "specific.gw!1", "", "")
    redis.config_set("maxmemory", 1)
    try:
        with pytest.raises(ResponseError, match="OOM|maxmemory"):
            send()
        with pytest.raises(ResponseError, match="OOM|maxmemory"):
            redis.fcall("group_add", 1, group_key("h"), "gw", 60, "specific.gw!1", "", "")
        assert redis.fcall("group_discard", 1, group_key("g"), "gw", "specific.gw!1") == 1
        assert redis.fcall("gateway_lease", 0, "asgi", "gw", 15, "")
        assert redis.fcall("gateway_sweep", 0, "asgi", 10) == 0
        assert redis.fcall("gateway_release", 0, "asgi", "gw") == 1
    finally:
        redis.config_set("maxmemory", 0)
    assert send()[0].offset == 2


def test_the_version_is_the_library_s(redis):
    from harness.redis_server import LIBRARY

    assert f"local VERSION = {redis.fcall('tocsin_version', 0)}\n" in LIBRARY.read_text()
    assert redis.fcall_ro("tocsin_version", 0) == redis.fcall("tocsin_version", 0)
    version, since = redis.fcall("tocsin_version", 0, "COMPATIBLE")
    assert 1 <= since <= version == redis.fcall("tocsin_version", 0)
    assert f"local COMPATIBLE_SINCE = {since} " in LIBRARY.read_text()
