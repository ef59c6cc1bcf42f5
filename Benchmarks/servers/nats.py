"""nats-server with its WebSocket listener; published by TCP."""

import subprocess

from harness.free_port import free_port

from .server import Server, absent

CONFIGURATION = """\
host: 127.0.0.1
port: {tcp}
max_connections: 65536
max_pending: 64MB
ping_interval: "25s"
websocket {{ host: 127.0.0.1, port: {port}, no_tls: true, compression: false }}
"""


class Nats(Server):
    name = "nats"
    title = "nats-server"
    uses_redis = False

    def __init__(self, redis):
        super().__init__(redis)
        self.tcp_port = free_port()

    @classmethod
    def missing(cls):
        return absent("nats-server")

    @classmethod
    def version(cls):
        done = subprocess.run(["nats-server", "--version"], capture_output=True, text=True)
        return done.stdout.strip().removeprefix("nats-server: ")

    def program(self):
        path = self.directory / "nats.conf"
        path.write_text(CONFIGURATION.format(tcp=self.tcp_port, port=self.port))
        return ["nats-server", "-c", str(path)]

    def client(self, channel, protocol):
        hello = f'CONNECT {{"verbose":false,"pedantic":false,"protocol":1}}\\r\\nSUB {channel} 1\\r\\nPING\\r\\n'
        return ["--wait", "INFO", "--send", hello, "--wait", "PONG", "--reply", "PING=>PONG\\r\\n"]

    def publisher(self, channel, size, users=1, history=False):
        return ["--tcp", f"127.0.0.1:{self.tcp_port}", "--tcp-hello", 'CONNECT {"verbose":false}\\r\\n',
                "--tcp-msg", f"PUB {channel} {{len}}\\r\\n{{payload}}\\r\\n"]  # fmt: skip
