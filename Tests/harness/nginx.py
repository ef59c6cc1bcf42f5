"""nginx in front of N gateways, with the shipped configuration file."""

import re
import signal
import socket

from .free_port import free_port
from .process import REPOSITORY, Process

SHIPPED = REPOSITORY / "deploy" / "nginx.conf"


class Nginx(Process):
    name = "nginx"

    def __init__(self, gateways):
        super().__init__()
        self.port = free_port()
        self.gateways = list(gateways)

    def configuration(self) -> str:
        """deploy/nginx.conf with this test's addresses, and with its files in this test's folder."""
        text = SHIPPED.read_text()
        servers = "".join(
            f"        server 127.0.0.1:{gateway.port} max_fails=2 fail_timeout=2s;\n" for gateway in self.gateways
        )
        for pattern, replacement in [
            (r"^        listen 80;$", f"        listen 127.0.0.1:{self.port};"),
            (r"(?:^        server 10\.0\.0\.\d+:8080 max_fails=2 fail_timeout=2s;\n)+", servers),
            (r"^    access_log \S+ path;$", f"    access_log {self.directory}/access path;"),
            (r"^    error_log \S+ crit;$", f"    error_log {self.directory}/errors crit;"),
            (r"^worker_processes auto;$", f"worker_processes 2;\npid {self.directory}/pid;\ndaemon off;"),
        ]:
            text, times = re.subn(pattern, replacement, text, flags=re.MULTILINE)
            assert times == 1, f"{SHIPPED.name}: {pattern!r} is there {times} times"
        return text

    def command(self):
        path = self.directory / "nginx.conf"
        path.write_text(self.configuration())
        return ["nginx", "-e", "stderr", "-c", str(path)]

    @property
    def access_log(self) -> str:
        return (self.directory / "access").read_text()

    @property
    def error_log(self) -> str:
        return (self.directory / "errors").read_text()

    def ready(self):
        with socket.create_connection(("127.0.0.1", self.port), 1):
            return True

    def url(self, path) -> str:
        return f"ws://127.0.0.1:{self.port}{path}"

    def close(self):
        # Killing a master leaves its workers running.
        if self.running:
            self.resume()
            self.signal(signal.SIGTERM)
            self.wait(5)
        super().close()
