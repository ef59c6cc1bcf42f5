"""Measurements of the tests: shown at the end of a run, and written to the file named by TOCSIN_FIGURES, if any."""

import json
import os
import statistics

from .checker import Verdict
from .timing import percentile

recorded: list["Figure | Comparison | Count"] = []


class Figure:
    def __init__(self, title, scale, verdict: Verdict, seconds, facts):
        self.title, self.scale, self.verdict = title, scale, verdict
        self.facts = {"seconds": round(seconds, 1), **facts}

    def delays(self, delays):
        self.facts["p50 ms"] = round(percentile(delays, 0.5) * 1000, 1)
        self.facts["p99 ms"] = round(percentile(delays, 0.99) * 1000, 1)
        self.facts["latest s"] = round(max(delays, default=0.0), 2)

    def catch_up(self, times):
        self.facts["catch-up p99 s"] = round(percentile(times, 0.99), 2)
        self.facts["catch-up max s"] = round(max(times, default=0.0), 2)

    @property
    def entry(self) -> dict:
        v = self.verdict
        names = (
            "planned accepted rejected unknown retried clients due shown lost untold told phantoms duplicated reordered"
            " unwanted unnotified reconnects"
        )
        entry = {name: getattr(v, name) for name in names.split()}
        return {"title": self.title, "scale": self.scale, "passes": v.passes, "notices": dict(v.notices), **entry, **self.facts}

    def __str__(self):
        facts = ", ".join(f"{name} {value}" for name, value in self.facts.items())
        return f"{self.title} [{self.scale}]\n    " + str(self.verdict).replace("\n", "\n    ") + f"\n    {facts}"


class Comparison:
    """How late the good clients' messages were with and without bad clients, in turns; milliseconds."""

    def __init__(self, title, scale, calm, attacked, rate):
        """calm, attacked: a p99 for each turn. rate: attacks per second; 0 for a continuous one."""
        self.title, self.scale = title, scale
        self.calm, self.attacked = statistics.median(calm), statistics.median(attacked)
        self.turns, self.rate = len(calm), rate

    @property
    def entry(self) -> dict:
        ratio = round(self.attacked / self.calm, 2)
        times = {"calm p99 ms": round(self.calm, 1), "p99 ms": round(self.attacked, 1), "ratio": ratio, "turns": self.turns}
        return {"title": self.title, "scale": self.scale, "a second": round(self.rate, 1), **times}

    def __str__(self):
        return ", ".join(f"{name} {value}" for name, value in self.entry.items())


class Count:
    """Numbers measured by a test."""

    def __init__(self, title, scale, **facts):
        self.entry = {"title": title, "scale": scale, **facts}

    def __str__(self):
        return ", ".join(f"{name} {value}" for name, value in self.entry.items())


def write():
    """Appends all of them to the file named by TOCSIN_FIGURES, one JSON object per line."""
    path = os.environ.get("TOCSIN_FIGURES")
    if path and recorded:
        with open(path, "a") as file:
            file.writelines(json.dumps(figure.entry) + "\n" for figure in recorded)
