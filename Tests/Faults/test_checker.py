"""The checker detects faults planted into good logs (FAULTS' rule: the judge is judged first)."""

import random

import pytest

from .bench import logs
from .bench.checker import check
from .bench.logs import Attempt, ClientLog, Event
from .bench.sse import Chunks, Stream
from .bench.timing import catch_up, delays, percentile

pytestmark = pytest.mark.quick

COUNT = 1000


def position(number, history="aaaaaaaaaa"):
    return f"00000001.{history}:{number}"


def message(number, at=None, group="g"):
    return Event(at or 10.0 + number * 0.01, logs.MESSAGE, (f"p/{group}/{number}", position(number)))


def attempt(number, outcome=logs.OK, group="g", detail=None):
    began = 10.0 + number * 0.01 - 0.002
    return Attempt(began, began + 0.001, f"p/{group}/{number}", outcome, position(number) if detail is None else detail)


def notice(reason, at, group="g"):
    return Event(at, logs.NOTICE, (group, reason))


@pytest.fixture
def attempts():
    return [attempt(n) for n in range(1, COUNT + 1)]


@pytest.fixture
def clients():
    return {name: good_log(name) for name in ("one", "two")}


def good_log(name, groups=("g",)):
    events = [Event(1.0, logs.JOINED, (",".join(groups),)), Event(2.0, logs.OPEN, ())]
    for n in range(1, COUNT + 1):
        events += [message(n, group=group) for group in groups]
    return ClientLog(name, tuple(groups), events)


def index(client, number):
    return next(i for i, e in enumerate(client.events) if e.kind == logs.MESSAGE and e.fields[0].endswith(f"/{number}"))


def counts(verdict):
    return verdict.lost, verdict.untold, verdict.duplicated, verdict.reordered, verdict.phantoms


def test_good_logs_pass(attempts, clients):
    verdict = check(attempts, clients)
    assert verdict.passes
    assert counts(verdict) == (0, 0, 0, 0, 0)
    assert (verdict.due, verdict.shown, verdict.accepted, verdict.reconnects) == (2 * COUNT, 2 * COUNT, COUNT, 0)


# F00: planted faults


def test_f00a_a_dropped_message_is_a_loss(attempts, clients):
    del clients["one"].events[index(clients["one"], 500)]
    verdict = check(attempts, clients)
    assert not verdict.passes
    assert counts(verdict) == (1, 1, 0, 0, 0)
    assert "p/g/500" in str(verdict)


def test_f00a_every_hundredth_dropped_is_a_gap_each(attempts, clients):
    client = clients["one"]
    client.events = [e for e in client.events if e.kind != logs.MESSAGE or not e.fields[0].endswith("00")]
    assert counts(check(attempts, clients)) == (10, 10, 0, 0, 0)


def test_f00a_neighbours_that_are_lost_are_one_gap(attempts, clients):
    place = index(clients["one"], 500)
    del clients["one"].events[place : place + 7]
    assert counts(check(attempts, clients)) == (7, 1, 0, 0, 0)


def test_f00a_the_last_message_that_nobody_follows_is_a_loss(attempts, clients):
    clients["one"].events.pop()
    assert counts(check(attempts, clients)) == (1, 1, 0, 0, 0)


def test_f00b_two_swapped_are_out_of_order(attempts, clients):
    events = clients["one"].events
    place = index(clients["one"], 500)
    events[place], events[place + 1] = events[place + 1], events[place]
    verdict = check(attempts, clients)
    assert not verdict.passes
    assert counts(verdict) == (0, 0, 0, 1, 0)


def test_f00b_two_publishers_swapped_are_out_of_order():
    """Neither breaks its own order; the offsets reveal it."""
    attempts = [Attempt(10.0, 10.1, "a/g/1", logs.OK, position(1)), Attempt(10.2, 10.3, "b/g/1", logs.OK, position(2))]
    events = [Event(2.0, logs.OPEN, ()), Event(11.0, logs.MESSAGE, ("b/g/1", "")), Event(11.1, logs.MESSAGE, ("a/g/1", ""))]
    assert counts(check(attempts, {"one": ClientLog("one", ("g",), events)})) == (0, 0, 0, 1, 0)


def test_f00c_one_repeated_is_a_duplicate(attempts, clients):
    events = clients["two"].events
    place = index(clients["two"], 500)
    events.insert(place + 3, events[place])
    verdict = check(attempts, clients)
    assert not verdict.passes
    assert counts(verdict) == (0, 0, 1, 0, 0)


def told_loss(client, at, reason="gap"):
    """Messages 500 to 509 are not shown, and there is a notice before 510."""
    place = index(client, 500)
    client.events[place : place + 10] = [notice(reason, at)]


def test_f00d_a_loss_with_its_notice_is_told(attempts, clients):
    told_loss(clients["one"], at=15.095)
    verdict = check(attempts, clients, allowed={"gap"})
    assert verdict.passes
    assert verdict.told == 10
    assert counts(verdict) == (0, 0, 0, 0, 0)


def test_f00d_the_notice_cleared_leaves_an_untold_gap(attempts, clients):
    told_loss(clients["one"], at=15.095)
    clients["one"].events = [e for e in clients["one"].events if e.kind != logs.NOTICE]
    assert counts(check(attempts, clients, allowed={"gap"})) == (10, 1, 0, 0, 0)


def test_f00d_a_notice_after_the_next_message_comes_too_late(attempts, clients):
    events = clients["one"].events
    told_loss(clients["one"], at=15.11)
    place = next(i for i, e in enumerate(events) if e.kind == logs.NOTICE)
    events[place], events[place + 1] = events[place + 1], events[place]
    assert counts(check(attempts, clients, allowed={"gap"})) == (10, 1, 0, 0, 0)


def test_f00d_a_notice_from_before_the_message_was_sent_covers_nothing(attempts, clients):
    told_loss(clients["one"], at=15.045)
    verdict = check(attempts, clients, allowed={"gap"})
    assert verdict.told == 5
    assert counts(verdict) == (5, 1, 0, 0, 0)


def test_f00d_a_notice_of_another_group_covers_nothing(attempts):
    attempts = attempts + [attempt(n, group="h") for n in range(1, COUNT + 1)]
    client = good_log("one", ("g", "h"))
    client.events = [e for e in client.events if e.kind != logs.MESSAGE or e.fields[0] != "p/g/500"]
    client.events.insert(index(client, 501), notice("gap", 15.005, "h"))
    assert counts(check(attempts, {"one": client}, allowed={"gap"})) == (1, 1, 0, 0, 0)


# I2: what must not be shown


@pytest.mark.parametrize("outcome", [logs.REJECTED, logs.UNSENT])
def test_shown_although_certainly_not_stored_is_a_phantom(attempts, clients, outcome):
    attempts[499] = attempt(500, outcome, detail="ERR")
    assert counts(check(attempts, clients)) == (0, 0, 0, 0, 2)


def test_shown_although_nobody_sent_it_is_a_phantom(attempts, clients):
    assert counts(check(attempts[:-1], clients)) == (0, 0, 0, 0, 2)


def test_of_a_group_that_the_client_is_not_in_is_a_phantom(attempts, clients):
    attempts.append(attempt(1, group="h"))
    clients["one"].events.append(message(1, at=30.0, group="h"))
    assert counts(check(attempts, clients)) == (0, 0, 0, 0, 1)


# Outcomes


def test_a_rejected_message_is_due_to_nobody(attempts, clients):
    attempts[499] = attempt(500, logs.REJECTED, detail="ERR")
    for client in clients.values():
        del client.events[index(client, 500)]
    assert check(attempts, clients).passes


@pytest.mark.parametrize("shown", [True, False])
def test_an_unknown_message_may_be_shown_and_may_be_not(attempts, clients, shown):
    attempts[499] = attempt(500, logs.UNKNOWN, detail="TimeoutError")
    if not shown:
        for client in clients.values():
            del client.events[index(client, 500)]
    assert check(attempts, clients).passes


def test_unknown_and_then_rejected_is_unknown(attempts, clients):
    attempts[499:500] = [attempt(500, logs.UNKNOWN, detail=""), attempt(500, logs.REJECTED, detail="ERR")]
    assert check(attempts, clients).passes


def test_unknown_and_then_accepted_is_due(attempts, clients):
    attempts.insert(499, attempt(500, logs.UNKNOWN, detail=""))
    verdict = check(attempts, clients)
    assert verdict.passes
    assert verdict.retried == 1
    del clients["one"].events[index(clients["one"], 500)]
    assert counts(check(attempts, clients)) == (1, 1, 0, 0, 0)


def test_a_run_with_too_few_accepted_is_void(attempts, clients):
    assert check(attempts, clients, planned=COUNT * 2).void
    assert not check(attempts, clients, planned=COUNT * 2).passes
    assert not check(attempts, clients, planned=COUNT * 10 // 9).void
    assert check([], clients).void


def test_what_was_sent_before_a_client_came_is_not_due(attempts, clients):
    client = clients["one"]
    client.events = [client.events[0], Event(15.0, logs.OPEN, ()), *client.events[index(client, 501) :]]
    verdict = check(attempts, clients)
    assert verdict.passes
    assert verdict.due == COUNT + 500


def test_what_was_sent_while_it_was_away_is_due(attempts, clients):
    client = clients["one"]
    place = index(client, 500)
    client.events[place : place + 100] = [Event(15.0, logs.CLOSED, ("end",)), Event(16.0, logs.OPEN, ())]
    verdict = check(attempts, clients)
    assert counts(verdict) == (100, 1, 0, 0, 0)
    assert verdict.reconnects == 1


# I5


def test_a_notice_that_is_not_allowed_fails(attempts, clients):
    clients["one"].events.insert(index(clients["one"], 500), notice("reset", 14.99))
    verdict = check(attempts, clients, allowed={"gap"})
    assert not verdict.passes
    assert verdict.unwanted == 1


def test_a_notice_that_was_due_and_did_not_come_fails(attempts, clients):
    clients["one"].events.insert(index(clients["one"], 500), notice("reset", 14.99))
    verdict = check(attempts, clients, required={"reset"})
    assert not verdict.passes
    assert (verdict.unwanted, verdict.unnotified) == (0, 1)


def test_after_a_lost_tail_the_same_offsets_may_come_again(attempts, clients):
    """Another history continues from an earlier offset, which is not out of order."""
    for n in range(501, COUNT + 1):
        attempts[n - 1] = attempt(n, detail=position(n - 10, "bbbbbbbbbb"))
    for client in clients.values():
        client.events.insert(index(client, 501), notice("rolled_back", 15.005))
    assert check(attempts, clients, allowed={"rolled_back"}).passes


# The rest of the bench


def test_logs_are_read_as_they_were_written(tmp_path, attempts, clients):
    (tmp_path / "a").write_text("".join(logs.attempt_line(a) for a in attempts))
    assert [a.id for a in logs.read_attempts(tmp_path / "a")] == [a.id for a in attempts]
    lines = (
        "\t".join((f"{e.time:.6f}", client.name, e.kind, *e.fields)) for client in clients.values() for e in client.events
    )
    (tmp_path / "c").write_text("\n".join(lines) + "\n")
    assert check(logs.read_attempts(tmp_path / "a"), logs.read_clients(tmp_path / "c")).passes


def test_times():
    attempts = [attempt(n) for n in (1, 2, 3)]
    client = ClientLog("one", ("g",), [message(1, at=10.109), message(2, at=12.0), message(3, at=13.0)])
    late = delays(attempts, {"one": client})
    assert [round(delay, 3) for delay in late] == [0.1, 1.981, 2.971]
    assert catch_up(attempts, {"one": client}, healed=11.0) == [2.0]
    assert catch_up(attempts, {"one": client}, healed=20.0) == [0.0]
    assert (percentile(late, 0.5), percentile([], 0.5)) == (late[1], 0.0)


STREAM = (
    b"retry: 1500\n\nid: a:0\n\n:\n\nid: a:1\ndata: {\"id\":1}\n\n"
    b"event: gap\ndata: {\"group\":\"g\"}\n\ndata: {\"id\":2}\n\n"
)
HEARD = [
    ("retry", 1500), ("cursor", "a:0"), ("message", b'{"id":1}', "a:1"), ("event", "gap", b'{"group":"g"}'),
    ("message", b'{"id":2}', None),
]  # fmt: skip


def hear(pieces):
    heard = []

    def write_down(name):
        return lambda *values: heard.append((name, *values))

    stream = Stream(*(write_down(name) for name in ("message", "event", "cursor", "retry")))
    for piece in pieces:
        stream.feed(piece)
    return heard


def cut(data, rng):
    places = sorted(rng.randrange(len(data)) for _ in range(rng.randrange(12)))
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


def test_a_stream_is_heard_whatever_its_pieces():
    assert hear([STREAM]) == HEARD
    assert hear(bytes([byte]) for byte in STREAM) == HEARD
    rng = random.Random(1)
    for _ in range(200):
        assert hear(cut(STREAM, rng)) == HEARD


def test_chunks_are_taken_out_whatever_the_pieces():
    rng = random.Random(2)
    for _ in range(200):
        chunked = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in cut(STREAM, rng) if part)
        chunks = Chunks()
        assert b"".join(chunks.feed(piece) for piece in cut(chunked, rng)) == STREAM
