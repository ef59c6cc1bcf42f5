"""Tocsin: one gateway with one event loop."""

import json
import os
from pathlib import Path

from harness.free_port import free_port
from harness.gateway import binary, tocsin
from harness.http_client import get

from .server import CENTRIFUGE, PLAIN, SSE, Server


class Tocsin(Server):
    name = "tocsin"
    title = "Tocsin"
    protocols = {PLAIN, CENTRIFUGE, SSE}
    keeps_history = True
    keeps_receipts = True

    def __init__(self, redis):
        super().__init__(redis)
        self.admin_port = free_port()

    @classmethod
    def missing(cls):
        return None if Path(binary()).exists() else "it is not built: make build"

    @staticmethod
    def binary() -> str:
        return binary()

    @classmethod
    def version(cls):
        return tocsin("--version").stdout.strip()

    def program(self):
        configuration = {
            "gateway": {"allowed_hosts": ["*"], "threads": 1, "ping_seconds": 25, "pong_seconds": 15},
            "routes": [
                {"path": "/ws/{room}", "groups": ["{room}"]},
                {"path": "/centrifuge/{room}", "protocol": "centrifuge", "groups": ["{room}"]},
            ],
            "groups": [
                {"match": "{user}.tracked", "history": {"size": 100, "ttl": "1d"}, "receipts": True},
                {"match": "*", "history": {"size": 100, "ttl": "1d"}},
            ],
        }
        path = self.directory / "tocsin.yaml"
        path.write_text(json.dumps(configuration))
        return [
            binary(), "gateway", "--config", str(path), "--redis", self.redis.url,
            "--bind", self.address, "--admin", f"127.0.0.1:{self.admin_port}", "--id", f"bench-{self.port}",
        ]  # fmt: skip

    def environment(self):
        # A developer's own TOCSIN_… settings would override the configuration under test.
        return {name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")}

    def ready(self):
        return get(self.admin_port, "/readyz").status == 200

    def client(self, channel, protocol):
        if protocol == CENTRIFUGE:
            return ["--path", f"/centrifuge/{channel}",
                    "--send", '{"id":1,"connect":{}}', "--wait", '"connect"', "--reply", "{}=>{}"]  # fmt: skip
        return ["--path", f"/ws/{channel}", *(["--sse"] if protocol == SSE else [])]

    def publisher(self, channel, size, users=1, history=False):
        command = f"PUBLISH asgi__group__{channel} {{payload}}"
        if history:
            command = f"FCALL group_send 1 asgi:group:{channel} {{payload}}"
        return ["--redis", f"127.0.0.1:{self.redis.port}", "--redis-db", "3", "--redis-cmd", command]
