"""socketify (uWebSockets for Python), which reads Redis on its own loop."""

import subprocess

from .. import FOLDER, REPOSITORY
from .server import Server

PYTHON = FOLDER / "socketify" / "bin" / "python"


class Socketify(Server):
    name = "socketify"
    title = "socketify"

    @classmethod
    def missing(cls):
        if not PYTHON.exists():
            return "its Python environment is not there"
        probe = subprocess.run([PYTHON, "-c", "import socketify"], capture_output=True, text=True)
        return None if probe.returncode == 0 else "it does not load: " + probe.stderr.strip().splitlines()[-1][:120]

    @classmethod
    def version(cls):
        done = subprocess.run(
            [PYTHON, "-c", "from importlib.metadata import version; print(version('socketify'))"],
            capture_output=True, text=True,
        )  # fmt: skip
        return done.stdout.strip()

    def program(self):
        app = REPOSITORY / "Benchmarks" / "sites" / "socketify_site.py"
        return [str(PYTHON), str(app), str(self.port), str(self.redis.port)]

    def client(self, channel, protocol):
        return ["--path", f"/ws/{channel}"]

    def publisher(self, channel, size, users=1, history=False):
        return ["--redis", f"127.0.0.1:{self.redis.port}", "--redis-cmd", f"PUBLISH room.{channel} {{payload}}"]
