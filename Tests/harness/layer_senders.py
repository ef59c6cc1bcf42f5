"""Many concurrent Django senders: processes × coroutines, each with the real channel layer, all starting together.

stacks/send_many.py is the program of one such process, which waits for a line before it sends.
"""

import json
import subprocess
import sys

from .django_stack import PINS


def groups_of(sender: int, plan: dict) -> list[str]:
    """The groups that one coroutine sends to: `width` of them, so that each group has several senders."""
    return [f"{plan['name']}-{(sender * 25 + step * 7) % plan['groups']}" for step in range(plan["width"])]


def group_names(plan: dict) -> list[str]:
    return [f"{plan['name']}-{n}" for n in range(plan["groups"])]


def sends_of(plan: dict) -> int:
    return plan["processes"] * plan["coroutines"] * plan["sends"]


def expected(plan: dict) -> dict[str, dict[int, list[int]]]:
    """Group → sender → the numbers that it sends there, in order."""
    table: dict[str, dict[int, list[int]]] = {name: {} for name in group_names(plan)}
    for sender in range(plan["processes"] * plan["coroutines"]):
        own = groups_of(sender, plan)
        for number in range(plan["sends"]):
            table[own[number % len(own)]].setdefault(sender, []).append(number)
    return table


def open_groups(clients, gateway, plan) -> dict:
    """One socket for each group, on one gateway."""
    return dict(zip(group_names(plan), clients.open(*(gateway.url(f"/ws/{group}") for group in group_names(plan)))))


def markers(plan) -> list[tuple[str, dict]]:
    """The last message of each group, for a Django process to send: what has not arrived before it is lost."""
    return [(group, {"type": "receive", "marker": group}) for group in group_names(plan)]


def assert_complete(sockets, plan, totals):
    """Each group has received every number of each sender once, in sending order."""
    table = expected(plan)
    assert sum(len(numbers) for senders in table.values() for numbers in senders.values()) == sends_of(plan)
    assert totals == {"sent": sends_of(plan), "over_capacity": 0}
    wrong = {}
    for group, socket in sockets.items():
        heard: dict[int, list[int]] = {}
        for message in map(json.loads, socket.until('"marker"', timeout=30)):
            heard.setdefault(message["sender"], []).append(message["number"])
        for sender in table[group].keys() | heard.keys():
            if heard.get(sender) != table[group].get(sender):
                wrong[group, sender] = (heard.get(sender), table[group].get(sender))
    assert not wrong, f"{len(wrong)} sequences differ (heard, sent), for example {dict(list(wrong.items())[:3])}"


class LayerSenders:
    """plan: processes, coroutines (per process), sends (per coroutine), groups, width, name.

    site: what has the senders' environment, a DjangoSite or a Project; python: the interpreter of its stack.
    """

    def __init__(self, site, plan, python=sys.executable):
        self.plan = plan
        self._processes = [
            subprocess.Popen(
                [str(python), str(PINS / "send_many.py"), json.dumps(self._share(number))],
                env=site.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
            for number in range(plan["processes"])
        ]  # fmt: skip
        for process in self._processes:
            assert process.stdout.readline() == "ready\n"

    def _share(self, process):
        first = process * self.plan["coroutines"]
        senders = range(first, first + self.plan["coroutines"])
        return {"sends": self.plan["sends"], "senders": {sender: groups_of(sender, self.plan) for sender in senders}}

    def go(self):
        for process in self._processes:
            process.stdin.write("go\n")
            process.stdin.flush()

    def finish(self, timeout=90) -> dict:
        """Waits for all of them; returns the messages sent and those dropped by the layer for lack of capacity."""
        totals = {"sent": 0, "over_capacity": 0}
        for process in self._processes:
            out, _ = process.communicate(timeout=timeout)
            assert process.returncode == 0
            for key, value in json.loads(out).items():
                totals[key] += value
        return totals

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self._processes:
            if process.poll() is None:
                process.kill()
                process.wait()
            process.stdin.close()
            process.stdout.close()
