"""Delivered, as unmodified clients prove it: by the pongs that a WebSocket stack sends by itself, through proxies too."""

import contextlib
import json
import os
import signal
import time

import pytest
from harness.certificates import Authority
from harness.clients import RawSocket, frame
from harness.event_stream import EventStreams
from harness.gateway import ORIGIN, Gateway, config
from harness.haproxy import HAProxy
from harness.nginx import Nginx
from harness.waiting import wait_until
from websockets.sync.client import connect

PING, PONG = 9, 10
SETTINGS = {
    "groups": [{"match": "{user}.inbox", "receipts": True}],
    "routes": [{"path": "/mine", "auth": "lb", "groups": ["{user}.inbox"]}, {"path": "/of/{name}", "groups": ["{name}.inbox"]}],
}


@pytest.fixture(scope="module")
def gateway(redis_server):
    with Gateway(redis_server.url, "receipts", config(**SETTINGS)) as gateway:
        yield gateway


def send(redis, user, message='{"n":1}'):
    return redis.fcall("group_send", 1, f"asgi:group:{user}.inbox", message)[0].decode()


def receipt(redis, user, position):
    (entry,) = json.loads(redis.fcall_ro("receipts", 1, f"asgi:group:{user}.inbox", position))["users"]
    assert entry["user"] == user
    return entry


def is_delivered(redis, user, position):
    return receipt(redis, user, position)["delivered"]


def quiet(redis, user, position, seconds=1.0):
    """Whether nobody confirms the message for so long."""
    time.sleep(seconds)
    return not is_delivered(redis, user, position)


def test_a_client_that_knows_nothing_of_receipts_confirms_within_a_second(gateway, redis, clients):
    (client,) = clients.open(gateway.url("/of/a"))
    position = send(redis, "a")
    client.wait(1)
    wait_until(lambda: is_delivered(redis, "a", position), 1)
    entry = receipt(redis, "a", position)
    assert abs(entry["delivered_at"] - redis.time()[0]) < 5 and entry["read"] is False
    assert client.messages == ['{"n":1}'], "the plain form, to the byte"


@pytest.mark.parametrize("proxy", [HAProxy, Nginx])
def test_a_proxy_in_front_changes_nothing(gateway, redis, clients, proxy):
    user = proxy.__name__
    with proxy([gateway]) as front:
        (client,) = clients.open(front.url(f"/of/{user}"))
        position = send(redis, user)
        client.wait(1)
        wait_until(lambda: is_delivered(redis, user, position), 2)


def test_with_compression_and_over_tls_it_is_the_same(redis_server, redis, tmp_path):
    authority = Authority(tmp_path)
    pair = authority.issue("gateway")
    sealed = {
        "compression": {"enabled": True, "threshold": 0},
        "tls": {"certificate_file": str(pair.certificate), "key_file": str(pair.key)},
    }  # fmt: skip
    with Gateway(redis_server.url, "sealed", config(**SETTINGS, gateway=sealed)) as gateway:
        url = f"wss://localhost:{gateway.port}/of/b"
        with connect(url, origin=ORIGIN, ssl=authority.client(), compression="deflate") as client:
            assert "permessage-deflate" in client.response.headers["Sec-WebSocket-Extensions"]
            position = send(redis, "b", '{"text":"%s"}' % ("x" * 1000))
            assert len(client.recv(5)) > 1000
            wait_until(lambda: is_delivered(redis, "b", position), 2)


def test_a_client_that_answers_no_ping_is_never_confirmed(gateway, redis):
    with RawSocket(gateway.port, "/of/c") as client:
        position = send(redis, "c")
        opcodes = {client.frame()[0], client.frame()[0]}
        assert opcodes == {1, PING}
        assert quiet(redis, "c", position)


def test_a_pong_that_nobody_asked_for_proves_nothing_and_the_right_one_does(gateway, redis):
    with RawSocket(gateway.port, "/of/d") as client:
        position = send(redis, "d")
        text, ping = client.frame(), client.frame()
        assert text[0] == 1 and ping[0] == PING
        for payload in b"", b"x", bytes(16), ping[1][:-1] + bytes([ping[1][-1] ^ 1]):
            client.send(frame(PONG, payload))
        assert quiet(redis, "d", position)
        client.send(frame(PONG, ping[1]))
        wait_until(lambda: is_delivered(redis, "d", position), 1)


def test_many_messages_are_proven_by_few_pings(gateway, redis):
    with RawSocket(gateway.port, "/of/e") as client:
        positions = [send(redis, "e") for _ in range(200)]
        pings, texts = 0, 0
        while texts < 200:
            opcode, payload = client.frame()
            if opcode == PING:
                pings += 1
                client.send(frame(PONG, payload))
            else:
                texts += 1
        assert pings <= 8, "four a second"
        client.tcp.settimeout(2)
        with contextlib.suppress(TimeoutError):
            while not is_delivered(redis, "e", positions[-1]):
                opcode, payload = client.frame()
                client.send(frame(PONG, payload))
        assert is_delivered(redis, "e", positions[-1])


def test_a_client_in_another_user_s_group_confirms_nothing_for_that_user(gateway, redis, clients):
    (stranger,) = clients.open(gateway.url("/mine"), headers={"X-Remote-User": "stranger"})
    with RawSocket(gateway.port, "/of/f", headers=["X-Remote-User: nobody"]):
        position = send(redis, "f")
        assert quiet(redis, "f", position)
    assert stranger.messages == []


def test_who_comes_later_proves_nothing_of_what_was_sent_before(gateway, redis, clients):
    missed = send(redis, "j")
    (client,) = clients.open(gateway.url("/of/j"))
    position = send(redis, "j", '{"n":2}')
    client.wait(1)
    wait_until(lambda: is_delivered(redis, "j", position), 1)
    assert client.messages == ['{"n":2}'] and not is_delivered(redis, "j", missed)


def test_a_frozen_client_is_not_confirmed_until_it_goes_on(gateway, redis):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        with RawSocket(gateway.port, "/of/g") as client:
            os.write(writer, b"1")
            while (got := client.frame()) is not None:
                if got[0] == PING:
                    client.send(frame(PONG, got[1]))
        os._exit(0)
    try:
        os.read(reader, 1)
        os.kill(child, signal.SIGSTOP)
        position = send(redis, "g")
        assert quiet(redis, "g", position)
        os.kill(child, signal.SIGCONT)
        wait_until(lambda: is_delivered(redis, "g", position), 2)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_a_stream_confirms_by_the_cursor_that_it_brings_back(gateway, redis):
    with EventStreams() as streams:
        stream = streams.open(gateway, "/of/h")
        stream.wait_begun()
        position = send(redis, "h")
        (event,) = stream.wait(1)
        assert quiet(redis, "h", position, 0.5)
        stream.close()
        streams.open(gateway, "/of/h", last_event_id=event.id)
        wait_until(lambda: is_delivered(redis, "h", position), 2)


def test_a_group_without_receipts_gets_no_ping(redis_server, redis):
    settings = config(groups=[{"match": "*"}], routes=SETTINGS["routes"])
    with Gateway(redis_server.url, "receipts-not", settings) as gateway, RawSocket(gateway.port, "/of/i") as client:
        send(redis, "i")
        assert client.frame()[0] == 1
        client.tcp.settimeout(1)
        with pytest.raises(TimeoutError):
            client.frame()
