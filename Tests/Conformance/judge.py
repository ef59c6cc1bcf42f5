"""Reads a report of the Autobahn suite and decides whether it passed.

A case passes when both its behaviour and its close are OK, or INFORMATIONAL where the suite only records. NON-STRICT
(right, but later than possible) is not a pass. Nor is a report with missing cases.
"""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

PASSES = {"OK", "INFORMATIONAL"}

# The suite's chapters, with the number of cases in the version that requirements.txt names.
CHAPTERS = {
    "1": ("Framing", 16),
    "2": ("Pings and pongs", 11),
    "3": ("Reserved bits", 7),
    "4": ("Opcodes", 10),
    "5": ("Fragmentation", 20),
    "6": ("UTF-8", 145),
    "7": ("Close handshake", 37),
    "9": ("Limits and performance", 54),
    "10": ("Auto-fragmentation", 1),
    "12": ("Compression, default offer", 90),
    "13": ("Compression, other offers", 126),
}


@dataclass(frozen=True)
class Case:
    id: str
    behavior: str
    close: str

    @property
    def chapter(self):
        return self.id.split(".")[0]

    @property
    def passes(self):
        return self.behavior in PASSES and self.close in PASSES

    @property
    def result(self):
        """The result for the table: the worse of the two."""
        return self.behavior if self.behavior not in PASSES or self.close in PASSES else f"close {self.close}"


@dataclass
class Verdict:
    cases: list[Case]
    missing: dict[str, int]  # requested cases that are missing in the report, by chapter

    @property
    def bad(self):
        return [case for case in self.cases if not case.passes]

    @property
    def passes(self):
        return bool(self.cases) and not self.bad and not self.missing

    def __str__(self):
        columns = sorted({case.result for case in self.cases}, key=lambda word: (word != "OK", word))
        lines = [f"{'chapter':<34}" + "".join(f"{word:>16}" for word in columns)]
        for chapter in sorted({case.chapter for case in self.cases}, key=int):
            counts = Counter(case.result for case in self.cases if case.chapter == chapter)
            title = f"{chapter}. {CHAPTERS.get(chapter, ('?', 0))[0]}"
            lines.append(f"{title:<34}" + "".join(f"{counts[word] or '-':>16}" for word in columns))
        total = Counter(case.result for case in self.cases)
        lines.append(f"{'all':<34}" + "".join(f"{total[word]:>16}" for word in columns))
        lines += [f"bad: {case.id} {case.behavior}, close {case.close}" for case in self.bad]
        lines += [f"bad: {count} cases of chapter {chapter} are missing" for chapter, count in self.missing.items()]
        return "\n".join(lines)


def wanted(patterns) -> Counter:
    """How many cases the patterns of a run request, by chapter: "7.*" all of it, "9.1.6" one."""
    counts = Counter()
    for pattern in patterns:
        chapter, _, rest = pattern.partition(".")
        counts[chapter] += CHAPTERS[chapter][1] if rest == "*" else 1
    return counts


def judge(index: Path, patterns) -> Verdict:
    """The verdict on the report's index.json, for the requested cases."""
    (agent,) = json.loads(Path(index).read_text()).values()
    cases = [Case(id, entry["behavior"], entry["behaviorClose"]) for id, entry in agent.items()]
    cases.sort(key=lambda case: [int(part) for part in case.id.split(".")])
    return Verdict(cases, dict(wanted(patterns) - Counter(case.chapter for case in cases)))
