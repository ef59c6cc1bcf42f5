"""A real redis-server for a test: a free loopback port and a temporary directory.

    with RedisServer() as server:
        server.client().ping()

The server runs with the repository's redis/redis.conf, so that the tests cover the shipped file. The overrides on
its command line change only what a test machine needs: the address, the directory, persistence.
"""

import atexit
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from harness.free_port import free_port

REPOSITORY = Path(__file__).resolve().parents[2]
CONF = REPOSITORY / "redis" / "redis.conf"
USERS = REPOSITORY / "redis" / "users.acl"
LIBRARY = REPOSITORY / "redis" / "tocsin.lua"

START_SECONDS = 15.0
STOP_SECONDS = 15.0


class RedisServer:
    """One redis-server process. A restart keeps the port and the data directory.

    aof   append-only file on: data survive stop() and kill(). Otherwise nothing is persisted.
    acl   True: redis/users.acl; a path: that file. A copy each time, so that ACL SAVE does not write into the repository.
    conf  a configuration file in place of redis/redis.conf; False for none.
    args  further command-line arguments, which take precedence: args=("--maxmemory", "10mb").
    environment  variables added to the test's own.
    host, wrapper  the address to reach it at and a command to run it in, for a server in another network namespace.
    """

    def __init__(self, aof=False, acl=False, conf=None, args=(), environment=None, host="127.0.0.1", wrapper=()):
        self.aof = aof
        self.acl = acl
        self.conf = CONF if conf is None and CONF.exists() else conf
        self.args = [str(a) for a in args]
        self.environment = environment or {}
        self.host, self.wrapper = host, list(wrapper)
        self.port = None
        self.directory = None
        self._process = None
        self._clients = []

    # Address

    @property
    def url(self):
        return self.url_of(3)

    def url_of(self, db):
        return f"redis://{self.host}:{self.port}/{db}"

    @property
    def pid(self):
        return self._process.pid if self._process else None

    @property
    def running(self):
        return self._process is not None and self._process.poll() is None

    @property
    def log(self):
        """The server's log over all its starts."""
        path = Path(self.directory) / "redis.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def client(self, db=3, **kw):
        """A redis.Redis that never retries, so that a test sees each error. Closed when the server ends."""
        kw.setdefault("retry", Retry(NoBackoff(), 0))
        kw.setdefault("socket_timeout", 20)
        client = redis.Redis(host=self.host, port=self.port, db=db, **kw)
        self._clients.append(client)
        return client

    def load_library(self):
        """Loads redis/tocsin.lua as a gateway does when the library is missing."""
        with self.client() as client:
            client.execute_command("FUNCTION", "LOAD", "REPLACE", LIBRARY.read_bytes())

    def cli(self, *args, db=3, stdin=None):
        """Runs redis-cli against this server; returns its standard output as text."""
        done = subprocess.run(
            ["redis-cli", "-h", self.host, "-p", str(self.port), "-n", str(db), *map(str, args)],
            input=stdin, capture_output=True, timeout=20, check=True)
        return done.stdout.decode(errors="replace")

    # Lifecycle

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.close()

    def start(self):
        """Starts or restarts the server; returns when it answers PING."""
        if self.running:
            raise RuntimeError("this redis-server runs already")
        if self.directory is None:
            self.directory = tempfile.mkdtemp(prefix="tocsin-redis-")
            atexit.register(self.close)
        if self.acl and not (Path(self.directory) / "users.acl").exists():
            shutil.copy(USERS if self.acl is True else self.acl, Path(self.directory) / "users.acl")
        tries = 5 if self.port is None else 1
        for _ in range(tries):
            port = self.port or free_port()
            if self._spawn(port):
                self.port = port
                return self
        raise RuntimeError(f"redis-server did not start:\n{self.log[-4000:]}")

    def stop(self):
        """SIGTERM, as an orderly shutdown; returns when the process has ended."""
        self._end(signal.SIGTERM)

    def kill(self):
        """SIGKILL, as a crash; returns when the process has ended."""
        self._end(signal.SIGKILL)

    def close(self):
        """Ends the server and removes its directory."""
        atexit.unregister(self.close)
        for client in self._clients:
            client.close()
        self._clients.clear()
        try:
            self.kill()
        finally:
            if self.directory is not None:
                shutil.rmtree(self.directory, ignore_errors=True)
                self.directory = None

    # Internals

    def _command_line(self, port):
        line = [*self.wrapper, "redis-server"]
        if self.conf:
            line.append(str(self.conf))
        line += ["--port", str(port), "--bind", self.host, "--dir", self.directory, "--save", "",
                 "--appendonly", "yes" if self.aof else "no", "--daemonize", "no", "--loglevel", "notice"]
        if self.acl:
            line += ["--aclfile", str(Path(self.directory) / "users.acl")]
        return line + self.args

    def _spawn(self, port):
        """True once it answers; False if the port was taken in the meantime; raises if it cannot start at all."""
        seen = len(self.log)
        with open(Path(self.directory) / "redis.log", "ab") as log:
            self._process = subprocess.Popen(
                self._command_line(port), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                env={**os.environ, **self.environment},
                start_new_session=True)    # Ctrl-C reaches only the tests, which end the server themselves
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                text = self.log[seen:]
                if "Address already in use" in text:
                    return False
                raise RuntimeError(f"redis-server ended with {self._process.returncode}:\n{text[-4000:]}")
            # Both, since the log is this process': another server on the port is not mistaken for it.
            if "Ready to accept connections" in self.log[seen:] and answers_ping(port, self.host):
                return True
            time.sleep(0.01)
        self._end(signal.SIGKILL)
        raise RuntimeError(f"redis-server was not ready after {START_SECONDS} s:\n{self.log[seen:][-4000:]}")

    def _end(self, sign):
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(sign)
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
                raise RuntimeError(f"redis-server ignored {sign.name} for {STOP_SECONDS} s") from None
        self._process = None


def answers_ping(port, host="127.0.0.1"):
    """True if a server answers: with PONG, or that a login is required. LOADING does not count as ready."""
    try:
        with socket.create_connection((host, port), 1) as s:
            s.settimeout(1)
            s.sendall(b"PING\r\n")
            return s.recv(64).startswith((b"+PONG", b"-NOAUTH"))
    except OSError:
        return False
