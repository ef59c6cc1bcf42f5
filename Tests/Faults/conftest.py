"""Fixtures of the fault tests. `-m quick` is what CI runs, at a small scale; without it everything runs at full scale."""

import os
import time

import pytest

from .bench import figures, network
from .bench.attack import Attack
from .bench.helper import Helper
from .bench.scale import FULL, QUICK
from .bench.target import Target


@pytest.fixture(scope="session")
def scale(request):
    return QUICK if request.config.option.markexpr == "quick" or os.environ.get("TOCSIN_FAULTS") == "quick" else FULL


@pytest.fixture(scope="session")
def besieged(scale):
    """The target of all bad clients of this run; at the end its good clients' logs are evaluated, and its output searched."""
    target = Target(rate=scale.pick(100, 400))
    try:
        began = time.monotonic()
        yield target
        target.assert_no_secret_was_shown()
        verdict = target.crowd.verdict()
        figure = figures.Figure("S1-S49 good clients", scale.name, verdict, time.monotonic() - began, {})
        figures.recorded.append(figure)
        assert verdict.passes and not verdict.reconnects, verdict
    finally:
        target.close()


@pytest.fixture
def target(besieged):
    """The same; after each test it must be alive, and no client may have lost its connection."""
    yield besieged
    besieged.assert_unharmed()


@pytest.fixture
def attack(request, target, scale):
    """attack(cases, check): see bench/attack.py."""
    return Attack(target.crowd, scale, request.node.name)


@pytest.fixture
def namespaces():
    """Skips what is impossible here: CI's containers may not be able to create networks."""
    if not network.possible():
        pytest.skip("network namespaces and TUN devices want root")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Adds the helpers' errors to a failure."""
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
