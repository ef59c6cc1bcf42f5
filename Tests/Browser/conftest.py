"""Fixtures of the browser tests: one Chromium for all, one page per test."""

import pytest
from harness.browser import Browser


@pytest.fixture(scope="session")
def browser():
    with Browser() as browser:
        yield browser


@pytest.fixture
def open_page(browser):
    """open_page(url) → a new page for the test, closed afterwards."""
    pages = []

    def open_page(url):
        pages.append(browser.open(url))
        return pages[-1]

    yield open_page
    for page in pages:
        page.close()
