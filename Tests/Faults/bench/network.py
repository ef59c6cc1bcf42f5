"""Network namespaces for the tests, so that network faults stay inside: the machine's network is not touched.

A test thread enters one and starts servers and clients there; others run in further ones; wan.py joins two of them.
"""

import contextlib
import ctypes
import itertools
import os
import subprocess
import sys

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count(1)


def possible() -> bool:
    return os.geteuid() == 0 and os.path.exists("/dev/net/tun")


def inside(namespace) -> list[str]:
    """The prefix of a command that should run in the namespace."""
    return ["ip", "netns", "exec", namespace.name] if namespace else []


def _set_namespace(descriptor):
    if _libc.setns(descriptor, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


class Namespace:
    """`with`: it exists, with loopback up. entered(): this thread, and what it starts, runs in it."""

    def __init__(self, role):
        self.name = f"tocsin-{os.getpid()}-{next(_numbers)}-{role}"

    def __enter__(self):
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        subprocess.run(["ip", "-n", self.name, "link", "set", "lo", "up"], check=True)
        return self

    def __exit__(self, *_):
        subprocess.run(["ip", "netns", "del", self.name], check=True)

    @property
    def path(self) -> str:
        return f"/run/netns/{self.name}"

    @contextlib.contextmanager
    def entered(self):
        # That of this thread, which may differ from the process'.
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            there = os.open(self.path, os.O_RDONLY)
            try:
                _set_namespace(there)
            finally:
                os.close(there)
            try:
                yield self
            finally:
                _set_namespace(home)
        finally:
            os.close(home)


class Wan:
    """A bad link between two namespaces. The addresses are its ends: .a in the first, .b in the second."""

    a, b = "10.77.0.1", "10.77.0.2"

    def __init__(self, first, second):
        self._command = [
            sys.executable, os.path.join(os.path.dirname(__file__), "wan.py"),
            "--a", f"{first.path}={self.a}", "--b", f"{second.path}={self.b}",
        ]  # fmt: skip

    def __enter__(self):
        self._popen = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._popen.stdout.readline() == "up\n", "the link did not come up"
        return self

    def set(self, **parameters):
        """delay=ms, jitter=ms, loss=percent, each way."""
        for name, value in parameters.items():
            self._popen.stdin.write(f"{name} {value}\n")
        self._popen.stdin.flush()

    def __exit__(self, *_):
        self._popen.kill()
        self._popen.wait()
        self._popen.stdin.close()
        self._popen.stdout.close()
