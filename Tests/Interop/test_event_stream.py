"""Server-sent events on the wire: headers, cursors, resumption, and the notices when resuming is impossible."""

import contextlib
import json
import os
import signal
import threading
import time
import urllib.parse
from pathlib import Path

import pytest
from harness.event_stream import EventStreams
from harness.free_port import free_port
from harness.gateway import ORIGIN, Gateway, config
from harness.haproxy import HAProxy
from harness.http_client import get, request
from harness.names import Position, own
from harness.nginx import Nginx
from harness.redis_server import RedisServer
from harness.waiting import wait_until

MARKER = '{"marker":1}'
COMMENT_SECONDS = 15


def settings(**gateway):
    return config(
        gateway={"drain_seconds": 2, **gateway},
        routes=[*config()["routes"], {"path": "/pair/{a}/{b}", "groups": ["{a}", "{b}"]}],
        groups=[{"match": "large.*", "history": {"size": 100_000}}],
    )


@pytest.fixture(scope="module")
def gateways(redis_server):
    with Gateway(redis_server.url, "one", settings()) as one, Gateway(redis_server.url, "two", settings()) as two:
        yield one, two


@pytest.fixture
def streams():
    with EventStreams() as streams:
        yield streams


@pytest.fixture
def send(redis):
    """Returns send(group, json or number, *options), which returns the message's position."""

    def send(group, message, *options):
        text = message if isinstance(message, str) else f'{{"n":{message}}}'
        return redis.fcall("group_send", 1, f"asgi:group:{group}", text, *options)[0].decode()

    return send


def numbers(events):
    return [json.loads(event.data)["n"] for event in events]


def resume(streams, server, path, cursor, **options):
    return streams.open(server, path, last_event_id=cursor, **options)


def gaps(events):
    return [json.loads(event.data) for event in events if event.name == "gap"]


# The response ---------------------------------------------------------------------------------------------------------


def test_headers_keep_caches_and_proxies_from_holding_events_back(gateways, streams):
    stream = streams.open(gateways[0], "/ws/headers")
    assert stream.status == 200
    assert stream.headers["Content-Type"].split(";")[0] == "text/event-stream"
    assert {"no-cache", "no-transform"} <= set(stream.headers["Cache-Control"].split(", "))
    assert stream.headers["X-Accel-Buffering"] == "no"
    assert stream.headers["Content-Length"] is None


def test_an_allowed_origin_may_read_with_its_cookies(gateways, streams):
    headers = streams.open(gateways[0], "/ws/headers", origin=ORIGIN).headers
    assert headers["Access-Control-Allow-Origin"] == ORIGIN
    assert headers["Access-Control-Allow-Credentials"] == "true"
    assert headers["Vary"] == "Origin"


def test_another_origin_is_refused(gateways, streams):
    stream = streams.open(gateways[0], "/ws/headers", origin="http://elsewhere.example")
    assert stream.status == 403
    assert stream.headers["Access-Control-Allow-Origin"] is None


def test_no_origin_is_let_in_and_told_of_none(gateways, streams):
    stream = streams.open(gateways[0], "/ws/headers", origin=None)
    assert stream.status == 200
    assert stream.headers["Access-Control-Allow-Origin"] is None


@pytest.mark.parametrize(
    ("accept", "status"),
    [("text/event-stream", 200), ("text/html, TEXT/Event-Stream;q=0.9", 200), ("*/*", 426), ("text/html", 426)],
)
def test_only_who_accepts_events_is_given_events(gateways, streams, accept, status):
    assert streams.open(gateways[0], "/ws/headers", headers={"Accept": accept}).status == status


H2C = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAAQAoAAAAAIAAAAA"}


@pytest.mark.parametrize("proxy", [None, HAProxy, Nginx], ids=["direct", "haproxy", "nginx"])
def test_a_client_that_offers_http_2_is_given_events(gateways, streams, send, proxy):
    """Java's client offers it by default, and `curl --http2` does too."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(proxy([gateways[0]])) if proxy else gateways[0]
        stream = streams.open(server, "/ws/h2c", headers=H2C)
        assert stream.status == 200
        send("h2c", 1)
        assert numbers(stream.wait(1)) == [1]
        stream.close()


def test_a_preflight_is_answered_for_an_allowed_origin_and_before_any_login(gateways):
    def ask(path, origin):
        asked = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
        return request(gateways[0].port, "OPTIONS", path, headers={"Origin": origin, **asked})

    for path in "/ws/a", "/mine":
        answer = ask(path, ORIGIN)
        assert (answer.status, answer.body) == (204, b"")
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert "authorization" in answer.headers["Access-Control-Allow-Headers"].split(", ")
        assert "x-remote-user" not in answer.headers["Access-Control-Allow-Headers"]
    refused = ask("/ws/a", "http://elsewhere.example")
    assert refused.status == 403 and refused.headers["Access-Control-Allow-Origin"] is None


def test_the_route_s_login_holds_for_streams(gateways, streams, send):
    assert streams.open(gateways[0], "/mine").status == 403
    stream = streams.open(gateways[0], "/mine", headers={"X-Remote-User": "42"})
    send("42.inbox", 1)
    assert numbers(stream.wait(1)) == [1]


def test_it_begins_with_a_delay_for_reconnects_and_a_cursor_that_is_no_event(gateways, streams, send):
    before = send("begin", 1)
    stream = streams.open(gateways[0], "/ws/begin")
    retry, cursor = stream.blocks[:2]
    assert retry == [f"retry: {stream.retry}"]
    assert 1000 <= stream.retry <= 3000
    assert cursor == [f"id: {before}"]
    assert stream.events == []


# Messages -------------------------------------------------------------------------------------------------------------


def test_a_message_is_an_event_with_its_position_as_id(gateways, streams, send):
    stream = streams.open(gateways[0], "/ws/ids")
    positions = [send("ids", n) for n in range(3)]
    assert [(event.name, event.data, event.id) for event in stream.wait(3)] == [
        ("message", f'{{"n":{n}}}', position) for n, position in enumerate(positions)
    ]


def test_a_bare_publish_has_no_id(gateways, streams, send, redis):
    stream = streams.open(gateways[0], "/ws/bare")
    position = send("bare", 1)
    redis.publish("asgi__group__bare", '{"n":2}')
    first, second = stream.wait(2)
    assert (first.id, second.id) == (position, position)
    assert stream.blocks[-1] == ['data: {"n":2}']


@pytest.mark.parametrize("bare", [False, True], ids=["group_send", "PUBLISH"])
def test_json_of_many_lines_is_one_data_line(gateways, streams, send, redis, bare):
    stream = streams.open(gateways[0], "/ws/lines")
    text = '{\n  "a":\r\n\t[1,\n 2],\r "b": "one\\ntwo\\r\\nthree", "c": "\u2028 \x7f ü"\n}'
    if bare:
        redis.publish("asgi__group__lines", text)
    else:
        send("lines", text)
    (event,) = stream.wait(1)
    assert json.loads(event.data) == json.loads(text)
    assert [line for line in stream.blocks[-1] if line.startswith("data")] == [f"data: {event.data}"]


def test_a_comment_comes_every_15_seconds(gateways, streams):
    stream = streams.open(gateways[0], "/ws/silence")
    began = time.monotonic()
    stream.wait_for(lambda: stream.comments, COMMENT_SECONDS + 3)
    # The deadlines' clock has a resolution of one second.
    assert COMMENT_SECONDS - 2 < stream.comments[0] - began < COMMENT_SECONDS + 2
    assert stream.events == []


# Resumption -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["Last-Event-ID", "?since", "?lastEventId", "?Last-Event-ID"])
def test_resuming_elsewhere_gives_what_was_missed_once_and_in_order(gateways, streams, send, way):
    group = f"large.resume-{way.replace('?', '')}-{way.startswith('?')}"
    first = streams.open(gateways[0], f"/ws/{group}")
    for n in range(3):
        send(group, n)
    cursor = first.wait(3)[-1].id
    first.close()
    # More than one page of the log.
    missed = [send(group, n) for n in range(3, 253)]
    if way.startswith("?"):
        second = streams.open(gateways[1], f"/ws/{group}{way}={urllib.parse.quote(cursor, safe='')}")
    else:
        second = resume(streams, gateways[1], f"/ws/{group}", cursor)
    send(group, MARKER)
    events = second.until("marker")
    assert numbers(events) == list(range(3, 253))
    assert [event.id for event in events] == missed
    assert second.blocks[1] == [f"id: {cursor}"], "until the first message the client is where it was"


def test_a_browser_s_own_cursor_is_newer_than_the_page_s(gateways, streams, send):
    old, new = send("both", 1), send("both", 2)
    send("both", 3)
    stream = resume(streams, gateways[0], f"/ws/both?since={old}", new)
    assert numbers(stream.wait(1)) == [3]
    # The id that a client appends when it reconnects is also newer than the page's.
    for query in f"since={old}&lastEventId={new}", f"lastEventId={old}&lastEventId={new}":
        assert numbers(streams.open(gateways[0], f"/ws/both?{query}").wait(1)) == [3]


def test_who_was_never_sent_anything_resumes_from_its_first_cursor(gateways, streams, send):
    first = streams.open(gateways[0], "/ws/quiet")
    first.close()
    send("quiet", 1)
    second = resume(streams, gateways[1], "/ws/quiet", first.last_event_id)
    assert numbers(second.wait(1)) == [1]


@pytest.mark.parametrize("seen", [1, 2, 3, 4])
def test_one_cursor_covers_all_groups_of_a_route(gateways, streams, send, seen):
    left, right = f"left-{seen}", f"right-{seen}"
    first = streams.open(gateways[0], f"/pair/{left}/{right}")
    for n in range(4):
        send([left, right][n % 2], n)
    # Two pub/sub channels: the order within each group is guaranteed, the order between groups is not.
    events = first.wait(4)
    assert [n for n in numbers(events) if n % 2 == 0] == [0, 2]
    assert [n for n in numbers(events) if n % 2 == 1] == [1, 3]
    assert len({event.id for event in events}) == 4
    assert all(len([Position.parse(part) for part in event.id.split(",")]) == 2 for event in events)
    # Wherever a client left off, it gets the rest of both groups.
    second = resume(streams, gateways[1], f"/pair/{left}/{right}", events[seen - 1].id)
    send(left, 4)
    send(right, 5)
    rest = second.wait(6 - seen)
    assert sorted(numbers(rest)) == sorted([*numbers(events[seen:]), 4, 5])
    assert [n for n in numbers(rest) if n % 2 == 0][-1] == 4
    assert [n for n in numbers(rest) if n % 2 == 1][-1] == 5
    # In either order, the last cursor covers both groups.
    third = resume(streams, gateways[0], f"/pair/{left}/{right}", rest[-1].id)
    send(left, 6)
    assert numbers(third.wait(1)) == [6]


def test_a_group_that_was_silent_keeps_its_place_in_the_cursor(gateways, streams, send):
    first = streams.open(gateways[0], "/pair/talks/listens")
    send("talks", 1)
    cursor = first.wait(1)[0].id
    first.close()
    send("listens", 2)
    send("talks", 3)
    second = resume(streams, gateways[1], "/pair/talks/listens", cursor)
    assert sorted(numbers(second.wait(2))) == [2, 3]


# What cannot be resumed -----------------------------------------------------------------------------------------------

UNREADABLE = {
    "words": "yesterday at noon",
    "two positions for one group": "5f3a90c1.9c01ab23de:1,5f3a90c1.9c01ab23de:2",
    "no offset": "5f3a90c1.9c01ab23de:",
    "a negative offset": "5f3a90c1.9c01ab23de:-1",
    "an offset beyond 64 bits": "5f3a90c1.9c01ab23de:18446744073709551616",
    "capital letters": "5F3A90C1.9C01AB23DE:1",
    "very long": "5" * 4000,
    "a comma": ",",
    "Latin-1": "\xfc",
}


@pytest.mark.parametrize("cursor", UNREADABLE.values(), ids=UNREADABLE)
def test_an_unreadable_cursor_is_a_gap_and_then_only_what_is_new(gateways, streams, send, cursor):
    send("garbage", 0)
    stream = resume(streams, gateways[0], "/ws/garbage", cursor)
    send("garbage", 1)
    send("garbage", MARKER)
    gap, *events = stream.until("marker")
    assert gap.name == "gap"
    assert json.loads(gap.data) == {"group": "garbage", "reason": "reset"}
    assert numbers(events) == [1]


@pytest.mark.parametrize("query", ["since=%zz", "lastEventId=%ff", "since=yesterday", "Last-Event-ID=%"])
def test_an_unreadable_cursor_in_the_address_is_a_gap_too(gateways, streams, query):
    assert gaps(streams.open(gateways[0], f"/ws/garbled?{query}").wait(1)) == [{"group": "garbled", "reason": "reset"}]


def test_an_unreadable_cursor_is_a_gap_for_each_group(gateways, streams):
    stream = resume(streams, gateways[0], "/pair/first/second", "?")
    assert gaps(stream.wait(2)) == [{"group": group, "reason": "reset"} for group in ("first", "second")]


def test_a_cursor_of_another_epoch_is_a_gap_and_then_the_whole_log(gateways, streams, send):
    positions = [send("epoch", n) for n in range(3)]
    other = Position.parse(positions[2])._replace(epoch="00000000")
    stream = resume(streams, gateways[0], "/ws/epoch", str(other))
    send("epoch", MARKER)
    gap, *events = stream.until("marker")
    assert (gap.name, json.loads(gap.data)) == ("gap", {"group": "epoch", "reason": "reset"})
    assert numbers(events) == [0, 1, 2]
    assert [event.id for event in events] == positions


def test_who_has_seen_more_than_redis_knows_is_told_so(gateways, streams, send):
    position = Position.parse(send("ahead", 1))
    stream = resume(streams, gateways[0], "/ws/ahead", str(position._replace(offset=position.offset + 5)))
    send("ahead", 2)
    gap, event = stream.wait(2)
    assert (gap.name, json.loads(gap.data)) == ("gap", {"group": "ahead", "reason": "rolled_back"})
    assert numbers([event]) == [2]


def test_a_trimmed_log_is_a_gap_and_then_what_is_left(gateways, streams, send, redis):
    cursor = send("trimmed", 0)
    for n in range(1, 11):
        send("trimmed", n)
    redis.xtrim(own("log:trimmed"), maxlen=3, approximate=False)
    stream = resume(streams, gateways[0], "/ws/trimmed", cursor)
    send("trimmed", MARKER)
    gap, *events = stream.until("marker")
    assert (gap.name, json.loads(gap.data)) == ("gap", {"group": "trimmed", "reason": "gap"})
    assert numbers(events) == [8, 9, 10]


def test_only_the_group_that_cannot_be_resumed_has_a_gap(gateways, streams, send, redis):
    first = streams.open(gateways[0], "/pair/whole/holed")
    first.close()
    for n in range(5):
        send("whole", n)
        send("holed", 10 + n)
    redis.xtrim(own("log:holed"), maxlen=2, approximate=False)
    stream = resume(streams, gateways[1], "/pair/whole/holed", first.last_event_id)
    events = stream.wait(8)
    assert gaps(events) == [{"group": "holed", "reason": "gap"}]
    told = numbers(event for event in events if event.name == "message")
    assert [n for n in told if n < 10] == [0, 1, 2, 3, 4]
    assert [n for n in told if n >= 10] == [13, 14]
    assert next(e for e in events if e.name == "gap" or "1" in e.data and json.loads(e.data)["n"] >= 10).name == "gap"


def test_an_expired_message_is_never_replayed(gateways, streams, send, redis):
    cursor = send("expires", 0)
    send("expires", 1, "TTL", "1")
    send("expires", 2)
    send("expires", 3, "TTL", "1")
    sent_at = redis.time()[0]
    wait_until(lambda: redis.time()[0] > sent_at + 1, 5, "Redis' clock has passed the expiry")
    stream = resume(streams, gateways[0], "/ws/expires", cursor)
    send("expires", MARKER)
    events = stream.until("marker")
    assert numbers(events) == [2]
    assert gaps(events) == []


# A slow reader --------------------------------------------------------------------------------------------------------


def resident_bytes(process):
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_who_stops_to_read_gets_everything_afterwards_and_costs_no_memory(gateways, streams, send, redis):
    count, padding = 2000, "x" * 10_000
    slow = streams.open(gateways[0], "/ws/large.slow", receive_buffer=65536)
    fast = streams.open(gateways[0], "/ws/large.slow")
    before = resident_bytes(gateways[0])
    behind = gateways[0].metric("tocsin_sessions_behind_total")
    slow.pause()
    pipeline = redis.pipeline(transaction=False)
    for n in range(count):
        # Every tenth message has expired when the slow reader reaches it.
        options = ["TTL", "1"] if n % 10 == 9 else []
        pipeline.fcall("group_send", 1, "asgi:group:large.slow", f'{{"n":{n},"padding":"{padding}"}}', *options)
        if n % 100 == 99:
            pipeline.execute()
    send("large.slow", MARKER)
    assert numbers(fast.until("marker", 30)) == list(range(count))
    assert gateways[0].metric("tocsin_sessions_behind_total") > behind
    assert len(slow.events) < count / 2
    assert resident_bytes(gateways[0]) - before < 16 << 20, "20 MB were sent"
    ended_at = redis.time()[0]
    wait_until(lambda: redis.time()[0] > ended_at + 1, 5, "Redis' clock has passed the expiry")
    slow.resume()
    seen = numbers(slow.until("marker", 30))
    # Messages already in transit when it stopped reading had not expired.
    early = [n for n in seen if n % 10 == 9]
    assert seen == [n for n in range(count) if n % 10 != 9 or n in early]
    assert len(early) < count / 20
    assert gaps(slow.events) == []
    # It has caught up again.
    send("large.slow", 1)
    assert numbers(slow.wait(len(seen) + 2)[-1:]) == [1]


# Redis ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def alone():
    """A separate Redis, which a test may stop or empty, and a gateway. Its port stays reserved while it is down."""
    server = RedisServer(aof=True)
    server.port = free_port()
    with server, Gateway(server.url, "alone", settings()) as gateway:
        yield server, gateway


def group_send(server, group, text):
    return server.client().fcall("group_send", 1, f"asgi:group:{group}", text)[0].decode()


def test_while_redis_is_away_newcomers_are_told_to_come_back_and_nobody_is_cut(alone, streams):
    server, gateway = alone
    stream = streams.open(gateway, "/ws/away")
    group_send(server, "away", '{"n":1}')
    server.kill()
    wait_until(lambda: gateway.readyz() == 503, 10, "the gateway has noticed")
    refused = streams.open(gateway, "/ws/away")
    assert refused.status == 503
    assert int(refused.headers["Retry-After"]) > 0
    server.start()
    wait_until(lambda: gateway.readyz() == 200, 10, "the gateway is back")
    last = group_send(server, "away", '{"n":2}')
    assert numbers(stream.wait(2)) == [1, 2]
    assert stream.events[1].id == last
    assert stream.open
    # The restarted server continues the same log: an earlier cursor is still valid.
    late = resume(streams, gateway, "/ws/away", stream.events[0].id)
    assert numbers(late.wait(1)) == [2]
    assert gaps(late.events) == []


def test_newcomers_after_a_restart_of_redis_do_not_make_the_gateway_read_for_ever(alone, streams):
    server, gateway = alone
    streams.open(gateway, "/ws/restarted").close()
    old = streams.open(gateway, "/ws/restarted")
    group_send(server, "restarted", '{"n":1}')
    old.wait(1)
    server.kill()
    wait_until(lambda: gateway.readyz() == 503, 10, "the gateway has noticed")
    server.start()
    wait_until(lambda: gateway.readyz() == 200, 10, "the gateway is back")
    client = server.client()
    newcomers = [streams.open(gateway, "/ws/restarted") for _ in range(4)]  # on every event loop, most likely
    client.config_resetstat()
    # One round trip through the gateway per newcomer: if any stream kept reading, there would be thousands of calls.
    for _ in range(20):
        streams.open(gateway, "/ws/other").close()
    assert client.info("commandstats").get("cmdstat_fcall_ro", {"calls": 0})["calls"] < 20
    group_send(server, "restarted", '{"n":2}')
    assert [numbers(stream.wait(1)) for stream in newcomers] == [[2]] * 4
    assert numbers(old.wait(2)) == [1, 2]


def test_flushall_is_told_to_who_is_connected_and_later_messages_come(alone, streams):
    server, gateway = alone
    quiet, loud = streams.open(gateway, "/ws/quiet"), streams.open(gateway, "/ws/loud")
    for group in ("quiet", "loud"):
        group_send(server, group, '{"n":1}')
    for stream in (quiet, loud):
        stream.wait(1)
    client = server.client()
    policy = client.get(own("policy"))
    client.flushall()
    # A group with traffic is notified before the next message; a group without, at the next renewal of the lease.
    group_send(server, "loud", '{"n":2}')
    for stream in (loud, quiet):
        _, gap = stream.wait(2)
        assert gap.name == "gap"
        assert json.loads(gap.data)["reason"] == "reset"
    group_send(server, "quiet", '{"n":2}')
    for group, stream in (("loud", loud), ("quiet", quiet)):
        event = stream.wait(3)[2]
        assert numbers([event]) == [2]
        # And the new cursor works.
        group_send(server, group, '{"n":3}')
        assert numbers(resume(streams, gateway, f"/ws/{group}", event.id).wait(1)) == [3]
        assert numbers(stream.wait(4)[3:]) == [3]
    assert [len(gaps(stream.events)) for stream in (loud, quiet)] == [1, 1]
    assert client.get(own("policy")) == policy


# Leaving a gateway ----------------------------------------------------------------------------------------------------


def test_drain_tells_each_its_own_delay_and_ends(redis_server, streams, send):
    with Gateway(redis_server.url, "leaving", settings(drain_seconds=3)) as leaving:
        clients = [streams.open(leaving, "/ws/drained") for _ in range(12)]
        began = [client.retry for client in clients]
        leaving.signal(signal.SIGTERM)
        wait_until(lambda: leaving.readyz() == 503, 5, "readiness gone")
        send("drained", 1)
        for client in clients:
            client.wait_ended()
        assert leaving.wait() == 0
    assert [numbers(client.events) for client in clients] == [[1]] * 12
    assert all(client.blocks[-1] == [f"retry: {client.retry}"] for client in clients)
    assert all(0 <= client.retry <= 5000 for client in clients)
    assert [client.retry for client in clients] != began
    assert len({client.retry for client in clients}) > 3
    ended = sorted(client.ended_at for client in clients)
    assert ended[-1] - ended[0] > 0.5, "not all at once"


def test_a_draining_gateway_sends_newcomers_elsewhere(redis_server, streams):
    with Gateway(redis_server.url, "leaving", settings(drain_seconds=5)) as leaving:
        streams.open(leaving, "/ws/drained")  # a client to wait for
        leaving.signal(signal.SIGTERM)
        wait_until(lambda: leaving.readyz() == 503, 5, "readiness gone")
        refused = streams.open(leaving, "/ws/drained")
        assert refused.status == 503
        assert int(refused.headers["Retry-After"]) > 0


def test_nothing_is_missing_after_a_gateway_was_killed(redis_server, gateways, streams):
    total, stop_at = 400, 150
    with Gateway(redis_server.url, "dies", settings()) as dies:
        before = streams.open(dies, "/ws/killed")

        def publish():
            client = redis_server.client()
            for n in range(total):
                client.fcall("group_send", 1, "asgi:group:killed", f'{{"n":{n}}}')
                time.sleep(0.001)  # a steady stream of messages, not one burst before the kill

        publisher = threading.Thread(target=publish)
        publisher.start()
        before.wait(stop_at)
        dies.kill()
        before.wait_ended()
        after = resume(streams, gateways[1], "/ws/killed", before.last_event_id)
        publisher.join()
    after.wait_for(lambda: after.data and numbers(after.events)[-1] == total - 1)
    assert stop_at <= len(before.events) < total
    assert numbers(before.events + after.events) == list(range(total))


# Through proxies ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [HAProxy, Nginx])
def test_a_proxy_holds_nothing_back(gateways, streams, send, kind):
    with kind(gateways) as proxy:
        stream = streams.open(proxy, "/ws/proxied")
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        # No later event flushes the proxy's buffer, and the next comment would come too late.
        for n in range(10):
            send("proxied", n)
            assert numbers(stream.wait(n + 1, timeout=10)) == list(range(n + 1))
        cursor = stream.last_event_id
        stream.close()
        send("proxied", 10)
        # The proxy passes the cursor on, in either place, to any gateway.
        assert numbers(resume(streams, proxy, "/ws/proxied", cursor).wait(1)) == [10]
        assert numbers(streams.open(proxy, f"/ws/proxied?since={cursor}").wait(1)) == [10]


def test_a_proxy_sees_the_end_of_a_killed_gateway_and_resumes_at_another(redis_server, streams, send):
    with (
        Gateway(redis_server.url, "left", settings()) as left,
        Gateway(redis_server.url, "right", settings()) as right,
        HAProxy([left, right]) as proxy,
    ):
        stream = streams.open(proxy, "/ws/behind")
        send("behind", 1)
        cursor = stream.wait(1)[0].id
        holder = next(g for g in (left, right) if g.metric("tocsin_connections") == 1)
        holder.kill()
        stream.wait_ended()
        send("behind", 2)
        # Immediately: HAProxy may not have noticed yet and then tries the other gateway by itself.
        assert numbers(resume(streams, proxy, "/ws/behind", cursor).wait(1)) == [2]


def test_haproxy_sends_newcomers_to_another_gateway_before_it_knows_that_one_leaves(redis_server, streams):
    # A browser's EventSource gives up permanently on a 503.
    with (
        Gateway(redis_server.url, "left", settings(drain_seconds=10)) as left,
        Gateway(redis_server.url, "right", settings()) as right,
        HAProxy([left, right]) as proxy,
    ):
        stay = streams.open(left, "/ws/newcomers")
        left.signal(signal.SIGTERM)
        wait_until(lambda: left.readyz() == 503, 5, "readiness gone")
        newcomers = [streams.open(proxy, "/ws/newcomers") for _ in range(8)]
        assert [stream.status for stream in newcomers] == [200] * 8
        assert right.metric("tocsin_connections") == 8
        stay.wait_ended(15)


def test_the_handshake_s_answer_is_one_for_both_kinds_of_clients(gateways):
    answer = get(gateways[0].port, "/nowhere", headers={"Accept": "text/event-stream"})
    assert answer.status == 404
