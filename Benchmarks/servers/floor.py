"""The floor: one frame encoded once, one send() per socket. No gateway with one write per delivery can cost less."""

import shutil

from ..tools import tool
from .server import Server


class Floor(Server):
    name = "floor"
    title = "floor (C)"

    @classmethod
    def missing(cls):
        return None if shutil.which("gcc") else "there is no gcc"

    @staticmethod
    def binary() -> str:
        return tool("floor")

    def program(self):
        return [self.binary(), "--port", str(self.port), "--redis", f"127.0.0.1:{self.redis.port}"]

    def client(self, channel, protocol):
        return ["--path", f"/ws/{channel}"]

    def publisher(self, channel, size, users=1, history=False):
        return ["--redis", f"127.0.0.1:{self.redis.port}", "--redis-cmd", f"PUBLISH {channel} {{payload}}"]
