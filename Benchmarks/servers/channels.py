"""Django Channels under one uvicorn process, with each of its two Redis layers, at a load that it can sustain."""

import os
import subprocess

from .. import FOLDER, REPOSITORY
from .server import Server

PYTHON = FOLDER / "channels" / "bin" / "python"
VERSIONS = "from importlib.metadata import version as v; print(v('channels'), '+ channels_redis', v('channels_redis'))"


class Channels(Server):
    layer = ""
    most_clients = 1000
    pace = 0.02
    private_pace = 0.1

    @classmethod
    def missing(cls):
        return None if PYTHON.exists() else "its Python environment is not there"

    @classmethod
    def version(cls):
        return subprocess.run([PYTHON, "-c", VERSIONS], capture_output=True, text=True).stdout.strip()

    def program(self):
        return [
            str(PYTHON), "-m", "uvicorn", "channels_site:application", "--host", "127.0.0.1", "--port", str(self.port),
            "--app-dir", str(REPOSITORY / "Benchmarks" / "sites"), "--loop", "uvloop", "--http", "httptools",
            "--ws", "websockets-sansio", "--ws-per-message-deflate", "false", "--ws-ping-interval", "25",
            "--backlog", "4096", "--log-level", "warning", "--lifespan", "off",
        ]  # fmt: skip

    def environment(self):
        return {**os.environ, **self.layer_settings()}

    def client(self, channel, protocol):
        return ["--path", f"/ws/{channel}"]

    def publisher(self, channel, size, users=1, history=False):
        # A Django process that sends, as sites do. Its own CPU is not counted.
        script = REPOSITORY / "Benchmarks" / "sites" / "channels_publisher.py"
        layer = " ".join(f"{name}={value}" for name, value in self.layer_settings().items())
        return ["--publish-cmd", f"{layer} exec {PYTHON} {script} '{channel}' {users}"]

    def layer_settings(self) -> dict[str, str]:
        """What the site and its publishers must agree on."""
        return {"BENCH_LAYER": self.layer, "BENCH_REDIS": self.redis.url_of(0)}


class ChannelsCore(Channels):
    name = "channels-core"
    title = "Django Channels, core layer"
    layer = "channels_redis.core.RedisChannelLayer"


class ChannelsPubSub(Channels):
    name = "channels-pubsub"
    title = "Django Channels, pub/sub layer"
    layer = "channels_redis.pubsub.RedisPubSubChannelLayer"
