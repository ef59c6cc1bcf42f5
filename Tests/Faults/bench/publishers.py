"""The tests' side of publishers: one process of them."""

from . import logs
from .helper import Helper


class Publishers:
    def __init__(self, redis, groups, rate, name="p", padding=0, prefix="asgi", database=3, namespace=None):
        spec = {
            "name": name, "groups": list(groups), "rate": rate, "padding": padding, "prefix": prefix,
            "address": [redis.host, redis.port, database],
        }  # fmt: skip
        self._helper = Helper("publisher_process", spec, namespace)

    def start(self):
        self._helper.tell("start")

    def stop(self, timeout=20) -> dict:
        """Stops new messages; those in flight are completed, if possible in time."""
        return self._helper.tell("stop", timeout=timeout)

    def burst(self, count) -> dict:
        return self._helper.tell("burst", count=count, timeout=120)

    @property
    def status(self) -> dict:
        return self._helper.tell("status")

    def finish(self) -> list[logs.Attempt]:
        self._helper.finish()
        return logs.read_attempts(self._helper.log_path)

    def close(self):
        self._helper.close()
