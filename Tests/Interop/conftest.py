"""Fixtures of the interop tests: many clients, and a database for the example site."""

import pytest
from harness.clients import Clients
from harness.django_site import DjangoSite
from harness.django_stack import LEFT_OUT


@pytest.fixture
def clients():
    with Clients() as clients:
        yield clients


@pytest.fixture(scope="session")
def site_database(tmp_path_factory):
    """A migrated database of the example site without users. Shared, because migrating takes longer than most tests."""
    path = tmp_path_factory.mktemp("site") / "db.sqlite3"
    DjangoSite("redis://127.0.0.1:1/3", database=path).manage("migrate", "--verbosity", "0")
    return path


def pytest_collection_modifyitems(config, items):
    """Tests marked full run only when -m names them."""
    if "full" in config.option.markexpr:
        return
    full = [item for item in items if item.get_closest_marker("full")]
    config.hook.pytest_deselected(items=full)
    items[:] = [item for item in items if item not in full]


def pytest_terminal_summary(terminalreporter):
    """Which Django stacks were not tried: test_django_stacks.py has no tests for those that are not made."""
    reports = (report for reports in terminalreporter.stats.values() for report in reports)
    if LEFT_OUT and any("test_django_stacks" in getattr(report, "nodeid", "") for report in reports):
        versions = ", ".join(LEFT_OUT)
        terminalreporter.write_line(f"left out: Django stacks {versions} (make stacks; it says why one cannot be made)")
