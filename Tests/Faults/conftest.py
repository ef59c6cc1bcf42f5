"""Fixtures of the fault tests. `-m quick` is what CI runs, at a small scale; without it everything runs at the full one."""

import os

import pytest

from .bench import figures, network
from .bench.helper import Helper
from .bench.scale import FULL, QUICK


@pytest.fixture
def scale(request):
    return QUICK if request.config.option.markexpr == "quick" or os.environ.get("TOCSIN_FAULTS") == "quick" else FULL


@pytest.fixture
def namespaces():
    """Skips what cannot be done here: CI's containers may make no networks."""
    if not network.possible():
        pytest.skip("network namespaces and TUN devices want root")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Adds to a failure what the helpers complained of."""
    report = yield
    if report.failed:
        for helper in list(Helper.all):
            if helper.directory.exists() and helper.errors:
                report.sections.append((helper.module, helper.errors[-2000:]))
    return report


def pytest_terminal_summary(terminalreporter):
    if figures.recorded:
        terminalreporter.section("what was lost, and how long it took")
        for figure in figures.recorded:
            terminalreporter.write_line(str(figure))
        figures.write()
