"""Fixtures of the browser tests: one Chromium for all, a Redis for each file; what a failed test's pages look like."""

import tempfile
from pathlib import Path

import pytest
from harness.browser import Browser
from harness.process import Process
from harness.redis_server import RedisServer


@pytest.fixture(scope="session")
def browser():
    with Browser() as browser:
        yield browser


@pytest.fixture
def open_page(browser):
    """open_page(url) → a page of its own for the test, closed afterwards."""
    pages = []

    def open_page(url):
        pages.append(browser.open(url))
        return pages[-1]

    yield open_page
    for page in pages:
        page.close()


@pytest.fixture(scope="module")
def redis_server():
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis(redis_server):
    """A client of database 3."""
    return redis_server.client()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Adds to a failure what the servers printed, and where to see the pages."""
    report = yield
    if report.failed:
        for process in list(Process.all):
            if isinstance(process, Browser):
                directory = Path(tempfile.mkdtemp(prefix="tocsin-screenshots-"))
                shots = process.screenshots(directory)
                report.sections.append(("screenshots", "\n".join(map(str, shots)) or "none"))
            elif process.log:
                report.sections.append((f"{process.name} {getattr(process, 'id', '')}", process.log[-6000:]))
    return report
