"""An attack: how it is answered, and how it affects the good clients.

    attack(FRAMES, lambda frame: closes_with(1002, frame))

Each case is checked once. At full scale the cases are then repeated for some seconds, one after the other, alternating with
seconds of calm: the p99 of the good clients' delays may be at most half as much again as without.
"""

import itertools
import statistics
import time
from collections.abc import Callable, Mapping

from . import figures
from .crowd import Crowd
from .scale import Scale

# Smaller differences would be unnoticeable; other work of the machine causes as much.
FACTOR, FLOOR_MS = 1.5, 5.0
WINDOW = 2.0
# Two turns each; up to this many if the machine was busy otherwise. The medians are compared.
TURNS, MOST_TURNS = 2, 7
# One bad client after the other, at this rate; floods have their own cases.
ROUNDS_PER_SECOND = 200


class Attack:
    def __init__(self, crowd: Crowd, scale: Scale, title: str):
        self._crowd, self._scale, self._title = crowd, scale, title
        self._rounds = 0

    def __call__(self, cases: Mapping, check: Callable):
        for name, case in cases.items():
            try:
                check(case)
            except Exception as failure:
                failure.add_note(f"case: {name}")
                raise
        self.unnoticed(lambda: self._repeat(list(cases.values()), check))

    def once(self, action: Callable, per_second=ROUNDS_PER_SECOND):
        """An attack without cases, such as a flood or a storm; this many per second."""
        action()
        self.unnoticed(lambda: self._repeat([action], lambda action: action(), per_second))

    def unnoticed(self, action: Callable):
        """Asserts that during action() the good clients' p99 is at most half as much again as without."""
        if self._scale.name != "full":  # a few seconds on a busy machine prove nothing
            return
        calm, attacked = [], []
        while len(calm) < MOST_TURNS:
            calm.append(self._crowd.delays_during(WINDOW).p99)
            attacked.append(self._crowd.delays_during(action).p99)
            if len(calm) >= TURNS and self._is_fine(calm, attacked):
                break
        rate = self._rounds / (WINDOW * len(calm))
        figures.recorded.append(figures.Comparison(self._title, self._scale.name, calm, attacked, rate))
        assert self._is_fine(calm, attacked), f"p99 in ms without {calm}, with bad clients {attacked}"

    @staticmethod
    def _is_fine(calm, attacked) -> bool:
        without, beside = statistics.median(calm), statistics.median(attacked)
        return beside <= max(FACTOR * without, without + FLOOR_MS)

    def _repeat(self, cases, check, per_second=ROUNDS_PER_SECOND):
        began = time.monotonic()
        for number in itertools.count():
            due = began + number / per_second
            if max(due, time.monotonic()) - began > WINDOW:
                break
            time.sleep(max(0.0, due - time.monotonic()))
            check(cases[number % len(cases)])
            self._rounds += 1
        time.sleep(max(0.0, began + WINDOW - time.monotonic()))
