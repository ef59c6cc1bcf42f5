"""How late messages were shown."""

from collections.abc import Iterable, Mapping

from .checker import messages
from .logs import MESSAGE, OK, Attempt, ClientLog


def percentile(values: list[float], share: float) -> float:
    """The value that this fraction of the values does not exceed; 0 if there are none."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def delays(
    attempts: Iterable[Attempt], clients: Mapping[str, ClientLog], since=float("-inf"), until=float("inf")
) -> list[float]:
    """Seconds from the answer to the publisher until a client was shown the message, for each pair.

    Only messages accepted between since and until. A message shown before its publisher had the answer counts 0.
    """
    accepted = {m.id: m.ended for m in messages(attempts).values() if m.outcome == OK and since <= m.ended <= until}
    return [
        max(0.0, event.time - accepted[event.fields[0]])
        for client in clients.values()
        for event in client.events
        if event.kind == MESSAGE and event.fields[0] in accepted
    ]


def catch_up(attempts: Iterable[Attempt], clients: Mapping[str, ClientLog], healed: float) -> list[float]:
    """For each client: seconds from `healed` until it was shown everything accepted before; 0: nothing was missing."""
    accepted = {m.id for m in messages(attempts).values() if m.outcome == OK and m.ended <= healed}
    return [
        max(
            (e.time - healed for e in client.events if e.kind == MESSAGE and e.time > healed and e.fields[0] in accepted),
            default=0.0,
        )
        for client in clients.values()
    ]
