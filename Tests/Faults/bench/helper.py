"""A process that takes orders: one JSON object per line on its standard input, one answer per line on its standard output."""

import json
import os
import select
import subprocess
import sys
import tempfile
import weakref
from pathlib import Path

from harness.process import REPOSITORY

from .network import inside

TESTS = REPOSITORY / "Tests"


class Helper:
    """Runs `python -m Faults.bench.MODULE`. namespace: the network it runs in, if not the test's own."""

    all: "weakref.WeakSet[Helper]" = weakref.WeakSet()  # so that a failed test can show their errors

    def __init__(self, module, spec, namespace=None):
        Helper.all.add(self)
        self.module = module
        self._directory = tempfile.TemporaryDirectory(prefix="tocsin-faults-")
        self.directory = Path(self._directory.name)
        self.log_path = self.directory / "events"
        self._errors = open(self.directory / "errors", "w+")
        self._popen = subprocess.Popen(
            [*inside(namespace), sys.executable, "-m", f"Faults.bench.{module}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            cwd=TESTS,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )
        self._send({**spec, "log": str(self.log_path)})
        self.status = self._receive(30)

    @property
    def errors(self) -> str:
        return (self.directory / "errors").read_text()

    def _send(self, order):
        self._popen.stdin.write(json.dumps(order).encode() + b"\n")
        self._popen.stdin.flush()

    def _receive(self, timeout):
        if not select.select([self._popen.stdout], [], [], timeout)[0]:
            raise TimeoutError(f"{self.module} does not answer\n{self.errors[-4000:]}")
        line = self._popen.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.module} has ended\n{self.errors[-4000:]}")
        return json.loads(line)

    def begin(self, do, **order):
        """Gives an order without waiting for the answer, which must be read by end() before the next."""
        self._send({"do": do, **order})
        self._patience = order.get("timeout", 0) + 30

    def end(self):
        self.status = self._receive(self._patience)
        return self.status

    def tell(self, do, **order):
        self.begin(do, **order)
        return self.end()

    def finish(self):
        """Ends it properly: its log is complete afterwards."""
        if not self._popen.stdin.closed:
            self._popen.stdin.close()
        try:
            if self._popen.wait(30) != 0:
                raise RuntimeError(f"{self.module} failed\n{self.errors[-4000:]}")
        except subprocess.TimeoutExpired:
            self._popen.kill()
            raise

    def close(self):
        if self._popen.poll() is None:
            self._popen.kill()
        self._popen.wait()
        for pipe in (self._popen.stdin, self._popen.stdout, self._errors):
            try:
                pipe.close()
            except BrokenPipeError:
                pass
        self._directory.cleanup()
