"""nats-server with its WebSocket listener; published by TCP."""

import subprocess

from .broker import Broker

CONFIGURATION = """\
host: 127.0.0.1
port: {tcp}
max_connections: 65536
max_pending: 64MB
ping_interval: "25s"
websocket {{ host: 127.0.0.1, port: {port}, no_tls: true, compression: false }}
"""


class Nats(Broker):
    name = "nats"
    title = "nats-server"
    binary_name = "nats-server"
    configuration = CONFIGURATION

    @classmethod
    def version(cls):
        done = subprocess.run(["nats-server", "--version"], capture_output=True, text=True)
        return done.stdout.strip().removeprefix("nats-server: ")

    def client(self, channel, protocol):
        hello = f'CONNECT {{"verbose":false,"pedantic":false,"protocol":1}}\\r\\nSUB {channel} 1\\r\\nPING\\r\\n'
        return ["--wait", "INFO", "--send", hello, "--wait", "PONG", "--reply", "PING=>PONG\\r\\n"]

    def publisher(self, channel, size, users=1, history=False):
        message = f"PUB {channel} {{len}}\\r\\n{{payload}}\\r\\n"
        return self.tcp_publisher('CONNECT {"verbose":false}\\r\\n', message)
