"""The README's own commands, as a newcomer types them."""

import json
import os
import re
import subprocess
import time

import pytest
from harness.clients import Clients
from harness.process import REPOSITORY

README = (REPOSITORY / "README.md").read_text()
SHELL = re.findall(r"```sh\n(.*?)```", README, flags=re.S)


@pytest.fixture
def running():
    """`make run`, until it says that it is running."""
    process = subprocess.Popen(
        ["make", "run"],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, "TOCSIN_STRICT": "1"},  # the build that the tests have made already
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
def test_the_two_commands_and_the_notification_to_oneself_work(running):
    assert [line.split("#")[0].strip() for line in SHELL[0].splitlines()] == [
        "make run",
        "docker compose up --build --scale gateway=3",
    ]
    address = re.search(r'new WebSocket\("(.*?)"\)', README)[1]
    with Clients() as clients:
        first = clients.open(address)
        second = clients.open(address.replace("8001", "8002"))
        sent = subprocess.run(SHELL[1], shell=True, capture_output=True, text=True, timeout=30)
        assert re.match(r"[0-9a-f]+\.[0-9a-f]{10}:1\n2\n", sent.stdout), sent
        for sockets in first, second:
            for socket in sockets:
                assert [json.loads(text) for text in socket.wait(1)] == [{"type": "receive", "text": "Hello"}]
