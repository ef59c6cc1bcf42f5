"""The README's own commands as a newcomer types them, on other ports, since the default ones may be in use."""

import json
import os
import re
import subprocess
import time

import pytest
from harness.clients import Clients
from harness.dev import Dev
from harness.process import REPOSITORY

README = (REPOSITORY / "README.md").read_text()
SHELL = re.findall(r"```sh\n(.*?)```", README, flags=re.S)


@pytest.fixture
def place():
    """Ports of this test's own; every process on them is ended afterwards."""
    place = Dev()
    yield place
    place.close()


@pytest.fixture
def running(place):
    """`make run`, until it reports that it is running."""
    process = subprocess.Popen(
        ["make", "run", f"PORT={place.port}", f"REDIS_PORT={place.redis_port}"],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, "TOCSIN_STRICT": "1"},  # the build that the tests have already made
    )
    said = []
    for line in process.stdout:
        said.append(line)
        if "tocsin dev is running" in line:
            break
    else:
        pytest.fail("make run ended:\n" + "".join(said))
    yield process
    os.killpg(process.pid, 2)  # Ctrl-C reaches the whole foreground group
    process.wait(timeout=20)


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("running")
def test_the_two_commands_and_the_notification_to_oneself_work(place):
    assert [line.split("#")[0].strip() for line in SHELL[0].splitlines()] == [
        "make run",
        "docker compose up --build --scale gateway=3",
    ]
    address = re.search(r'new WebSocket\("(.*?)"\)', README)[1]
    command, page = SHELL[1], "<http://127.0.0.1:8001/>"
    assert "127.0.0.1:8001/" in address and "redis-cli -p 6390 " in command and page in README
    with Clients() as clients:
        first = clients.open(address.replace("8001", str(place.ports[0])))
        second = clients.open(address.replace("8001", str(place.ports[1])))
        sent = subprocess.run(
            command.replace("6390", str(place.redis_port)), shell=True, capture_output=True, text=True, timeout=30
        )
        assert re.match(r"[0-9a-f]+\.[0-9a-f]{10}:1\n2\n", sent.stdout), sent
        for sockets in first, second:
            for socket in sockets:
                assert [json.loads(text) for text in socket.wait(1)] == [{"type": "receive", "text": "Hello"}]
