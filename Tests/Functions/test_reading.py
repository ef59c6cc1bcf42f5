"""group_read: what a reader has missed since a position, and whether that can be proven."""

from random import Random
from typing import NamedTuple

import pytest
from redis.exceptions import ResponseError

from harness.names import Position, group_key, own


class Answer(NamedTuple):
    verdict: str
    position: str
    proven: int
    entries: dict  # offset → message, in order

    @classmethod
    def parse(cls, answer):
        verdict, position, proven, entries = answer
        assert len(entries) % 2 == 0
        return cls(verdict.decode(), position.decode(), proven, dict(zip(entries[::2], entries[1::2])))


@pytest.fixture
def read(redis):
    """read(position, …, groups="g", limit=100, size=1 MiB, each=()) → an Answer, or a list if there are several groups.
    each: the byte limit of each group."""

    def read(*positions, groups="g", limit=100, size=1 << 20, each=()):
        answers = redis.fcall_ro(
            "group_read", len(positions), *map(group_key, groups), limit, size, *map(str, positions), *each)
        parsed = [Answer.parse(a) for a in answers]
        return parsed[0] if len(parsed) == 1 else parsed

    return read


def messages(*offsets):
    return {n: b'{"n":%d}' % n for n in offsets}


@pytest.fixture
def sent(send):
    """sent(5): sends five more messages, {"n":OFFSET} each → their positions"""
    count = 0

    def sent(number, *options):
        nonlocal count
        positions = []
        for _ in range(number):
            count += 1
            positions.append(send(b'{"n":%d}' % count, *options)[0])
        return positions

    return sent


def test_a_reader_is_given_what_came_after_its_position(read, sent):
    positions = sent(5)
    assert read(positions[1]) == Answer("resumed", str(positions[4]), 2, messages(3, 4, 5))
    assert read(positions[4]) == Answer("resumed", str(positions[4]), 5, {})


def test_a_reader_from_before_the_first_message_is_given_all(redis, read, sent):
    joined, _ = redis.fcall("group_add", 1, group_key("g"), "gw", 60, "specific.gw!1", "", "")
    last = sent(3)[-1]
    assert read(joined.decode()) == Answer("resumed", str(last), 0, messages(1, 2, 3))


def test_without_a_position_only_the_position_is_answered(read, sent):
    last = sent(3)[-1]
    assert read("") == Answer("position", str(last), 3, {})


def test_a_group_that_does_not_exist_is_not_made_by_reading(redis, read):
    assert read("") == Answer("position", "", 0, {})
    assert read("00000000.0000000000:5") == Answer("reset", "", 0, {})
    assert redis.dbsize() == 0


def test_a_message_whose_time_is_over_is_its_offset_with_an_empty_text(redis, read, sent):
    first = sent(1)[0]
    sent(1, "TTL", "100")
    sent(1)
    assert read(first).entries == messages(2, 3)
    entry = redis.xrange(own("log:g"))[1][1]
    redis.delete(own("log:g"))
    redis.xadd(own("log:g"), {**entry, b"x": redis.time()[0] * 1000 - 1}, id="2-0")
    redis.xadd(own("log:g"), {"m": b'{"n":3}', "t": 1}, id="3-0")
    assert read(first) == Answer("resumed", str(first._replace(offset=3)), 1, {2: b"", **messages(3)})


def test_another_epoch_is_a_reset(redis, read, sent):
    before = sent(3)[-1]
    redis.flushall()
    after = sent(1)[-1]
    assert read(before) == Answer("reset", str(after), 0, {})


@pytest.mark.parametrize("text", ["x", "5f3a.9c01ab23de", "5f3a.9c01ab23de:", ":5", "5f3a.9c01ab23de:-1", "5f3a.9c01ab23de:1.5",
                                  "5f3a.9c01ab23de:1\n", "g.g:1", "5f3a.9c01ab23de:" + "9" * 16, "\x00"])
def test_what_is_not_a_position_is_a_reset(read, sent, text):
    last = sent(1)[-1]
    assert read(text) == Answer("reset", str(last), 0, {})


def test_an_offset_that_was_never_given_is_rolled_back(read, sent):
    last = sent(3)[-1]
    assert read(last._replace(offset=4)) == Answer("rolled_back", str(last), 3, {})


def test_after_a_failover_that_lost_nothing_the_reader_goes_on(redis, read, sent, fail_over):
    old = sent(3)
    fail_over()
    new = sent(2)[-1]
    assert read(old[2]) == Answer("history_changed", str(new), 3, messages(4, 5))
    assert read(old[0]) == Answer("history_changed", str(new), 1, messages(2, 3, 4, 5))
    assert read(new) == Answer("resumed", str(new), 5, {})


def test_a_failover_that_nobody_wrote_after_is_seen_by_reading(redis, read, sent, fail_over):
    old = sent(3)[-1]
    fail_over()
    answer = read(old)
    assert (answer.verdict, answer.proven, answer.entries) == ("history_changed", 3, {})
    assert Position.parse(answer.position).history == redis.info("replication")["master_replid"][:10] != old.history


def test_after_a_failover_that_lost_a_tail_the_reader_is_told_even_when_the_offsets_have_caught_up(redis, read, sent, fail_over):
    old = sent(5)
    # The promoted replica had three of the five, and continues from there: 4 and 5 are other messages now.
    redis.hset(own("pos:g"), "offset", 3)
    redis.delete(own("log:g"))
    for offset in (1, 2, 3):
        redis.xadd(own("log:g"), {"m": b'{"n":%d}' % offset, "t": redis.time()[0] * 1000}, id=f"{offset}-0")
    fail_over()
    new = sent(4)[-1]
    assert new.offset == 7
    assert read(old[4]) == Answer("rolled_back", str(new), 3, {})
    assert read(old[3]) == Answer("rolled_back", str(new), 3, {})
    answer = read(old[2])
    assert (answer.verdict, answer.proven, list(answer.entries)) == ("history_changed", 3, [4, 5, 6, 7])


def test_through_several_failovers_the_first_after_the_reader_s_own_decides(redis, read, sent, fail_over):
    first = sent(2)[-1]
    fail_over()
    second = sent(2)[-1]
    fail_over()
    last = sent(2)[-1]
    assert read(first).verdict == read(second).verdict == "history_changed"
    assert list(read(first).entries) == [3, 4, 5, 6] and list(read(second).entries) == [5, 6]
    assert read(first._replace(offset=3)) == Answer("rolled_back", str(last), 2, {})
    assert read(second._replace(offset=5)) == Answer("rolled_back", str(last), 4, {})


def test_a_history_that_the_group_has_not_seen_is_rolled_back(read, sent):
    last = sent(3)[-1]
    assert read(last._replace(history="0" * 10, offset=1)) == Answer("rolled_back", str(last), 3, {})


def test_a_log_that_no_longer_reaches_back_is_a_gap_and_its_rest_follows(redis, read, sent):
    positions = sent(10)
    redis.xtrim(own("log:g"), minid="7-0", approximate=False)
    assert read(positions[2]) == Answer("gap", str(positions[9]), 6, messages(7, 8, 9, 10))
    assert read(positions[5]).verdict == "resumed"


def test_a_log_that_is_gone_is_a_gap_up_to_now(redis, read, sent):
    positions = sent(4)
    redis.delete(own("log:g"))
    assert read(positions[0]) == Answer("gap", str(positions[3]), 4, {})
    assert read(positions[3]) == Answer("resumed", str(positions[3]), 4, {})


def test_a_send_without_log_at_the_end_is_a_gap_for_whoever_reads_on(read, sent):
    first, second = sent(2)
    third = sent(1, "SIZE", "0")[0]
    assert read(first) == Answer("resumed", str(third), 1, messages(2))
    assert read(second) == Answer("gap", str(third), 3, {})


def test_a_group_that_keeps_no_log_says_that_it_is_live_only(read, sent, policy):
    policy({"match": "*", "size": 0})
    first, last = sent(2)
    assert read(first) == Answer("live", str(last), 1, {})
    assert read(last) == Answer("resumed", str(last), 2, {})


def test_the_limit_counts_messages_and_reading_on_gives_the_rest(read, sent):
    positions = sent(10)
    at, seen = positions[0], []
    while True:
        answer = read(at, limit=4)
        assert answer.verdict == "resumed" and answer.position == str(positions[9])
        if not answer.entries:
            break
        assert len(answer.entries) <= 4
        seen += answer.entries
        at = at._replace(offset=seen[-1])
    assert seen == list(range(2, 11))


def test_the_bytes_are_a_budget_of_the_whole_answer(read, send):
    first = {group: send(b"{}", group=group)[0] for group in "abc"}
    for group in "abc":
        for _ in range(5):
            send(b'{"pad":"%s"}' % (b"x" * 990), group=group)
    # A message counts as its bytes plus 1 KiB, here 2,024.
    a, b, c = read(*first.values(), groups="abc", size=15_000)
    assert (a.verdict, list(a.entries)) == ("resumed", [2, 3, 4, 5, 6])
    assert (b.verdict, list(b.entries)) == ("resumed", [2, 3, 4]), "the last one may go over"
    assert (c.verdict, c.entries, c.proven) == ("later", {}, 1)
    up_to_date = Position.parse(a.position)
    assert read(up_to_date, up_to_date, groups="aa", size=1)[0].verdict == "resumed"


def test_one_message_is_given_however_small_the_budget(read, sent):
    positions = sent(3)
    assert list(read(positions[0], size=1).entries) == [2]


def test_each_group_may_have_bytes_of_its_own(read, send):
    first = {group: send(b"{}", group=group)[0] for group in "ab"}
    for group in "ab":
        for _ in range(5):
            send(b'{"pad":"%s"}' % (b"x" * 990), group=group)
    a, b = read(*first.values(), groups="ab", each=(1000, 2500))
    assert (list(a.entries), list(b.entries)) == ([2], [2, 3, 4]), "without what a message counts beside its bytes"
    a, b = read(*first.values(), groups="ab", each=(1, 10**6))
    assert (list(a.entries), list(b.entries)) == ([2], [2, 3, 4, 5, 6])
    a, b = read(*first.values(), groups="ab", size=1, each=(10**6, 10**6))
    assert (list(a.entries), b.verdict) == ([2], "later"), "the call's own bytes are a bound, too"


def read_on(read, at, **options):
    """Reads page by page to the end → [(verdict, [offset, …]), …], and all messages"""
    pages, found = [], {}
    for _ in range(1000):
        answer = read(at, **options)
        pages.append((answer.verdict, list(answer.entries)))
        found |= answer.entries
        end = max(answer.entries, default=answer.proven)
        if end == Position.parse(answer.position).offset:
            return pages, found
        assert answer.entries or answer.verdict == "gap", "a page of nothing that is not the last would be read for ever"
        at = at._replace(offset=end)
    raise AssertionError("no end")


@pytest.mark.parametrize("seed", range(12))
def test_pages_of_mixed_lengths_are_whole_in_order_and_without_a_hole(read, send, policy, seed):
    policy({"match": "*", "size": 1000})
    random = Random(seed)
    sent = {}
    for n in range(1, 121):
        length = random.choice((1, 10, 100, 1000, 5000, 20_000, 100_000, 300_000 if n % 10 == 0 else 1))
        sent[n] = b'{"n":%d,"pad":"%s"}' % (n, b"x" * length)
        at = send(sent[n])[0]
    size, limit = random.choice((1, 2000, 65_536, 262_144)), random.choice((1, 7, 100))
    pages, found = read_on(read, at._replace(offset=0), size=size, limit=limit)
    assert [n for _, offsets in pages for n in offsets] == list(range(1, 121)) and found == sent
    for verdict, offsets in pages:
        assert verdict == "resumed" and len(offsets) <= limit
        assert sum(len(sent[n]) + 1024 for n in offsets[:-1]) < size, "only the last one goes over"


@pytest.mark.parametrize("seed", range(12))
def test_expired_messages_and_gaps_at_the_borders_of_pages_are_told(redis, read, send, seed):
    """A log with expired and missing messages, in all positions relative to the beginning and end of a page."""
    random = Random(seed)
    at = [send(b'{"n":%d}' % n)[0] for n in range(1, 61)][-1]._replace(offset=0)
    now, expected = redis.time()[0] * 1000, {}
    redis.delete(own("log:g"))
    for n in range(1, 61):
        kind = random.choice(("kept", "kept", "expired", "missing"))
        if kind != "missing":
            message = b'{"n":%d,"pad":"%s"}' % (n, b"x" * random.choice((1, 900, 3000)))
            fields = {"m": message, "t": now - 1000} | ({"x": now - 1} if kind == "expired" else {})
            redis.xadd(own("log:g"), fields, id=f"{n}-0")
            expected[n] = b"" if kind == "expired" else message
    pages, found = read_on(read, at, size=random.choice((1, 3000, 8000)), limit=random.choice((1, 3, 100)))
    assert found == expected and list(found) == sorted(found)
    last = 0
    for verdict, offsets in pages:
        if offsets:
            assert offsets == list(range(offsets[0], offsets[-1] + 1)), "a page has no hole"
        assert verdict == ("resumed" if offsets and offsets[0] == last + 1 else "gap")
        last = offsets[-1] if offsets else last


def test_an_expired_message_takes_of_the_bytes_what_it_has(redis, read, send):
    """It is returned empty, but it had to be read."""
    at = [send(b'{"pad":"%s"}' % (b"x" * 10_000), "TTL", "100")[0] for _ in range(10)][0]._replace(offset=0)
    entries = redis.xrange(own("log:g"))
    redis.delete(own("log:g"))
    for id, fields in entries:
        redis.xadd(own("log:g"), fields | {b"x": 1}, id=id)
    assert read(at, size=25_000).entries == {1: b"", 2: b"", 3: b""}


def test_several_groups_are_answered_in_order(read, send):
    a = send(group="a")[0]
    b = send(group="b")[0]
    send(group="b")
    answers = read("", b, a, "", groups="cbab")
    assert [(x.verdict, len(x.entries)) for x in answers] == [("position", 0), ("resumed", 1), ("resumed", 0), ("position", 0)]
    assert [x.position for x in answers[1:3]] == [str(b._replace(offset=2)), str(a)]


def test_reading_writes_nothing(redis, read, sent, fail_over):
    first, *_ = sent(3)
    fail_over()
    before = {key: redis.dump(key) for key in redis.keys()}
    for position in ("", first, "x", first._replace(offset=9)):
        read(position)
    assert {key: redis.dump(key) for key in redis.keys()} == before


def test_it_can_be_read_while_memory_is_full(redis, read, sent):
    first, last = sent(2)
    redis.config_set("maxmemory", 1)
    try:
        assert read(first) == Answer("resumed", str(last), 1, messages(2))
    finally:
        redis.config_set("maxmemory", 0)


@pytest.mark.parametrize("args", [(), (10,), (10, 1000), (10, 1000, "", ""), (0, 1000, ""), (10001, 1000, ""), (10, 0, ""),
                                  ("x", 1000, ""), (10, "x", ""), (10, 1000, "", 0), (10, 1000, "", "x"),
                                  (10, 1000, "", 10, 10)])
def test_wrong_arguments_are_refused(redis, args):
    with pytest.raises(ResponseError, match="tocsin: group_read wants"):
        redis.fcall_ro("group_read", 1, group_key("g"), *args)


def test_a_bad_group_and_a_wrong_type_are_errors(redis, read):
    with pytest.raises(ResponseError, match="tocsin: the key must be"):
        redis.fcall_ro("group_read", 1, group_key("not good"), 10, 1000, "")
    redis.set(own("pos:g"), "not ours")
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        read("")
