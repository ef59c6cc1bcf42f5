"""Writes docs/performance.md from the runs' results."""

import json
import statistics
import time
from pathlib import Path

from .house import Scale
from .servers import SERVERS
from .shapes import all_shapes

INTRODUCTION = """\
# Performance

Made by `make bench` ({date}; {rounds}). Everything runs on one machine over loopback, without TLS and compression,
each server as one process at its best configuration, on a Redis of its own without persistence. The load comes from
`Benchmarks/wsload.c`, which counts every delivery: what is lost is in the tables.

- **CPU** is user and system time of the server's process, all threads; the kernel's whole loopback path is in it.
- **CPU ÷ wsload's** is that, divided by what the same deliveries cost the generator in the same run. It cancels the
  machine's speed, so compare this one between machines.
- **× floor** compares with `Benchmarks/floor.c`, which makes a frame once and sends it once per socket, and does
  nothing else. A gateway of one write per delivery should not cost less: a quotient below 1 there is noise.
- Each number is the median of the rounds. Servers take turns within a round.
- Instructions are counted under QEMU, so neither speed nor noise is in them; `Tests/Cost` holds limits to them.
- Django Channels gets 2 % of a group's message rate, 10 % of the private one, and at most 1,000 clients: one process
  carries no more.
"""


AGAINST = {"transaction": "MULTI…EXEC", "one": "1 gateway"}  # the title of a table's last column, where it is not "floor"


def read(paths: list[Path]) -> tuple[dict, list[dict]]:
    """Merges the results of several benches on the same machine."""
    about, results = None, []
    for path in paths:
        first, *rest = (json.loads(line) for line in path.read_text().splitlines())
        results += rest
        if about is None:
            about = first["about"]
        else:
            about["versions"] |= first["about"]["versions"]
            about["missing"] |= first["about"]["missing"]
    return about, results


def report(about: dict, results: list[dict], note: str = "") -> str:
    rounds = max((result["round"] for result in results), default=0)
    date = time.strftime("%Y-%m-%d", time.gmtime(max((result["time"] for result in results), default=time.time())))
    parts = [INTRODUCTION.format(date=date, rounds="one round" if rounds == 1 else f"{rounds} rounds")]
    if about["quick"]:
        parts.append("**A trial of the bench (`--quick`): the loads are too small for the figures to mean anything.**\n")
    if note:
        parts.append(f"{note}\n")
    parts.append(machine(about))
    for shape in all_shapes(Scale(about["quick"])):
        runs = [result for result in results if result["shape"] == shape.name]
        if runs:
            parts.append(section(shape, runs))
    return "\n".join(parts)


def machine(about) -> str:
    lines = ["## Machine and versions\n", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in about["machine"].items()]
    lines += [f"| {name} | {value} |" for name, value in about["versions"].items() if value]
    lines += [f"| {name} | left out: {why} |" for name, why in about["missing"].items()]
    return "\n".join(lines) + "\n"


def section(shape, runs) -> str:
    names = list(dict.fromkeys(run["row"] for run in runs))
    if set(names) <= set(SERVERS):
        names.sort(key=list(SERVERS).index)  # results of several benches may be in any order
    medians = {name: median([run for run in runs if run["row"] == name]) for name in names}
    titles = {run["row"]: run["title"] for run in runs}
    headline = shape.headline
    figures = [figure for figure in shape.figures if any(m.get(figure.key) is not None for m in medians.values())]
    against = AGAINST.get(shape.against, shape.against)
    heads = ["", *(figure.title for figure in figures), *([f"× {against}"] if shape.against in medians else [])]
    lines = [f"## {shape.title}\n"] + ([shape.note + "\n"] if shape.note else [])
    lines += ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for name in names:
        cells = [number(medians[name].get(figure.key), figure.digits) for figure in figures]
        if shape.against in medians:
            cells.append(number(quotient(medians, name, shape.against, headline.key), 2))
        lines.append(f"| {titles[name]} | " + " | ".join(cells) + " |")
    lines += ["", verdict(shape, medians, titles)]
    failures = [f"- {run['title']}, round {run['round']}: {run['error']}" for run in runs if "error" in run]
    if failures:
        lines += ["Runs that failed, and are in no median:", "", *failures, ""]
    commands = commands_of(runs)
    if commands:
        lines += ["<details><summary>Command lines</summary>", "", "```sh", *commands, "```", "", "</details>", ""]
    return "\n".join(lines)


def median(runs) -> dict[str, float]:
    good = [run["figures"] for run in runs if "figures" in run]
    keys = dict.fromkeys(key for figures in good for key in figures)
    values = {key: [figures[key] for figures in good if figures.get(key) is not None] for key in keys}
    return {key: statistics.median(some) for key, some in values.items() if some}


def quotient(medians, name, other, key):
    above, below = medians[name].get(key), medians[other].get(key)
    return above / below if above is not None and below else None


def verdict(shape, medians, titles) -> str:
    """The goals, whether Tocsin meets them, and the best peer."""
    ours, sentences = medians.get("tocsin", {}), []
    for figure in shape.figures:
        if figure.goal is None:
            continue
        sentence = f"Goal for {figure.title}: {'at most' if figure.better == 'lower' else 'at least'} {figure.goal:,.12g}"
        value = ours.get(figure.key)
        if value is not None:
            met = value <= figure.goal if figure.better == "lower" else value >= figure.goal
            sentence += f"; Tocsin {number(value, figure.digits)}, {'met' if met else '**not met**'}"
        floor = medians.get("floor", {}).get(figure.key)
        if floor is not None:  # if not even the floor meets a goal, this machine is slower than the goal's
            sentence += f" (floor {number(floor, figure.digits)})"
        sentences.append(sentence + ".")
    best = best_peer(shape, medians)
    if best and shape.headline.key in ours:
        theirs = medians[best][shape.headline.key]
        sentences.append(
            f"Best peer by {shape.headline.title}: {titles[best]}, {number(theirs, shape.headline.digits)}"
            + (f"; Tocsin is at {ours[shape.headline.key] / theirs:.2f} of it." if theirs else ".")
        )
    return " ".join(sentences) + "\n" if sentences else ""


def best_peer(shape, medians) -> str | None:
    """Only those that lost nothing: a server that drops its load cannot be the best."""
    key = shape.headline.key
    peers = [name for name, m in medians.items() if key in m and not m.get("lost")]
    peers = [name for name in peers if name in SERVERS and name not in ("tocsin", "floor")]
    if not peers:
        return None
    return (min if shape.headline.better == "lower" else max)(peers, key=lambda name: medians[name][key])


def commands_of(runs) -> list[str]:
    latest = {run["row"]: run for run in runs if "command" in run}
    return [f"# {run['title']}\n{run['command']}" for run in latest.values()]


def number(value, digits) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"
