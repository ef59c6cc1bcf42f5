"""Excessive fragments, pings, messages and names: S21, S22, S24, S31, S45."""

import itertools
import time

import pytest
from harness.clients import frame
from harness.http_client import get

from .bench.bad_client import handshake
from .bench.memory import resident

pytestmark = pytest.mark.timeout(300)

CONTINUATION, TEXT, PING = 0, 1, 9
RATE = 100  # gateway.max_messages_per_second; the burst is twice that
FLOOD = 100_000


def repeated(first: int, payload: bytes, count: int) -> bytes:
    """One frame repeated, with a mask of zeros."""
    return (bytes([first, 0x80 | len(payload)]) + bytes(4) + payload) * count


@pytest.mark.quick
@pytest.mark.parametrize("payload", [b"x", b""], ids=["s21", "s22"])
def test_s21_s22_fragments_without_end_close_with_1009_at_the_65th(payload, target, attack):
    begin, last = frame(TEXT, b"x", fin=False), frame(CONTINUATION, b"x")
    with target.socket("/mirror/bad") as good:
        good.send(begin + repeated(CONTINUATION, payload, 62) + last)
        assert good.frame() == (TEXT, b"x" + payload * 62 + b"x")
    assert target.closed_by(begin + repeated(CONTINUATION, payload, 63) + last)[0] == 1009
    flood = begin + repeated(CONTINUATION, payload, FLOOD)
    before = resident(target.pid)

    def action():
        assert target.closed_by(flood)[0] == 1009

    attack.once(action, per_second=2)
    assert resident(target.pid) - before < 1 << 20


@pytest.mark.quick
@pytest.mark.parametrize("payload", [b"", b"x" * 125], ids=["empty", "full"])
def test_s24_a_flood_of_pings_closes_with_4429(payload, target, attack):
    """Ten thousand at once, by a client that reads no answer: the socket's buffer holds the pongs of the first 200."""
    flood = repeated(0x80 | PING, payload, 10_000)
    before = target.cut("rate")

    def action():
        assert target.closed_by(flood) == (4429, "too many messages")

    attack.once(action, per_second=1)
    assert target.cut("rate") > before


@pytest.mark.quick
def test_s24_somebody_who_pings_and_never_reads_keeps_no_memory(target):
    """As many pings as allowed, long enough to fill the socket many times: the client is either closed or tolerated."""
    before = resident(target.pid)
    with target.socket("/ws/deaf") as deaf:
        for _ in range(20):
            deaf.flood(repeated(0x80 | PING, b"x" * 125, RATE))
        assert deaf.end()[0] == 4429
    assert resident(target.pid) - before < 1 << 20


@pytest.mark.quick
@pytest.mark.parametrize("path", ["/ws/flood", "/echo/flood", "/say/flood"])
def test_s31_a_flood_of_messages_closes_with_4429(path, target, attack):
    """A thousand valid messages at once. The table has a warning first; here the client is closed with an explanation."""
    flood = repeated(0x80 | TEXT, b'{"a":1}', 1000)

    def action():
        assert target.closed_by(flood, path) == (4429, "too many messages")

    attack.once(action, per_second=1)


@pytest.mark.quick
def test_s31_a_flood_of_commands_closes_with_3013(target, attack):
    """With the centrifuge protocol's own code. A batch counts as its commands."""
    connect = b'{"id":1,"connect":{}}'
    batch = b"\n".join(b'{"id":%d,"ping":{}}' % n for n in range(2, 300))

    def action():
        for flood in frame(TEXT, batch), repeated(0x80 | TEXT, b'{"id":2,"ping":{}}', 1000):
            assert target.closed_by(frame(TEXT, connect) + flood, "/open-rooms")[0] == 3013

    attack.once(action, per_second=1)


@pytest.mark.quick
def test_s31_who_keeps_to_the_rate_stays(target):
    with target.socket("/echo/flood") as good:
        for _ in range(4):
            good.send(repeated(0x80 | TEXT, b"x", RATE // 4))
            for _ in range(RATE // 4):
                assert good.frame() == (TEXT, b'"x"')


@pytest.mark.quick
def test_s45_no_name_that_a_client_chooses_becomes_a_label_or_stays_in_memory(target, attack, scale):
    """Paths, groups, Origins, close codes; 100,000 of them at full scale."""
    numbers = itertools.count()

    def action():
        n = next(numbers)
        source = f"127.0.2.{n % 200 + 1}"
        match n % 4:
            case 0:
                target.ask(handshake(f"/nothing/{n}"), source)
            case 1:
                target.ask(handshake("/ws/a", Origin=f"http://{n}.example"), source)
            case 2:
                target.ask(handshake(f"/ws/group-{n}"), source)
            case 3:
                target.ask(handshake(f"/token?token=x{n}", f"Authorization: Bearer {n}.{n}.{n}"), source)

    for _ in range(400):
        action()
    series = set(target.gateway.metrics())
    before = resident(target.pid)
    began = time.monotonic()
    for _ in range(scale.pick(1000, 100_000)):
        action()
    took = time.monotonic() - began
    assert set(target.gateway.metrics()) == series
    assert len(get(target.gateway.admin_port, "/metrics").body) < 16 << 10
    assert resident(target.pid) - before < scale.pick(2 << 20, 8 << 20), f"after {took:.0f} s"
    attack.once(action)
