"""All runs of a bench in order, their results, and an estimate of the remaining time."""

import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from .shapes import Shape
from .shapes.shape import Row
from .wsload import LoadFailed


@dataclass
class Session:
    """Servers take turns, round by round, so that a machine whose speed varies varies for all of them."""

    plan: list[tuple[Shape, list[Row]]]
    rounds: int
    raw: Path  # each run's result, one JSON object per line
    about: dict  # machine, versions, what was left out: the first line
    results: list[dict] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        return len(self.results) == len(self.planned)

    def run(self):
        self.raw.parent.mkdir(parents=True, exist_ok=True)
        with open(self.raw, "w") as file:
            file.write(json.dumps({"about": self.about}) + "\n")
            progress = Progress(self.planned)
            for shape, rows in self.plan:
                for number in range(1, self.rounds + 1):
                    for row in rows:
                        progress.begin(shape, row, number, self.rounds)
                        result = self._run(shape, row, number)
                        progress.end(shape, result)
                        self.results.append(result)
                        file.write(json.dumps(result) + "\n")
                        file.flush()

    @property
    def planned(self) -> list[float]:
        return [shape.estimate for shape, rows in self.plan for _ in range(self.rounds * len(rows))]

    @staticmethod
    def _run(shape, row, number) -> dict:
        result = {"shape": shape.name, "row": row.name, "title": row.title, "round": number, "time": round(time.time())}
        try:
            run = row.run()
        # A peer that breaks under a load is a result; the others must still be measured.
        except (LoadFailed, RuntimeError, TimeoutError, OSError) as error:
            return {**result, "error": " ".join(str(error).split())[:300]}
        return {**result, "figures": run.figures, "command": run.command, "raw": run.raw}


class Progress:
    """Prints a line per run to standard error. The remaining time is estimated from the runs so far."""

    def __init__(self, planned: list[float]):
        self._planned, self._done, self._began = planned, 0, time.monotonic()
        print(f"{len(planned)} runs, about {clock(sum(planned))}", file=sys.stderr, flush=True)

    @property
    def left(self) -> float:
        expected = sum(self._planned[: self._done])
        pace = (time.monotonic() - self._began) / expected if expected else 1
        return pace * sum(self._planned[self._done :])

    def begin(self, shape, row, number, rounds):
        place = f"[{self._done + 1}/{len(self._planned)}, {clock(self.left)} left]"
        print(f"{place} {shape.name}, round {number} of {rounds}, {row.title}: ", end="", file=sys.stderr, flush=True)

    def end(self, shape, result):
        self._done += 1
        print(result.get("error") or summary(shape, result["figures"]), file=sys.stderr, flush=True)


def summary(shape, figures) -> str:
    shown = [(figure, figures.get(figure.key)) for figure in shape.figures]
    return ", ".join(f"{figure.title} {value:,.{figure.digits}f}" for figure, value in shown if value is not None)


def clock(seconds) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
