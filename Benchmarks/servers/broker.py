"""A message broker without a gateway: WebSocket for clients, TCP for publishers, one configuration file."""

from harness.free_port import free_port

from .server import Server, absent


class Broker(Server):
    uses_redis = False
    binary_name = ""
    configuration = ""  # with {tcp} and {port} for its two ports

    def __init__(self, redis):
        super().__init__(redis)
        self.tcp_port = free_port()

    @classmethod
    def missing(cls):
        return absent(cls.binary_name)

    def program(self):
        path = self.directory / "configuration"
        path.write_text(self.configuration.format(tcp=self.tcp_port, port=self.port))
        return [self.binary_name, "-c", str(path)]

    def tcp_publisher(self, hello, message) -> list[str]:
        """publisher()'s result: what it sends once, and what it sends for each message."""
        return ["--tcp", f"127.0.0.1:{self.tcp_port}", "--tcp-hello", hello, "--tcp-msg", message]
