"""Fixtures of the interop tests: many clients, and a database for the example site."""

import pytest
from harness.clients import Clients
from harness.django_site import DjangoSite


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
