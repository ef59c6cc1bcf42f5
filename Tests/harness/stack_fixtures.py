"""Fixtures of one Django stack, for modules that are parametrized by stack: import their names.

A module has `stack` by `each_stack`; everything else follows from it, made once for the module and stack.
"""

import pytest

from .clients import Clients
from .django_stack import Daphne, Driver, Project
from .redis_server import RedisServer


def each_stack(stacks):
    """The test runs with each of these stacks."""
    return pytest.mark.parametrize(
        "stack", [pytest.param(stack, id=str(stack)) for stack in stacks], indirect=True, scope="module")


@pytest.fixture(scope="module")
def stack(request):
    return request.param


@pytest.fixture(scope="module")
def redis_server(stack):
    """A server per stack, so that none meets another one's keys."""
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def project(stack, redis_server, tmp_path_factory):
    project = Project(stack, redis_server.url, tmp_path_factory.mktemp(str(stack)) / "db.sqlite3")
    project.migrate()
    return project


@pytest.fixture(scope="module")
def daphne(project):
    """With an idle WebSocket: channels_redis 2.1.1 loses messages of a process that holds a single one, by itself."""
    with Daphne(project) as daphne, Clients() as bystander:
        bystander.open(daphne.url("/ask"))
        yield daphne


@pytest.fixture(scope="module")
def django(project):
    """A Django process that does what it is told: django.group_send((group, message), …), django.send(channel, message)."""
    with Driver(project) as driver:
        yield driver
