"""A gateway that returns every message, and the Autobahn suite that tests it."""

import pytest
from harness.gateway import Gateway, config
from harness.redis_server import RedisServer

from . import suite

verdicts: dict[str, object] = {}


@pytest.fixture(scope="session")
def autobahn():
    """autobahn(name, url, cases, timeout): runs the suite; its table is shown at the end."""
    suite.install()

    def run(name, *arguments):
        verdicts[name] = verdict = suite.run(f"conformance-{name}", *arguments)
        return verdict

    return run


@pytest.fixture(scope="session")
def mirror():
    """The address of a gateway's route that returns every message. Its limits exceed the suite's largest cases."""
    settings = config(
        gateway={
            "allowed_hosts": ["*"],  # the suite sends no Origin
            "max_message_bytes": 16 << 20,
            "max_fragments": 1 << 20,
            "max_messages_per_second": 0,
            "max_pending_bytes": 64 << 20,
            "ping_seconds": 60,
            "compression": {"enabled": True, "threshold": 0},
        },
        routes=[{"path": "/mirror", "groups": ["conformance"], "receive": "mirror"}],
    )
    with RedisServer() as redis, Gateway(redis.url, "conformance", settings) as gateway:
        yield gateway.url("/mirror")


def pytest_terminal_summary(terminalreporter):
    for name, verdict in verdicts.items():
        terminalreporter.section(f"Autobahn, {name}: report-conformance-{name}/index.html")
        terminalreporter.write_line(str(verdict))
