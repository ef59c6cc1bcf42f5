"""HAProxy in front of N gateways, with the shipped configuration file."""

import re
import socket

from .free_port import free_port
from .process import REPOSITORY, Process
from .waiting import wait_until

SHIPPED = REPOSITORY / "deploy" / "haproxy.cfg"


class HAProxy(Process):
    name = "haproxy"

    def __init__(self, gateways, host="127.0.0.1"):
        super().__init__()
        self.host = host
        self.port = free_port()
        self.gateways = list(gateways)
        self.control = self.directory / "control"

    def configuration(self) -> str:
        """deploy/haproxy.cfg with this test's addresses in place of DNS, and a control socket."""
        servers = "\n".join(
            f"    server {gateway.id} 127.0.0.1:{gateway.port} check port {gateway.admin_port}" for gateway in self.gateways
        )
        text = SHIPPED.read_text()
        for pattern, replacement in [
            (r"^    bind :8080$", f"    bind {self.host}:{self.port}"),
            (r"^    server-template .*$", servers + "\n"),
            (r"^resolvers dns\n(?:(?:    .*)?\n)*", ""),
            (r"^global$", f"global\n    stats socket {self.control} mode 600 level admin"),
        ]:
            text, times = re.subn(pattern, replacement.replace("\\", r"\\"), text, flags=re.MULTILINE)
            assert times == 1, f"{SHIPPED.name}: {pattern!r} is there {times} times"
        return text

    def command(self):
        path = self.directory / "haproxy.cfg"
        path.write_text(self.configuration())
        return ["haproxy", "-db", "-f", str(path)]

    def ask(self, question) -> str:
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(5)
            control.connect(str(self.control))
            control.sendall(question.encode() + b"\n")
            return b"".join(iter(lambda: control.recv(65536), b"")).decode()

    def servers(self) -> dict[str, dict[str, str]]:
        """Gateway → HAProxy's row for it, by column: status ("UP", "DOWN", …), scur (its open connections), …"""
        names, *rows = [line.split(",") for line in self.ask("show stat").splitlines() if line]
        names[0] = names[0].lstrip("# ")
        table = [dict(zip(names, row)) for row in rows]
        return {row["svname"]: row for row in table if row["pxname"] == "gateways" and row["svname"] != "BACKEND"}

    def ready(self):
        # A server counts as UP until a check has failed: require that it has passed one.
        return all(
            row["status"] == "UP" and row["check_status"].lstrip("* ").startswith("L7OK")
            for row in self.servers().values()
        )

    def wait_for(self, gateway, status, timeout=10):
        wait_until(
            lambda: self.servers()[gateway.id]["status"].startswith(status),
            timeout,
            f"HAProxy sees {gateway.id} {status}",
        )

    def url(self, path) -> str:
        return f"ws://{self.host}:{self.port}{path}"
