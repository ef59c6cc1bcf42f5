"""Signals other than those that end a gateway do not end it, nor does a log that cannot be written."""

import os
import signal
import subprocess

import pytest
from harness.gateway import Gateway, binary
from harness.names import own
from harness.waiting import wait_until

CLIENTS = 50


@pytest.fixture
def gateway(redis_server):
    with Gateway(redis_server.url) as gateway:
        yield gateway


def send(redis, group, text):
    return redis.fcall("group_send", 1, f"asgi:group:{group}", text)


@pytest.mark.parametrize("name", ["SIGHUP", "SIGUSR1", "SIGUSR2", "SIGPIPE"])
def test_a_signal_that_asks_for_nothing_disconnects_nobody(name, gateway, clients, redis):
    sockets = clients.open(gateway.url(f"/ws/{name}"), count=CLIENTS)
    send(redis, name, '{"n":1}')
    for _ in range(3):
        gateway.signal(getattr(signal, name))
    send(redis, name, '{"n":2}')
    send(redis, name, '{"marker":1}')
    assert [socket.until("marker") for socket in sockets] == [['{"n":1}', '{"n":2}']] * CLIENTS
    assert all(socket.open for socket in sockets)
    assert redis.hlen(own(f"roster:{name}")) == CLIENTS
    assert gateway.running and gateway.readyz() == 200


@pytest.mark.parametrize("name", ["SIGHUP", "SIGUSR1", "SIGUSR2"])
def test_a_signal_that_is_ignored_is_said_once_and_sigterm_still_drains(name, gateway):
    number = getattr(signal, name)
    gateway.signal(number)
    wait_until(lambda: f"{name} is ignored" in gateway.log, 5, "the log says that it is ignored")
    gateway.signal(number)
    gateway.signal(number)
    assert gateway.stop() == 0
    assert gateway.log.count("is ignored") == 1
    assert "SIGTERM" in gateway.log and '"message":"stopped"' in gateway.log


def test_a_drain_goes_on_over_a_hangup(gateway, clients):
    sockets = clients.open(gateway.url("/ws/draining"), count=3)
    gateway.signal(signal.SIGTERM)
    wait_until(lambda: gateway.readyz() == 503, 5, "the drain's beginning")
    gateway.signal(signal.SIGHUP)
    assert [socket.wait_closed() for socket in sockets] == [1012] * 3
    assert gateway.wait() == 0


def full_disk():
    return os.open("/dev/full", os.O_WRONLY)


def pipe_without_a_reader():
    reader, writer = os.pipe()
    os.close(reader)
    return writer


@pytest.mark.parametrize("log", [full_disk, pipe_without_a_reader])
def test_a_log_that_cannot_be_written_disconnects_nobody(log, redis_server, redis, clients):
    gateway = Gateway(redis_server.url)
    descriptor = log()
    try:
        # It writes its first lines before it is ready.
        gateway.popen = subprocess.Popen(
            gateway.command(), stdin=subprocess.DEVNULL, stdout=descriptor, stderr=descriptor, env=gateway.environment()
        )
        gateway.wait_ready()
        (socket,) = clients.open(gateway.url("/ws/unlogged"))
        gateway.signal(signal.SIGUSR1)  # logs one more line
        send(redis, "unlogged", '{"n":1}')
        assert socket.wait(1) == ['{"n":1}']
        assert gateway.stop() == 0
        assert socket.wait_closed() == 1012
    finally:
        os.close(descriptor)
        gateway.close()


def test_tail_ends_as_other_commands_do_when_nobody_reads_it(redis_server, gateway, redis):
    assert gateway.running  # it has loaded the functions
    tail = subprocess.Popen(
        [binary(), "tail", "read", "--redis", redis_server.url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        wait_until(lambda: redis.pubsub_numsub("asgi__group__read")[0][1] == 1, 10, "tail listens")
        send(redis, "read", '{"n":1}')
        assert tail.stdout.readline() == '{"n":1}\n'
        tail.stdout.close()
        send(redis, "read", '{"n":2}')
        assert tail.wait(10) == -signal.SIGPIPE
        assert "Fatal" not in tail.stderr.read()
    finally:
        tail.kill()
        tail.wait()
        tail.stderr.close()
