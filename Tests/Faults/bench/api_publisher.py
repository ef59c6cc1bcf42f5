"""Publishers over a gateway's HTTP API: one thread for each group, which sends one numbered message after the other, each again
with the same Idempotency-Key until it is accepted."""

import http.client
import json
import threading
import time

ANSWER_TIMEOUT = 3.0
PAUSE = 0.05


class APIPublishers:
    """with APIPublishers(gateways, groups, rate) as publishers: … publishers.stop()

    rate: messages a second, over all groups.
    """

    def __init__(self, gateways, groups, rate):
        self.accepted: dict[str, list[tuple[int, float]]] = {group: [] for group in groups}  # number, when
        self.positions: dict[str, list[str]] = {group: [] for group in groups}
        self.retried: dict[str, set[int]] = {group: set() for group in groups}  # numbers
        self.retries = 0
        self._ports = [gateway.admin_port for gateway in gateways]
        self._interval = len(groups) / rate
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._publish, args=(n, group)) for n, group in enumerate(groups)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """What has been begun is still brought to its end."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    @property
    def count(self) -> int:
        return sum(len(messages) for messages in self.accepted.values())

    @property
    def longest_pause(self) -> float:
        """Seconds between two messages of one group that were accepted one after the other."""
        return max(
            after - before
            for messages in self.accepted.values()
            for (_, before), (_, after) in zip(messages, messages[1:], strict=False)
        )

    def _publish(self, n, group):
        port, number = self._ports[n % len(self._ports)], 0
        due = time.monotonic() + n * self._interval / len(self.accepted)
        while not self._stopping.is_set():
            number += 1
            due = max(due + self._interval, time.monotonic())
            ends = time.monotonic() + 30
            while not (position := self._attempt(port, group, number)):
                assert time.monotonic() < ends, f"message {number} to {group} is not accepted within 30 s"
                self.retries += 1
                self.retried[group].add(number)
                time.sleep(PAUSE)
            self.accepted[group].append((number, time.monotonic()))
            self.positions[group].append(position)
            self._stopping.wait(max(0.0, due - time.monotonic()))

    @staticmethod
    def _attempt(port, group, number) -> str | None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_TIMEOUT)
        try:
            connection.request(
                "POST", f"/v1/groups/{group}/messages", json.dumps({"n": number}),
                {"Content-Type": "application/json", "Idempotency-Key": f"{group}-{number}"},
            )  # fmt: skip
            answer = connection.getresponse()
            body = answer.read()
            assert answer.status in (201, 503), (answer.status, body)
            return json.loads(body)["position"] if answer.status == 201 else None
        except OSError:
            return None
        finally:
            connection.close()
