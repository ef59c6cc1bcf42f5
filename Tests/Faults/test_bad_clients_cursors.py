"""Made-up cursors and positions: S33."""

import json

import pytest
from harness.waiting import wait_until

from .bench.bad_client import MARK, handshake
from .bench.commands import Commands

pytestmark = pytest.mark.quick

POSITION = "5f3a90c1.9c01ab23de"
CURSORS = {
    "garbage": "yesterday at noon",
    "another group's": f"{POSITION}:1",
    "two for one group": f"{POSITION}:1,{POSITION}:2",
    "negative": f"{POSITION}:-1",
    "2^63": f"{POSITION}:9223372036854775808",
    "beyond 64 bits": f"{POSITION}:99999999999999999999",
    "an epoch of 12 KB": "5" * 12_000 + ":1",
    "format characters": "%s%n%x%s%n:1",
    "quotes": "';\"]]--:1",
}


def test_s33_a_made_up_cursor_of_a_stream_is_a_reset_and_nobody_else_s_messages(target, attack):
    real, _ = target.store.fcall("group_send", 1, "asgi:group:private", json.dumps({"secret": MARK}))

    def check(cursor):
        lines = ("Accept: text/event-stream", f"Last-Event-ID: {cursor}")
        with RawEvents(target, "/ws/cursor", *lines) as stream:
            assert json.loads(stream.event("gap")) == {"group": "cursor", "reason": "reset"}
            assert MARK not in stream.text

    attack(CURSORS | {"another group's real one": real.decode().rpartition(":")[0] + ":0"}, check)


class RawEvents:
    """A stream of events, read only up to the expected event."""

    def __init__(self, target, path, *lines):
        self.text = ""
        self._tcp = target.connect()
        self._tcp.sendall(handshake(path, *lines, without=("Upgrade", "Connection", "Cookie")))

    def event(self, name) -> str:
        """The data of the first event of this name."""
        wanted = f"event: {name}\ndata: "
        wait_until(lambda: self._read() and wanted in self.text and self.text.endswith("\n\n"), 10, f"{wanted!r} in {self.text}")
        return self.text.partition(wanted)[2].partition("\n")[0]

    def _read(self):
        self.text += self._tcp.recv(65536).decode()
        return True

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._tcp.close()


def test_s33_a_made_up_position_of_a_subscription_recovers_nothing(target, attack):
    positions = {
        "garbage": ("garbage", 1),
        "another group's": (POSITION, 1),
        "an epoch of 60 KB": ("5" * 60_000, 1),
        "2^64 - 1": (POSITION, 2**64 - 1),
        "beyond 64 bits": (POSITION, 2**70),
        "negative": (POSITION, -1),
        "a text": (POSITION, "1"),
        "format characters": ("%s%n", 1),
    }

    def check(position):
        epoch, offset = position
        with Commands(target) as client:
            wish = {"channel": "room.cursor", "recover": True, "epoch": epoch, "offset": offset}
            found = client.ask({"id": 2, "subscribe": wish})["subscribe"]
            assert not found.get("recovered") and not found.get("publications")

    target.store.fcall("group_send", 1, "asgi:group:room.cursor", '{"n":1}')
    attack(positions, check)
