"""More connections than allowed, and than there is room for: S32, and 20,000 clients at a gateway for 10,000."""

import json

import pytest
from harness.clients import frame
from harness.gateway import Gateway, config
from harness.waiting import wait_until

from .bench import figures
from .bench.bad_client import connect, handshake, read
from .bench.many import open_many, source
from .bench.memory import resident
from .bench.target import PER_ADDRESS, PER_USER

pytestmark = pytest.mark.timeout(300)

TEXT = 1
ADDRESS = "127.0.5.5"


def come_back_later(reply, status):
    assert reply.status == status and int(reply.headers["retry-after"]) > 0, reply.raw
    assert reply.ended and reply.answers == 1


def fill(target, count, *lines, path="/ws/full", **options) -> list:
    """Opens this many connections, all of them accepted."""
    sockets = [connect(target.port, **options) for _ in range(count)]
    for tcp in sockets:
        tcp.sendall(handshake(path, *lines))
    assert {read(tcp).status for tcp in sockets} == {101}
    return sockets


def close(sockets):
    for tcp in sockets:
        tcp.close()


@pytest.mark.quick
def test_s32_the_21st_connection_of_a_user_is_429(target, attack):
    mine = f"Authorization: Bearer {target.token(sub='crowded')}"
    other = f"Authorization: Bearer {target.token(sub='lonely')}"
    inside = fill(target, PER_USER, mine, path="/token")
    before = target.refused("user_full")
    come_back_later(target.handshake("/token", mine), 429)
    assert target.refused("user_full") == before + 1
    assert target.handshake("/token", other).status == 101
    attack({"": mine}, lambda line: come_back_later(target.handshake("/token", line), 429))
    close(inside)
    wait_until(lambda: target.handshake("/token", mine).status == 101, 5, "a place that was left")


@pytest.mark.quick
def test_s32_the_21st_connection_of_a_user_who_says_so_later_is_closed(target):
    """A token in the first command must not bypass the limit."""
    inside = fill(target, PER_USER, f"Authorization: Bearer {target.token(sub='later')}", path="/token")
    with target.socket("/rooms") as late:
        late.send(frame(TEXT, json.dumps({"id": 1, "connect": {"token": target.token(sub="later")}}).encode()))
        assert late.end() == (3504, "connection limit")
    close(inside)


@pytest.mark.quick
def test_s32_the_201st_connection_of_an_address_is_429_whatever_it_says_about_itself(target, attack):
    """Nobody is a trusted proxy here, so claims about forwarded clients are ignored."""
    inside = fill(target, PER_ADDRESS, source=ADDRESS)
    lies = {
        "X-Forwarded-For": "X-Forwarded-For: 203.0.113.5", "Forwarded": "Forwarded: for=203.0.113.5",
        "X-Real-IP": "X-Real-IP: 203.0.113.5", "nothing": "X-Nothing: x",
    }  # fmt: skip
    before = target.refused("address_full")

    def check(line):
        come_back_later(target.ask(handshake("/ws/full", line), source=ADDRESS), 429)

    attack(lies, check)
    assert target.refused("address_full") >= before + len(lies)
    assert target.ask(handshake("/ws/full"), source="127.0.5.6").status == 101
    close(inside)
    wait_until(lambda: target.ask(handshake("/ws/full"), source=ADDRESS).status == 101, 5, "a place that was left")


@pytest.mark.quick
def test_s32_a_proxy_s_greeting_of_somebody_who_is_none_is_400(target):
    greeting = b"PROXY TCP4 203.0.113.5 203.0.113.6 1 2\r\n"
    assert target.ask(greeting + handshake("/ws/a")).status == 400


@pytest.mark.quick
def test_s32_refused_connections_keep_no_place(target):
    """Refused Origins, logins and names, more of them than an address may have connections."""
    refused = (handshake("/ws/a", Origin="http://evil.example"), handshake("/token"), handshake("/ws/%20"))
    for number in range(PER_ADDRESS + 50):
        assert target.ask(refused[number % 3], source="127.0.5.7").status in (400, 403)
    assert target.ask(handshake("/ws/a"), source="127.0.5.7").status == 101


@pytest.mark.quick
def test_twice_as_many_connections_as_there_is_room_for_are_503_and_the_memory_stays(target, scale):
    """10,000 accepted and 10,000 more at full scale; the accepted ones stay, and receive what is sent to them."""
    room = scale.pick(500, 10_000)
    settings = config(gateway={"max_connections": room})
    with Gateway(target.redis.url, "full", settings) as gateway:
        empty = resident(gateway.pid)
        inside = open_many(gateway.port, room)
        assert {reply.status for _, reply in inside} == {101}
        full = resident(gateway.pid)
        peak = full
        turned_away = 0
        while turned_away < room:
            # They are refused immediately, and retry, a batch at a time.
            for tcp, reply in open_many(gateway.port, 500):
                come_back_later(reply, 503)
                tcp.close()
                turned_away += 1
            peak = max(peak, resident(gateway.pid))
        target.store.fcall("group_send", 1, "asgi:group:many", '{"marker":1}')
        for tcp, _ in inside:
            assert tcp.recv(4096).endswith(b'{"marker":1}')
        fact = figures.Count(
            f"{2 * room:,} connections, room for {room:,}", scale.name, refused=turned_away,
            KiB_a_connection=round((full - empty) / room / 1024, 1), grown_by_the_refused_KiB=(peak - full) // 1024,
        )  # fmt: skip
        figures.recorded.append(fact)
        assert gateway.metric("tocsin_handshakes_refused_total", reason="full") == turned_away
        assert peak - full < 4 << 20, fact
        close([tcp for tcp, _ in inside])
        wait_until(lambda: gateway.metric("tocsin_connections") == 0, 20, "everybody has gone")
        assert target.ask(handshake("/ws/many"), port=gateway.port).status == 101
