"""The bench itself: each shape yields complete, plausible figures. No test asserts how fast anything is."""

import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from harness.process import REPOSITORY
from harness.waiting import wait_until

from Benchmarks.house import Scale
from Benchmarks.shapes import all_shapes

# About a minute on two cores; slower when other builds are running.
pytestmark = pytest.mark.timeout(400)


def bench(*arguments, **options) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "Benchmarks", *map(str, arguments)],
        cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options,
    )  # fmt: skip


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    """All shapes, tiny: (the folder, the about line, results by shape and row)."""
    folder = tmp_path_factory.mktemp("bench")
    process = bench("--quick", "--raw", folder / "raw.jsonl")
    output, _ = process.communicate(timeout=360)
    assert process.returncode == 0, output
    about, *results = map(json.loads, (folder / "raw.jsonl").read_text().splitlines())
    return folder, about["about"], {(result["shape"], result["row"]): result for result in results}


def test_every_run_succeeds_and_its_numbers_are_whole(trial):
    _, _, results = trial
    assert len(results) >= 14
    for (shape, row), result in results.items():
        assert "error" not in result, f"{shape}, {row}: {result['error']}"
        for key, value in result["figures"].items():
            assert isinstance(value, (int, float)) and math.isfinite(value), f"{shape}, {row}: {key} is {value!r}"


def test_every_shape_has_its_headline_for_tocsin_or_its_rows(trial):
    _, _, results = trial
    for shape in all_shapes(Scale(quick=True)):
        rows = [result for (name, _), result in results.items() if name == shape.name]
        assert rows, shape.name
        for result in rows:
            assert shape.headline.key in result["figures"], f"{shape.name}, {result['row']}"


def test_a_fan_out_counts_all_that_was_published(trial):
    _, _, results = trial
    for (shape, row), result in results.items():
        if shape.startswith("fan-out"):
            fanout = result["raw"]["fanout"]
            clients = result["raw"]["connect"]["clients"]
            assert fanout["delivered"] == fanout["published"] * clients, f"{shape}, {row}"
            assert (fanout["lost"], fanout["duplicates"], fanout["reordered"]) == (0, 0, 0), f"{shape}, {row}"
            assert 0 < result["figures"]["p50_ms"] <= result["figures"]["p99_ms"]
            assert result["figures"]["server_ns"] > 100


def test_the_report_has_a_table_for_each_shape_and_tells_nothing_of_the_machine_but_what_it_is(trial):
    folder, about, results = trial
    text = (folder / "raw.md").read_text()
    for shape in all_shapes(Scale(quick=True)):
        assert f"## {shape.title}\n" in text
    assert about["machine"]["kernel"] in text
    for private in (os.uname().nodename, str(REPOSITORY), str(folder)):
        assert private not in text


def test_a_report_can_be_made_again_from_the_raw_results(trial):
    folder, _, _ = trial
    process = bench("--from", folder / "raw.jsonl", "--report", folder / "again.md")
    process.communicate(timeout=20)
    assert (folder / "again.md").read_text() == (folder / "raw.md").read_text()


def test_ctrl_c_leaves_nothing_behind_and_reports_what_was_measured(tmp_path):
    raw = tmp_path / "raw.jsonl"
    process = bench("--shapes", "fan-out-1000", "--servers", "tocsin,floor", "--raw", raw, start_new_session=True)
    wait_until(lambda: len(descendants(process.pid)) >= 3, 30, "Redis, the server and the load", every=0.1)
    children = descendants(process.pid)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert "what was measured until here is reported" in output
    assert not [pid for pid in children if running(pid)]
    assert (tmp_path / "raw.md").exists()


def test_unknown_names_are_refused_with_those_that_there_are():
    for option, known in (("--shapes", "connections"), ("--servers", "nchan-memory")):
        process = bench(option, "nonsense")
        output, _ = process.communicate(timeout=20)
        assert process.returncode == 2 and "nonsense" in output and known in output


def descendants(pid) -> list[int]:
    try:
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return children + [below for child in children for below in descendants(child)]


def running(pid) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
