"""The table of README.md: every row has its tests, and every test is in its row."""

import re
from pathlib import Path

import pytest
from harness.process import REPOSITORY

pytestmark = pytest.mark.quick

HERE = Path(__file__).parent
ROWS = [f"S{number}" for number in range(1, 50)]
LINE = re.compile(r"^\| (S\d+) \| (.+?) \| (.+?) \| (.*?) ?\|$", re.MULTILINE)
TEST = re.compile(r"^def (test_\w+)", re.MULTILINE)


def table() -> dict[str, list[str]]:
    """The tests of each row, as listed in the README."""
    found = LINE.findall((HERE / "README.md").read_text())
    assert [row for row, *_ in found] == ROWS
    return {row: re.findall(r"`([^`]+)`", tests) for row, _, tests, _ in found}


def names_in(file: str) -> list[str]:
    return TEST.findall((HERE / file).read_text())


def rows_of(test: str) -> set[str]:
    """test_s8_s13_… → S8, S13"""
    return {f"S{number}" for number in re.findall(r"(?<=_)s(\d+)(?=_)", test)}


def test_every_row_names_tests_that_are_there():
    for row, names in table().items():
        assert names, row
        for name in names:
            file, _, test = name.partition("::")
            if file.startswith("test_bad_clients_"):
                assert any(row in rows_of(each) for each in names_in(file)), f"{file} has nothing for {row}"
            else:
                assert not test or test in TEST.findall((REPOSITORY / file).read_text()), name
                assert (REPOSITORY / file).exists(), name


def test_every_test_is_in_its_row():
    rows = table()
    for file in sorted(path.name for path in HERE.glob("test_bad_clients_*.py")):
        for test in names_in(file):
            assert all(file in rows[row] for row in rows_of(test)), f"{test} of {file}"
