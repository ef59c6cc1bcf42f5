"""The two logs that the checker compares: what publishers did, what clients saw. Lines of fields separated by tabs.

publishers    began  ended  ID  outcome  detail        one line per attempt
clients       time  CLIENT  kind  fields               one line per event

A message's id names its sender: PUBLISHER/GROUP/NUMBER, numbers 1, 2, 3 … per publisher and group. Times are
CLOCK_MONOTONIC, which all processes of a machine share, so that the two logs can be compared.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

# Outcomes of an attempt.
OK = "ok"  # detail: the position
REJECTED = "rejected"  # answered with an error: certainly not stored
UNKNOWN = "unknown"  # sent, without an answer: may be stored
UNSENT = "unsent"  # no connection: nothing was sent

# Kinds of a client's events.
JOINED = "joined"  # field: its groups, separated by commas; the first line of every client
OPEN = "open"  # a response 200
CURSOR = "cursor"  # field: an id without a message
MESSAGE = "message"  # fields: ID, position
NOTICE = "notice"  # fields: group, reason
CLOSED = "closed"  # field: why
REFUSED = "refused"  # field: status, or the error


class Attempt(NamedTuple):
    began: float
    ended: float
    id: str
    outcome: str
    detail: str


class Event(NamedTuple):
    time: float
    kind: str
    fields: tuple[str, ...]


@dataclass
class ClientLog:
    name: str
    groups: tuple[str, ...] = ()
    events: list[Event] = field(default_factory=list)

    def of(self, kind) -> list[Event]:
        return [event for event in self.events if event.kind == kind]


def parts(id: str) -> tuple[str, str, int]:
    """PUBLISHER/GROUP/NUMBER"""
    publisher, group, number = id.split("/")
    return publisher, group, int(number)


def attempt_line(attempt: Attempt) -> str:
    detail = attempt.detail.replace("\t", " ").replace("\n", " ")
    return f"{attempt.began:.6f}\t{attempt.ended:.6f}\t{attempt.id}\t{attempt.outcome}\t{detail}\n"


def read_attempts(path) -> list[Attempt]:
    attempts = []
    with open(path) as lines:
        for line in lines:
            began, ended, id, outcome, detail = line.rstrip("\n").split("\t")
            attempts.append(Attempt(float(began), float(ended), id, outcome, detail))
    return attempts


def read_clients(*paths) -> dict[str, ClientLog]:
    clients: dict[str, ClientLog] = {}
    for path in paths:
        with open(path) as lines:
            for line in lines:
                time, name, kind, *fields = line.rstrip("\n").split("\t")
                client = clients.get(name)
                if client is None:
                    client = clients[name] = ClientLog(name)
                if kind == JOINED:
                    client.groups = tuple(fields[0].split(","))
                client.events.append(Event(float(time), kind, tuple(fields)))
    return clients
