"""The checker that compares the two logs. Pure: no clock, no sockets, no files.

I1  Every accepted message of a client's groups is shown to it, or covered by a notice that was given after the message
    was sent, and before the client was shown a later message of that group.
I2  Nothing is shown that was never attempted, or was certainly not stored.
I3  No message is shown twice to one client.
I4  One order: the numbers of one publisher rise, and so do the offsets of one history, which all clients share.
I5  Notices are given only where allowed, and to every client where required.

A run whose publishers got less than four fifths of their messages accepted is void: it proves nothing.
"""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from .logs import MESSAGE, NOTICE, OK, OPEN, REJECTED, UNKNOWN, UNSENT, Attempt, ClientLog, parts
from .scale import LEAST_ACCEPTED

EXAMPLES = 5  # reported per kind of violation


@dataclass
class Message:
    """What happened to one message at its publisher, over all attempts."""

    id: str
    publisher: str
    group: str
    number: int
    began: float  # the first attempt
    ended: float  # the last
    outcome: str = UNSENT
    position: str = ""
    attempts: int = 0

    def add(self, attempt: Attempt):
        self.attempts += 1
        self.ended = attempt.ended
        # What may be stored remains so, whatever later attempts return, until one returns a position.
        if attempt.outcome == OK:
            self.outcome, self.position = OK, attempt.detail
        elif self.outcome in (UNSENT, REJECTED) and attempt.outcome != UNSENT:
            self.outcome = attempt.outcome


@dataclass
class Verdict:
    planned: int = 0
    accepted: int = 0
    rejected: int = 0
    unknown: int = 0
    retried: int = 0  # accepted, but not at the first attempt
    clients: int = 0
    due: int = 0  # accepted messages times the clients that should see them
    shown: int = 0
    lost: int = 0  # I1: due, not shown, not reported
    untold: int = 0  # runs of such messages: unreported gaps
    told: int = 0  # due, not shown, covered by a notice
    phantoms: int = 0  # I2
    duplicated: int = 0  # I3
    reordered: int = 0  # I4
    notices: Counter = field(default_factory=Counter)  # by reason
    unwanted: int = 0  # I5: notices for a reason that is not allowed
    unnotified: int = 0  # I5: clients without a required notice
    reconnects: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def void(self) -> bool:
        return self.accepted < LEAST_ACCEPTED * self.planned or self.accepted == 0

    @property
    def passes(self) -> bool:
        return not self.void and not (
            self.lost or self.phantoms or self.duplicated or self.reordered or self.unwanted or self.unnotified
        )

    def __str__(self):
        lines = [
            f"{'VOID: ' if self.void else ''}{self.accepted} of {self.planned} accepted ({self.retried} retried,"
            f" {self.rejected} rejected, {self.unknown} unknown), {self.shown} of {self.due} shown to {self.clients} clients",
            f"lost {self.lost} · untold gaps {self.untold} · duplicated {self.duplicated} · reordered {self.reordered}"
            f" · phantoms {self.phantoms}",
            f"told of {self.told} lost · notices {dict(self.notices) or 'none'} ({self.unwanted} not allowed,"
            f" {self.unnotified} missing) · {self.reconnects} reconnects",
        ]
        return "\n".join(lines + self.examples)


def messages(attempts: Iterable[Attempt]) -> dict[str, Message]:
    """What happened to each message, by id."""
    found: dict[str, Message] = {}
    for attempt in attempts:
        message = found.get(attempt.id)
        if message is None:
            publisher, group, number = parts(attempt.id)
            message = Message(attempt.id, publisher, group, number, attempt.began, attempt.ended)
            found[attempt.id] = message
        message.add(attempt)
    return found


def check(
    attempts: Iterable[Attempt],
    clients: Mapping[str, ClientLog],
    planned: int | None = None,
    allowed: Iterable[str] = (),
    required: Iterable[str] = (),
) -> Verdict:
    """
    planned   how many messages the publishers meant to send; by default as many as they attempted.
    allowed   the reasons of notices that may be given.
    required  the reasons for which every client must have got a notice, for each of its groups.
    """
    sent = messages(attempts)
    verdict = Verdict(planned=len(sent) if planned is None else planned, clients=len(clients))
    for message in sent.values():
        verdict.accepted += message.outcome == OK
        verdict.rejected += message.outcome == REJECTED
        verdict.unknown += message.outcome == UNKNOWN
        verdict.retried += message.outcome == OK and message.attempts > 1
    accepted: dict[str, list[Message]] = defaultdict(list)
    for message in sent.values():
        if message.outcome == OK:
            accepted[message.group].append(message)
    for group in accepted.values():
        # Messages of one publisher are in its order; those of several in the order of their answers, which is only used to
        # define what is "later".
        group.sort(key=lambda message: (message.ended, message.number))
    allowed, required = set(allowed), set(required)
    for client in clients.values():
        _Reader(client, sent, verdict).read(accepted, allowed | required, required)
    return verdict


class _Reader:
    """Reads one client's log."""

    def __init__(self, client: ClientLog, sent: dict[str, Message], verdict: Verdict):
        self.client, self.sent, self.verdict = client, sent, verdict
        # By group, in the order of the log: (index in the log, message) and (index in the log, time).
        self.shown: dict[str, list[tuple[int, Message]]] = {group: [] for group in client.groups}
        self.notices: dict[str, list[tuple[int, float]]] = {group: [] for group in client.groups}
        self.reasons: dict[str, set[str]] = {group: set() for group in client.groups}

    def example(self, text):
        if len(self.verdict.examples) < EXAMPLES:
            self.verdict.examples.append(f"{self.client.name}: {text}")

    def read(self, accepted, allowed, required):
        opened = [event.time for event in self.client.events if event.kind == OPEN]
        self.verdict.reconnects += max(0, len(opened) - 1)
        self._sort(allowed)
        for group in self.client.groups:
            self._order(group)
            if opened:
                self._losses(group, [m for m in accepted.get(group, ()) if m.began >= opened[0]])
            for reason in sorted(required - self.reasons[group]):
                self.verdict.unnotified += 1
                self.example(f"was not told {reason} of {group}")

    def _sort(self, allowed):
        """I2, I3 and the part of I5 that needs only the log's line."""
        seen: set[str] = set()
        for place, event in enumerate(self.client.events):
            if event.kind == MESSAGE:
                id = event.fields[0]
                message = self.sent.get(id)
                self.verdict.shown += 1
                if message is None or message.group not in self.shown or message.outcome in (REJECTED, UNSENT):
                    self.verdict.phantoms += 1
                    self.example(f"was shown {id}, {message.outcome if message else 'which nobody sent'}")
                elif id in seen:
                    self.verdict.duplicated += 1
                    self.example(f"was shown {id} again at {event.time:.3f}")
                else:
                    seen.add(id)
                    self.shown[message.group].append((place, message))
            elif event.kind == NOTICE:
                group, reason = event.fields[0], event.fields[1]
                self.verdict.notices[reason] += 1
                if group in self.notices:
                    self.notices[group].append((place, event.time))
                    self.reasons[group].add(reason)
                if reason not in allowed or group not in self.notices:
                    self.verdict.unwanted += 1
                    self.example(f"was told {reason} of {group} at {event.time:.3f}")

    def _order(self, group):
        """I4."""
        numbers: dict[str, int] = {}
        offsets: dict[str, int] = {}
        for _, message in self.shown[group]:
            history, _, offset = message.position.rpartition(":")
            late = numbers.get(message.publisher, 0) > message.number
            if history:  # an unknown outcome has no position
                late = late or offsets.get(history, 0) > int(offset)
                offsets[history] = int(offset)
            numbers[message.publisher] = message.number
            if late:
                self.verdict.reordered += 1
                self.example(f"was shown {message.id} ({message.position}) after a later one")

    def _losses(self, group, due: list[Message]):
        """I1."""
        self.verdict.due += len(due)
        rank = {message.id: index for index, message in enumerate(due)}
        shown = sorted((rank[message.id], place) for place, message in self.shown[group] if message.id in rank)
        ranks = [index for index, _ in shown]
        notices = self.notices[group]
        uncovered = []
        for index in sorted(set(range(len(due))) - set(ranks)):
            # Indexes in the log of the neighbours that were shown: the notice must be between them.
            before, after = bisect_left(ranks, index) - 1, bisect_right(ranks, index)
            start = shown[before][1] if before >= 0 else -1
            end = shown[after][1] if after < len(shown) else len(self.client.events)
            if any(start < place < end and time >= due[index].began for place, time in notices):
                self.verdict.told += 1
            else:
                uncovered.append(index)
        if uncovered:
            self.verdict.lost += len(uncovered)
            self.verdict.untold += 1 + sum(b != a + 1 for a, b in pairwise(uncovered))
            first, last = due[uncovered[0]], due[uncovered[-1]]
            self.example(
                f"was never shown {len(uncovered)} of {group}, {first.id} ({first.position}, {first.began:.3f})"
                f" to {last.id} ({last.position}, {last.ended:.3f})"
            )
