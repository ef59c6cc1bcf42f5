"""A child process that a test starts, watches and ends. Its output goes to a file, which is shown on failure."""

import os
import signal
import subprocess
import tempfile
import time
import weakref
from pathlib import Path

from .waiting import wait_until

REPOSITORY = Path(__file__).resolve().parent.parent.parent


def _state(task: Path) -> str:
    """The state letter of proc(5); T is stopped. It follows the name, which may contain anything."""
    return (task / "stat").read_text().rpartition(")")[2].split()[0]


class Process:
    """Subclasses define the command (command) and when it is up (ready); `with` starts and stops it."""

    name = "process"
    start_timeout = 20.0
    stop_timeout = 20.0
    own_session = False  # True: Ctrl-C in the terminal does not reach it
    # For the report of a failed test: the processes that exist, and the output of those already closed.
    all: "weakref.WeakSet[Process]" = weakref.WeakSet()
    closed: list[tuple[str, str]] = []

    def __init__(self):
        Process.all.add(self)
        self._directory = tempfile.TemporaryDirectory(prefix=f"tocsin-{self.name}-")
        self.directory = Path(self._directory.name)
        self.log_path = self.directory / "log"
        self.popen: subprocess.Popen | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        return dict(os.environ)

    def ready(self) -> bool:
        raise NotImplementedError

    @property
    def pid(self) -> int:
        assert self.popen is not None, f"{self.name} was not started"
        return self.popen.pid

    @property
    def running(self) -> bool:
        return self.popen is not None and self.popen.poll() is None

    @property
    def log(self) -> str:
        """Its output since its first start, both streams."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def testimony(self) -> tuple[str, str]:
        """Its part of a failed test's report: a title and a text, which may be empty."""
        return f"{self.name} {getattr(self, 'id', '')}", self.log[-6000:]

    def start(self, wait=True):
        assert not self.running, f"{self.name} runs already"
        with open(self.log_path, "ab") as log:
            self.popen = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment(),
                cwd=self.directory,
                start_new_session=self.own_session,
            )
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, timeout=None):
        timeout = timeout or self.start_timeout
        deadline = time.monotonic() + timeout
        while not self._is_ready():
            if not self.running:
                raise RuntimeError(f"{self.name} ended with {self.popen.returncode}:\n{self.log[-4000:]}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.name} is not ready after {timeout:g} s:\n{self.log[-4000:]}")
            time.sleep(0.02)

    def _is_ready(self):
        try:
            return self.ready()
        except OSError:
            return False

    def signal(self, number):
        self.popen.send_signal(number)

    def wait(self, timeout=None) -> int:
        """Waits until it has ended by itself; returns its exit code."""
        try:
            return self.popen.wait(timeout or self.stop_timeout)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"{self.name} still runs:\n{self.log[-4000:]}") from None

    def stop(self, timeout=None) -> int:
        """Sends SIGTERM and waits; returns its exit code. A process that does not end is killed, which is an error."""
        if self.running:
            self.signal(signal.SIGTERM)
        try:
            return self.wait(timeout)
        except TimeoutError:
            self.kill()
            raise

    def kill(self):
        """Sends SIGKILL and waits."""
        if self.running:
            self.signal(signal.SIGKILL)
        self.popen.wait()

    def pause(self):
        """Sends SIGSTOP; returns once every thread is stopped, which is later than kill(2) returns."""
        self.signal(signal.SIGSTOP)
        tasks = Path(f"/proc/{self.pid}/task")
        wait_until(lambda: all(_state(task) == "T" for task in tasks.iterdir()), 10, f"{self.name} stands still", 0.001)

    def resume(self):
        self.signal(signal.SIGCONT)

    def __enter__(self):
        if self.popen is None:
            try:
                self.start()
            except BaseException:
                self.close()
                raise
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Ends it by any means and deletes its files: for the end of a test, in whatever state."""
        if self.running:
            self.resume()
            self.kill()
        Process.closed.append(self.testimony())
        self._directory.cleanup()
