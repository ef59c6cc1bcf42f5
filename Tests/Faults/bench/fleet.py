"""The tests' side of clients: one or several processes of them, controlled together."""

from . import logs
from .helper import Helper


class Fleet:
    """clients: (path, groups) of each. processes: how many to distribute them over.

    slow: they have small buffers, as slow readers do. forgetful: they do not send their cursor.
    kind: "events" (server-sent) or "websocket". sources: the addresses they use, in turn.
    """

    def __init__(
        self, name, targets, clients, processes=1, slow=False, forgetful=False, namespace=None, kind="events", sources=()
    ):  # fmt: skip
        shares = [clients[n::processes] for n in range(processes)]
        self._helpers = [
            Helper(
                "fleet_process",
                {
                    "name": f"{name}{n}", "targets": targets, "clients": share, "slow": slow, "forgetful": forgetful,
                    "kind": kind, "sources": list(sources),
                },  # fmt: skip
                namespace,
            )
            for n, share in enumerate(shares)
        ]
        self.memberships = sum(len(groups) for _, groups in clients)

    def tell(self, do, **order) -> list[dict]:
        for helper in self._helpers:
            helper.begin(do, **order)
        return [helper.end() for helper in self._helpers]

    def start(self, within=1.0, timeout=60):
        """All connect, spread over that many seconds; returns when all are open."""
        self.tell("start", within=within)
        self.await_open(timeout)

    def await_open(self, timeout=60):
        answers = self.tell("opened", timeout=timeout)
        assert all(answer["done"] for answer in answers), f"not open after {timeout} s: {answers}"

    def await_shown(self, last, timeout) -> bool:
        """Whether all have been shown these numbers in time. Only waits; what they were shown is judged by the checker."""
        return all(answer["done"] for answer in self.tell("until", last=last, timeout=timeout))

    def drop(self):
        """All disconnect abruptly, until start()."""
        self.tell("drop")

    def flip(self, share):
        """This share of them disconnects and reconnects immediately."""
        self.tell("flip", share=share)

    @property
    def open(self) -> int:
        return sum(answer["open"] for answer in self.tell("status"))

    def finish(self) -> dict[str, logs.ClientLog]:
        for helper in self._helpers:
            helper.finish()
        return logs.read_clients(*(helper.log_path for helper in self._helpers))

    def close(self):
        for helper in self._helpers:
            helper.close()
