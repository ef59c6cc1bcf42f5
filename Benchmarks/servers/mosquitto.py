"""mosquitto: MQTT 3.1.1 over WebSocket, quality of service 0; published by TCP."""

import subprocess

from .broker import Broker

CONFIGURATION = """\
user root
allow_anonymous true
persistence false
set_tcp_nodelay true
max_queued_messages 0
max_inflight_messages 0
log_type error
listener {tcp} 127.0.0.1
listener {port} 127.0.0.1
protocol websockets
"""
# CONNECT with a clean session, no keep-alive and no client id; the reply that accepts it.
CONNECT, CONNACK = r"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00", r"\x20\x02\x00\x00"


class Mosquitto(Broker):
    name = "mosquitto"
    title = "mosquitto"
    binary_name = "mosquitto"
    configuration = CONFIGURATION

    @classmethod
    def version(cls):
        done = subprocess.run(["mosquitto", "-h"], capture_output=True, text=True)
        return done.stdout.splitlines()[0].removeprefix("mosquitto version ")

    def client(self, channel, protocol):
        topic = _text(channel)
        subscribe = rf"\x82{_varint(2 + _length(channel) + 2 + 1)}\x00\x01{topic}\x00"
        return ["--subprotocol", "mqtt", "--send-bin", CONNECT, "--wait", CONNACK,
                "--send-bin", subscribe, "--wait", r"\x90\x03\x00\x01\x00"]  # fmt: skip

    def publisher(self, channel, size, users=1, history=False):
        message = rf"\x30{_varint(2 + _length(channel) + size)}{_text(channel)}{{payload}}"
        return self.tcp_publisher(CONNECT, message)


def _length(channel) -> int:
    """The name's length in bytes once {u:5} is a number."""
    return len(channel.replace("{u:5}", "00000"))


def _text(channel) -> str:
    return rf"\x00\x{_length(channel):02x}{channel}"


def _varint(number) -> str:
    escaped = ""
    while True:
        number, low = divmod(number, 128)
        escaped += rf"\x{low | (128 if number else 0):02x}"
        if not number:
            return escaped
