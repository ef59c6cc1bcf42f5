"""`tocsin dev`: its addresses, its errors when it cannot start, and its cleanup."""

import contextlib
import fcntl
import json
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from harness.dev import Dev, command_line
from harness.gateway import tocsin
from harness.http_client import get
from harness.names import own
from harness.waiting import wait_until


@pytest.fixture
def dev():
    with Dev() as dev:
        yield dev


@pytest.fixture(scope="module")
def standing():
    """One instance shared by all tests that do not end any part of it."""
    with Dev() as dev:
        yield dev


def refused(*arguments):
    """The error output of a `tocsin dev` that cannot start."""
    done = tocsin("dev", *arguments, check=False)
    assert done.returncode != 0
    assert done.stdout == ""
    return done.stderr


def at(dev):
    return "--port", dev.port, "--redis-port", dev.redis_port


# Ports ----------------------------------------------------------------------------------------------------------------


def test_a_second_one_on_the_same_ports_says_which_are_taken_and_by_whom(standing):
    said = refused(*at(standing))
    assert "5 ports are taken" in said
    for port in standing.ports:
        name = "redis-server" if port == standing.redis_port else "tocsin"
        line = rf"^  {port} \(.*\): {name} \(process (\d+)\), started by tocsin \(process {standing.pid}\)$"
        assert int(re.search(line, said, re.MULTILINE)[1]) in standing.children(), said


def test_the_ports_that_the_second_one_is_told_to_take_are_free(standing):
    said = refused(*at(standing))
    port, redis_port = re.search(r"tocsin dev --port (\d+) --redis-port (\d+), or make run", said).groups()
    assert f"make run PORT={port} REDIS_PORT={redis_port}" in said
    with Dev(port=int(port), redis_port=int(redis_port)) as other:
        for each in standing, other:
            assert get(each.port, "/").status == 200


@contextlib.contextmanager
def held(port):
    """Holds the port in this process."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", port))
        holder.listen()
        yield


def test_a_port_of_another_program_is_said_to_be_that_and_nothing_starts():
    dev = Dev()
    own_name = Path("/proc/self/comm").read_text().strip()
    with held(dev.redis_port):
        said = refused(*at(dev))
        assert not dev.children()
    assert f"  {dev.redis_port} (Redis): {own_name} (process {os.getpid()})\n" in said
    assert "a port is taken" in said and f"{dev.port + 1000}" not in said
    assert re.search(rf"tocsin dev --port {dev.port} --redis-port (?!{dev.redis_port})\d+, or make run", said)


# prctl(PR_SET_DUMPABLE, 0): only root sees its open files, just as for processes of other users.
SECRETIVE = """
import ctypes, socket, sys
ctypes.CDLL(None).prctl(4, 0)
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("listening", flush=True)
sys.stdin.read()
"""


def test_a_port_of_a_process_that_cannot_be_looked_into_is_said_to_be_another_users():
    dev = Dev()
    # Root without the capability to inspect other processes.
    blinkers = ["setpriv", "--bounding-set", "-sys_ptrace"] if os.getuid() == 0 else []
    holder = subprocess.Popen(
        [sys.executable, "-c", SECRETIVE, str(dev.port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "listening\n"
        done = subprocess.run([*blinkers, *dev.command()], capture_output=True, text=True, timeout=30)
    finally:
        holder.communicate()
    assert f"  {dev.port} (gateway): a process of another user\n" in done.stderr, done


def test_the_redis_port_follows_the_gateways():
    with Dev(redis_port=False) as dev:
        assert dev.redis_port == dev.port - 1611
        assert f"redis-cli -p {dev.redis_port} -n 3 FCALL" in dev.log
    with held(dev.port):
        said = refused("--port", dev.port)
    assert re.search(r"tocsin dev --port (\d+), or make run PORT=\1$", said, re.MULTILINE), said
    words = tocsin("dev", "--help").stdout
    for port in "8001", "9001", "6390", "8101", "9101", "6490":
        assert port in words


@pytest.mark.parametrize(
    "arguments, named",
    [(["--port", 0], "--port"), (["--port", 64535], "--port"), (["--port", 1000], "--redis-port"),
     (["--redis-port", 0], "--redis-port"), (["--redis-port", 65536], "--redis-port"), (["--redis-port", 8002], "8002"),
     (["--redis-port", 9001], "9001"), (["--gateways", 65], "--gateways"), (["--gateways", 0], "--gateways")],
)  # fmt: skip
def test_ports_that_cannot_be_are_refused_by_name(arguments, named):
    assert named in refused(*arguments)


@pytest.mark.parametrize("option, distance", [("--bind", 0), ("--admin", 1000)])
def test_a_gateway_that_cannot_listen_says_who_has_the_port_and_leaves_no_lease(
    option, distance, standing, redis_server, redis
):
    port = standing.port + distance
    addresses = {"--bind": "127.0.0.1:0", "--admin": "127.0.0.1:0", option: f"127.0.0.1:{port}"}
    done = tocsin("gateway", *sum(addresses.items(), ()), "--redis", redis_server.url, check=False)
    assert done.returncode != 0
    said = rf"cannot listen on 127\.0\.0\.1:{port}.*: port {port} is taken by tocsin \(process \d+\), started by tocsin"
    assert re.search(said, done.stderr), done.stderr
    assert redis.zrangebyscore(own("gateways"), 1, "+inf") == []


# Output and behaviour -------------------------------------------------------------------------------------------------


def test_the_command_of_the_welcome_and_of_the_page_goes_to_its_own_redis(standing, clients):
    start = f"redis-cli -p {standing.redis_port} -n 3 FCALL group_send 1 asgi:group:"
    assert f'data-command="{start}"' in get(standing.port, "/").text
    (command,) = re.findall(r"^  (redis-cli .*)$", standing.log, re.MULTILINE)
    assert command.startswith(start)
    sockets = clients.open(*(f"ws://127.0.0.1:{port}/ws/demo" for port in standing.ports[:2]))
    sent = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=20)
    assert sent.stdout.endswith("\n2\n"), sent
    for each in sockets:
        assert [json.loads(text) for text in each.wait(1)] == [{"type": "receive", "text": "Hello"}]


def test_a_mistake_in_its_configuration_is_told_once_and_before_anything_starts(tmp_path):
    path = tmp_path / "tocsin.yaml"
    path.write_text("gatewy: {}")
    dev = Dev()
    said = refused(*at(dev), "--config", path)
    assert said.count("gatewy") == 1 and not dev.children()


def test_a_prefix_of_its_configuration_is_in_the_command(tmp_path):
    path = tmp_path / "tocsin.yaml"
    path.write_text("redis: { prefix: mine }\nroutes: [{ path: '/ws/{room}', groups: ['{room}'] }]")
    with Dev("--config", path) as dev:
        assert "FCALL group_send 1 mine:group:demo" in dev.log
        assert "Page" not in dev.log  # gateway.demo_page is off


# Shutdown -------------------------------------------------------------------------------------------------------------


def assert_gone(dev):
    wait_until(lambda: not dev.children(), 15, lambda: f"the end of {dev.children()}", every=0.05)
    for port in dev.ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))


def directory(dev):
    """Returns the directory of its files."""
    return re.search(r"(/\S+/tocsin-dev-\S+?)/", "".join(map(command_line, dev.children())))[1]


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1"])
def test_a_signal_ends_its_gateways_and_its_redis_server(name, dev, clients):
    (client,) = clients.open(f"ws://127.0.0.1:{dev.port}/ws/demo")
    assert len(dev.children()) == 3
    files = directory(dev)
    # The shell and the kernel both send SIGHUP, and Ctrl-C may be typed more than once.
    for _ in range(3):
        dev.signal(getattr(signal, name))
    assert dev.wait() == 0
    assert client.wait_closed() == 1012
    assert_gone(dev)
    assert not os.path.exists(files)


def test_a_terminal_that_is_closed_ends_everything():
    dev = Dev()
    terminal, its_end = pty.openpty()
    dev.popen = subprocess.Popen(
        dev.command(), stdin=its_end, stdout=its_end, stderr=its_end, start_new_session=True, env=dev.environment(),
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(its_end)
    try:
        text = b""
        while b"Ctrl-C ends everything" not in text:
            text += os.read(terminal, 4096)
        assert len(dev.children()) == 3
        files = directory(dev)
        os.close(terminal)
        assert dev.wait() == 0
        assert_gone(dev)
        assert not os.path.exists(files)
    finally:
        dev.close()


def test_under_nohup_it_outlives_its_terminal():
    class Nohup(Dev):
        def command(self):
            return [shutil.which("nohup"), *super().command()]

    with Nohup() as dev:
        dev.signal(signal.SIGHUP)
        dev.signal(signal.SIGHUP)
        assert get(dev.port, "/").status == 200 and dev.running
        assert dev.stop() == 0
        assert_gone(dev)


def test_a_signal_while_it_starts_leaves_nothing_behind():
    dev = Dev()
    try:
        dev.start(wait=False)
        threads = Path(f"/proc/{dev.pid}/task")
        wait_until(
            lambda: any((thread / "children").read_text() for thread in threads.iterdir()), 10, "its first process", 0.0005
        )
        dev.signal(signal.SIGINT)
        assert dev.wait() == 0
        assert_gone(dev)
    finally:
        dev.close()


def test_one_that_loses_its_redis_server_says_so_and_ends_the_rest(dev):
    (redis_server,) = (pid for pid in dev.children() if "redis-server" in command_line(pid))
    os.kill(redis_server, signal.SIGKILL)
    dev.wait()
    assert "redis-server has ended; stopping the rest" in dev.log
    assert_gone(dev)
