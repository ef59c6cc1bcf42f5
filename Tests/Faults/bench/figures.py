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

    def record(self):
        recorded.append(self)
        path = os.environ.get("TOCSIN_FIGURES")
        if path:
            v = self.verdict
            names = (
                "planned accepted rejected unknown retried clients due shown lost untold told phantoms duplicated reordered"
                " unwanted unnotified reconnects"
            )
            entry = {name: getattr(v, name) for name in names.split()}
            entry |= {"title": self.title, "scale": self.scale, "notices": dict(v.notices), "passes": v.passes, **self.facts}
            with open(path, "a") as file:
                file.write(json.dumps(entry) + "\n")

    def __str__(self):
        facts = ", ".join(f"{name} {value}" for name, value in self.facts.items())
        return f"{self.title} [{self.scale}]\n    " + str(self.verdict).replace("\n", "\n    ") + f"\n    {facts}"
