"""What the tests measured: shown at the end of a run, and written to a file where TOCSIN_FIGURES names one."""

import json
import os

from .checker import Verdict
from .timing import percentile

recorded: list["Figure"] = []


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


def write():
    """All of them, a JSON object a line, appended to the file that TOCSIN_FIGURES names."""
    path = os.environ.get("TOCSIN_FIGURES")
    if path and recorded:
        with open(path, "a") as file:
            file.writelines(json.dumps(figure.entry) + "\n" for figure in recorded)
