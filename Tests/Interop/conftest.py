"""Fixtures of the interop tests: real servers, each test file its own Redis, so that no test meets another's keys."""

import pytest
from harness.clients import Clients
from harness.django_site import DjangoSite
from harness.process import Process
from harness.redis_server import RedisServer


@pytest.fixture(scope="module")
def redis_server():
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis(redis_server):
    """A client of database 3."""
    return redis_server.client()


@pytest.fixture
def clients():
    with Clients() as clients:
        yield clients


@pytest.fixture(scope="session")
def site_database(tmp_path_factory):
    """A migrated database of the example site, with nobody in it: migrating takes longer than most tests."""
    path = tmp_path_factory.mktemp("site") / "db.sqlite3"
    DjangoSite("redis://127.0.0.1:1/3", database=path).manage("migrate", "--verbosity", "0")
    return path


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Adds to a failure what the servers printed."""
    report = yield
    if report.failed:
        for process in list(Process.all):
            if process.log:
                report.sections.append((f"{process.name} {getattr(process, 'id', '')}", process.log[-6000:]))
    return report
