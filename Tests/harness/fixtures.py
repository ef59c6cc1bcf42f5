"""A pytest plugin for all test folders: one Redis per test file, and the output of every process when a test fails."""

import pytest

from .process import Process
from .redis_server import RedisServer


@pytest.fixture(scope="module")
def redis_server():
    """One per file, so that no test meets another file's keys."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis(redis_server):
    """A client of database 3."""
    return redis_server.client()


def pytest_runtest_logstart():
    Process.closed.clear()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Adds the output of each process to a failure."""
    report = yield
    if report.failed:
        testimonies = [*Process.closed, *(process.testimony() for process in list(Process.all))]
        report.sections += [(title, text) for title, text in testimonies if text]
    return report
