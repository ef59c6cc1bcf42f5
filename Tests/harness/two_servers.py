"""Two servers that change roles, as a value: Redis' effects on replication ids and data, and what redis/tocsin.lua makes of
them for one group. Other groups matter only by what a call for them leaves in the library's memory: `ask`.

A server replicates the other one without delay or not at all (`linked`): a replica that lags is one that was cut off.
"""

from typing import NamedTuple


class Group(NamedTuple):
    """The contents of the group's keys."""

    epoch: int
    history: int
    lineage: tuple[tuple[int, int], ...]  # history, inherited
    messages: tuple[int, ...]  # offsets are indexes, from 1


class Disk(NamedTuple):
    group: Group | None
    id: int | None  # None: the file does not record the position in a replication stream
    offset: int


class Server(NamedTuple):
    leads: bool
    linked: bool
    id: int  # master_replid
    earlier: tuple[int, int] | None  # master_replid2, and the first offset that is no longer part of it
    offset: int  # of the replication stream, in writes
    backlog: int | None  # the first offset available to a partial resync; None: no backlog, and nothing is counted
    group: Group | None
    known: int | None  # the library's memory; empty after the library is loaded
    disk: Disk
    stray: bool = False  # a replica that was started with such a file and has not found a primary since


class Cursor(NamedTuple):
    """A position that a client holds, and the messages that it was shown up to there."""

    epoch: int
    history: int
    offset: int
    shown: tuple[int, ...]


class Pair(NamedTuple):
    servers: tuple[Server, Server]
    cursors: frozenset[Cursor]
    ids: int
    messages: int


class Rule(NamedTuple):
    """What the library remembers of INFO's reply, and for how long."""

    keeps_of_replicas: bool = False  # also INFO's reply on a replica
    forgets: bool = True  # when all data are reloaded


OURS = Rule()
START = Server(True, False, 1, None, 0, 1, None, None, Disk(None, 1, 0))


def start() -> Pair:
    """The first leads, the second is linked, and nothing has been sent."""
    return Pair((START, START._replace(leads=False, linked=True)), frozenset(), 1, 0)


# The library


def asked(server: Server, rule: Rule) -> Server:
    """The server has called INFO."""
    return server._replace(known=server.id) if server.leads or rule.keeps_of_replicas else server


def stand(server: Server, rule: Rule) -> tuple[Server, int, tuple[tuple[int, int], ...]]:
    """read_position: the history under which the group continues, and the lineage that results."""
    group = server.group
    if group and group.history == server.known:
        return server, group.history, group.lineage
    server, history = asked(server, rule), server.id
    if group is None:
        return server, history, ((history, 0),)
    if history == group.history:
        return server, history, group.lineage
    return server, history, (*group.lineage, (history, len(group.messages)))


def verdict(server: Server, rule: Rule, cursor: Cursor) -> tuple[str, int]:
    """group_read: the verdict, and up to which offset the shown messages are still valid."""
    group = server.group
    if group is None or cursor.epoch != group.epoch:
        return "reset", 0
    _, history, lineage = stand(server, rule)
    offset = len(group.messages)
    if cursor.history == history:
        return ("resumed", cursor.offset) if cursor.offset <= offset else ("rolled_back", offset)
    places = [place for place, (name, _) in enumerate(lineage) if name == cursor.history]
    if not places or places[0] + 1 == len(lineage):
        return "rolled_back", offset
    inherited = lineage[places[0] + 1][1]
    return ("rolled_back", inherited) if cursor.offset > inherited else ("history_changed", cursor.offset)


# Events; None: the event is impossible now


def write(pair, s, rule):
    """group_send, and the message is shown to a client."""
    one, other = pair.servers[s], pair.servers[1 - s]
    if not one.leads:
        return None
    message = pair.messages + 1
    after, history, lineage = stand(one, rule)
    epoch, before = (one.group.epoch, one.group.messages) if one.group else (message, ())
    group = Group(epoch, history, lineage, (*before, message))
    after = after._replace(group=group, offset=one.offset + (one.backlog is not None), disk=on_disk(one))
    if other.linked:
        other = other._replace(group=group, offset=after.offset, disk=on_disk(other))
    cursor = Cursor(epoch, history, len(group.messages), group.messages)
    return changed(pair, s, after, other)._replace(cursors=pair.cursors | {cursor}, messages=message)


def read(pair, s, rule):
    """group_read from the beginning: a client is shown the whole log, under the history returned."""
    one, history, _ = stand(pair.servers[s], rule)
    group = one.group
    cursors = pair.cursors
    if group:
        shown = (group.messages[:offset] for offset in range(1, len(group.messages) + 1))
        cursors |= {Cursor(group.epoch, history, len(messages), messages) for messages in shown}
    return changed(pair, s, one)._replace(cursors=cursors)


def ask(pair, s, rule):
    """A call for a group about which the library remembers nothing valid."""
    return changed(pair, s, asked(pair.servers[s], rule))


def cut(pair, s, rule):
    """REPLICAOF an unused address: a primary becomes a replica, a replica loses its primary."""
    one = pair.servers[s]
    if not one.leads and not one.linked:
        return None
    return changed(pair, s, one._replace(leads=False, linked=False), pair.servers[1 - s]._replace(linked=False))


def promote(pair, s, rule):
    """REPLICAOF NO ONE"""
    one = pair.servers[s]
    if one.leads:
        return None
    id = pair.ids + 1
    one = one._replace(leads=True, linked=False, id=id, earlier=(one.id, one.offset + 1), stray=False)
    return changed(pair, s, one)._replace(ids=id)


def continues(one: Server, primary: Server) -> bool:
    """PSYNC: whether the primary has everything that `one` has, and has kept everything since."""
    if primary.backlog is None:
        return False
    next = one.offset + 1
    known = primary.id == one.id or (
        primary.earlier is not None and primary.earlier[0] == one.id and next <= primary.earlier[1]
    )
    return known and primary.backlog <= next <= primary.offset + 1


def follow(pair, s, rule):
    """REPLICAOF the other one: a partial resync, or a full one, which also transfers the library."""
    one, primary = pair.servers[s], pair.servers[1 - s]
    if one.linked or not primary.leads:
        return None
    ids = pair.ids
    if continues(one, primary):
        if one.id != primary.id:
            one = one._replace(id=primary.id, earlier=(one.id, one.offset + 1))
        if one.backlog is None:
            one = one._replace(backlog=one.offset + 1)
    else:
        if primary.backlog is None:
            ids += 1
            primary = primary._replace(id=ids, earlier=None, backlog=primary.offset + 1)
        known = None if rule.forgets else one.known
        one = one._replace(id=primary.id, earlier=None, backlog=primary.offset + 1, known=known, disk=on_disk(primary))
    one = one._replace(leads=False, linked=True, group=primary.group, offset=primary.offset, stray=False)
    return changed(pair, s, one, primary)._replace(ids=ids)


def crash(pair, s, rule):
    """Killed and restarted in the same role with the data on its disk: all but the last write, or less."""
    one, other = pair.servers[s], pair.servers[1 - s]
    disk, ids = one.disk, pair.ids
    after = one._replace(linked=False, earlier=None, backlog=None, group=disk.group, known=None, stray=False)
    if one.leads:
        ids += 1
        after = after._replace(id=ids, offset=0)
        if disk.id is not None:
            after = after._replace(offset=disk.offset, earlier=(disk.id, disk.offset + 1), backlog=disk.offset + 1)
    elif disk.id is None:
        ids += 1
        after = after._replace(id=ids, offset=0, stray=True)
    else:
        after = after._replace(id=disk.id, offset=disk.offset)
    return changed(pair, s, after, other._replace(linked=False))._replace(ids=ids)


def restart(pair, s, rule):
    """The same without any loss."""
    one = pair.servers[s]
    return crash(changed(pair, s, one._replace(disk=on_disk(one))), s, rule)


EVENTS = {event.__name__: event for event in (write, read, ask, cut, promote, follow, crash, restart)}


def on_disk(server: Server) -> Disk:
    knows_its_stream = server.backlog is not None if server.leads else not server.stray
    return Disk(server.group, server.id if knows_its_stream else None, server.offset)


def changed(pair: Pair, s: int, one: Server, other: Server | None = None) -> Pair:
    other = other or pair.servers[1 - s]
    return pair._replace(servers=(one, other) if s == 0 else (other, one))


# Invariants


def wrong(pair: Pair, rule: Rule) -> str | None:
    """What is wrong: two messages under one position, or a client that is not told that what it saw was lost."""
    shown: dict[tuple[int, int, int], tuple[int, ...]] = {}
    for cursor in pair.cursors:
        if shown.setdefault(cursor[:3], cursor.shown) != cursor.shown:
            return f"two different messages under one position: {cursor} and {shown[cursor[:3]]}"
        for server in pair.servers:
            word, proven = verdict(server, rule, cursor)
            if word in ("resumed", "history_changed") and server.group.messages[:proven] != cursor.shown:
                return f"told {word!r} and saw what is lost: {cursor}, {server}"
    return None


def explore(depth: int, rule: Rule = OURS) -> tuple[list[str] | None, int]:
    """The shortest way from a first message to something wrong, or None if no sequence of that many events leads there; and
    the number of states seen."""
    first = write(start(), 0, rule)
    seen = {first}
    ways: list[tuple[Pair, tuple[str, ...]]] = [(first, ())]
    for _ in range(depth):
        further = []
        for pair, way in ways:
            for name, event in EVENTS.items():
                for s in (0, 1):
                    after = event(pair, s, rule)
                    if after is None or after in seen:
                        continue
                    seen.add(after)
                    way_there = (*way, f"{name} {'AB'[s]}")
                    if fault := wrong(after, rule):
                        return [*way_there, fault], len(seen)
                    further.append((after, way_there))
        ways = further
    return None, len(seen)
