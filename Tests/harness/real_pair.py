"""The two servers of two_servers.py as real processes with redis/tocsin.lua: the same events, and the library's replies."""

import contextlib

from .names import Position, group_key
from .redis_server import RedisServer
from .two_servers import Cursor, Pair, continues
from .waiting import wait_until

# A replication stream that only writes extend, so that it can be counted in writes; and a primary that serves a replica
# immediately and without writing to its disk.
QUIET = ("--repl-ping-replica-period", 3600, "--repl-diskless-sync-delay", 0)
NOBODY = ("127.0.0.1", 1)  # an address without a primary
GROUP, ELSEWHERE, BEGINNING = group_key("g"), group_key("elsewhere"), "0.0:0"


class RealPair:
    """play() performs an event of the model and compares; `names` maps the model's epochs and histories to real ones."""

    def __init__(self, stack: contextlib.ExitStack):
        self.servers = [stack.enter_context(RedisServer(args=QUIET)) for _ in range(2)]
        self.clients = [server.client() for server in self.servers]
        self.names: dict[tuple[str, int], str] = {}
        self._link(1)
        self.servers[0].load_library()
        self._caught_up(1)
        self._save(0)
        self._save(1)

    def play(self, name: str, s: int, before: Pair, after: Pair):
        """Performs the event that leads from one state of the model to the other."""
        getattr(self, name)(s, before, after)

    # The events

    def write(self, s, before, after):
        linked = before.servers[1 - s].linked
        self._save(s)
        if linked:
            self._save(1 - s)
        position, _ = self.clients[s].fcall("group_send", 1, GROUP, '{"n":%d}' % after.messages)
        if linked:
            self._caught_up(1 - s)
        [cursor] = after.cursors - before.cursors
        self._same(cursor, position)

    def read(self, s, before, after, verdict):
        """verdict(cursor) → the model's expected result."""
        cursors = sorted(before.cursors)
        since = [BEGINNING, *(self._text(cursor) for cursor in cursors)]
        answers = self.clients[s].fcall_ro("group_read", len(since), *[GROUP] * len(since), 10000, 10**9, *since)
        group = after.servers[s].group
        (_, position, _, entries), *others = answers
        shown = [int(entry[5:-1]) for entry in entries[1::2]]
        assert shown == list(group.messages if group else []), "what a reader from the beginning is shown"
        for cursor, (word, _, proven, _) in zip(cursors, others, strict=True):
            assert (word.decode(), proven) == verdict(cursor), f"{cursor} asks server {s}"
        if group:
            [newest] = {c for c in after.cursors if c.shown == group.messages and self._is(c, position)} or {None}
            assert newest, f"{position} is no position of the model's: {after}"

    def ask(self, s, before, after):
        self.clients[s].fcall_ro("group_read", 1, ELSEWHERE, 1, 1, "")

    def cut(self, s, before, after):
        if before.servers[1 - s].linked:
            self.clients[1 - s].execute_command("REPLICAOF", *NOBODY)
        self.clients[s].execute_command("REPLICAOF", *NOBODY)

    def promote(self, s, before, after):
        self.clients[s].execute_command("REPLICAOF", "NO", "ONE")

    def follow(self, s, before, after):
        partial = self._link(s)
        assert partial == continues(*(before.servers[n] for n in (s, 1 - s))), "a partial resync, or a full one"
        if not partial:
            self._save(s)

    def crash(self, s, before, after):
        server = self.servers[s]
        if before.servers[1 - s].linked:
            self.clients[1 - s].execute_command("REPLICAOF", *NOBODY)
        server.kill()
        server.args = [*map(str, QUIET), *([] if after.servers[s].leads else ["--replicaof", *map(str, NOBODY)])]
        server.start()

    def restart(self, s, before, after):
        self._save(s)
        self.crash(s, before, after)

    def _save(self, s):
        # Refused while a snapshot for the other server is ending.
        wait_until(self.clients[s].save, what="a snapshot")

    # Replication

    def _link(self, s) -> bool:
        """Returns whether it could keep its data."""
        primary = self.clients[1 - s]
        full = primary.info("stats")["sync_full"]
        self.clients[s].execute_command("REPLICAOF", "127.0.0.1", self.servers[1 - s].port)
        self._caught_up(s)
        return primary.info("stats")["sync_full"] == full

    def _caught_up(self, s):
        def is_caught_up():
            replica, primary = (self.clients[n].info("replication") for n in (s, 1 - s))
            return (
                replica["master_link_status"] == "up"
                and replica["master_replid"] == primary["master_replid"]
                and replica["slave_repl_offset"] == primary["master_repl_offset"]
            )

        wait_until(is_caught_up, 20, "a replica that has everything")

    # Names

    def _text(self, cursor: Cursor) -> str:
        return f"{self.names['epoch', cursor.epoch]}.{self.names['history', cursor.history]}:{cursor.offset}"

    def _is(self, cursor: Cursor, text) -> bool:
        """Whether the position is the model's. Names seen for the first time are recorded."""
        position = Position.parse(text)
        names = {("epoch", cursor.epoch): position.epoch, ("history", cursor.history): position.history}
        if position.offset != cursor.offset or any(self.names.get(k, v) != v for k, v in names.items()):
            return False
        taken = {text: key for key, text in self.names.items()}
        if any(taken.get(v, k) != k for k, v in names.items()):
            return False
        self.names |= names
        return True

    def _same(self, cursor: Cursor, text):
        assert self._is(cursor, text), f"{text} where the model has {cursor}; names: {self.names}"
