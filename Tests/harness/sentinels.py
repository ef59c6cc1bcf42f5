"""A primary with replicas, watched by Sentinels: real processes, which fail over by themselves.

    with Sentinels() as sentinels:
        gateway = Gateway(sentinels.url)
        sentinels.primary.kill()
        sentinels.await_failover()
"""

import contextlib
import shutil
import subprocess
import tempfile
from pathlib import Path

import redis

from .free_port import free_port
from .redis_server import CONF, RedisServer, answers_ping
from .waiting import wait_until

DOWN_AFTER_MS = 500
FAILOVER_TIMEOUT_MS = 2000


def pairs(words) -> dict[str, str]:
    return dict(zip(words[::2], words[1::2], strict=True))


class Sentinel:
    """One `redis-server --sentinel`; a restart keeps its port and what it has learned."""

    def __init__(self, directory: Path, master: str, primary: RedisServer, quorum: int, password: str | None):
        self.port, self.password = free_port(), password
        self._directory = directory
        self._process = None
        directory.mkdir()
        lines = [
            f"port {self.port}", "bind 127.0.0.1", f"dir {directory}",
            f"sentinel monitor {master} 127.0.0.1 {primary.port} {quorum}",
            f"sentinel down-after-milliseconds {master} {DOWN_AFTER_MS}",
            f"sentinel failover-timeout {master} {FAILOVER_TIMEOUT_MS}",
            f"sentinel parallel-syncs {master} 2",
            *([f"requirepass {password}", f"sentinel sentinel-pass {password}"] if password else []),
        ]  # fmt: skip
        (directory / "sentinel.conf").write_text("\n".join(lines) + "\n")

    @property
    def pid(self):
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, socket_timeout=2, password=self.password, decode_responses=True)

    def ask(self, *words):
        """SENTINEL …, as it is answered: redis-py's own parsers differ between its versions."""
        with self.client() as client:
            return client.execute_command("SENTINEL", *words)

    def start(self):
        with open(self._directory / "log", "ab") as log:
            self._process = subprocess.Popen(
                ["redis-server", str(self._directory / "sentinel.conf"), "--sentinel"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        wait_until(lambda: answers_ping(self.port), 10, "a Sentinel")

    def kill(self):
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None


class Sentinels:
    """count Sentinels and 1 + replicas servers, all of which know each other when the context begins."""

    host = "127.0.0.1"

    def __init__(self, count=3, replicas=2, master="mymaster", password=None, aof=False):
        self.master, self.password = master, password
        self.servers = [RedisServer(aof=aof, args=("--repl-diskless-sync-delay", 0)) for _ in range(1 + replicas)]
        for server in self.servers:
            # Ports that no restart can lose to somebody else.
            server.port = free_port()
        self.count = count
        self.sentinels: list[Sentinel] = []
        self._stack = contextlib.ExitStack()

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tocsin-sentinel-")))
            for n, server in enumerate(self.servers):
                # Sentinel has servers rewrite their configuration file.
                server.conf = shutil.copy(CONF, directory / f"redis-{n}.conf")
                stack.enter_context(server)
            first, *others = self.servers
            for server in others:
                server.client().execute_command("REPLICAOF", first.host, first.port)
            for n in range(self.count):
                sentinel = Sentinel(directory / str(n), self.master, first, self.count // 2 + 1, self.password)
                sentinel.start()
                stack.callback(sentinel.kill)
                self.sentinels.append(sentinel)
            wait_until(self._all_is_known, 20, "Sentinels that know each other and all replicas")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self._stack.close()

    def _all_is_known(self):
        for sentinel in self.sentinels:
            state = pairs(sentinel.ask("MASTER", self.master))
            if int(state["num-other-sentinels"]) != self.count - 1 or int(state["num-slaves"]) != len(self.servers) - 1:
                return False
            # A failover is refused while a Sentinel has seen no replica in order.
            for replica in map(pairs, sentinel.ask("REPLICAS", self.master)):
                if replica["master-link-status"] != "ok" or replica["flags"] != "slave":
                    return False
        return True

    # What a RedisServer has, for whom this is Redis

    @property
    def url(self) -> str:
        return self.url_of(*self.sentinels)

    def url_of(self, *sentinels, ports=()) -> str:
        """The URL with only these Sentinels, or with others' ports."""
        places = [f"127.0.0.1:{port}" for port in [*ports, *(sentinel.port for sentinel in sentinels)]]
        secret = f"?sentinel_password={self.password}" if self.password else ""
        return f"redis+sentinel://{','.join(places)}/{self.master}/3{secret}"

    @property
    def port(self) -> int:
        return self.primary.port

    def client(self, db=3):
        return self.primary.client(db)

    # Who is who

    def primary_of(self, sentinel) -> RedisServer:
        """Whom this Sentinel names."""
        _, port = sentinel.ask("GET-MASTER-ADDR-BY-NAME", self.master)
        return next(server for server in self.servers if server.port == int(port))

    @property
    def primary(self) -> RedisServer:
        """Whom the first Sentinel that answers names."""
        for sentinel in self.sentinels:
            with contextlib.suppress(redis.RedisError):
                return self.primary_of(sentinel)
        raise TimeoutError("no Sentinel answers")

    @property
    def replicas(self) -> list[RedisServer]:
        primary = self.primary
        return [server for server in self.servers if server is not primary and server.running]

    def await_failover(self, old: RedisServer, timeout=20) -> RedisServer:
        """Until every living Sentinel names another server, which says itself that it leads."""

        def new():
            [server] = {self.primary_of(sentinel) for sentinel in self.sentinels if sentinel.running}
            return server is not old and server.client().execute_command("ROLE")[0] == b"master" and server

        return wait_until(new, timeout, "another primary", every=0.05)

    def failover(self, sentinel=0):
        """A planned switch: SENTINEL FAILOVER."""

        # -INPROG, or -NOGOODSLAVE right after another failover.
        wait_until(
            lambda: self.sentinels[sentinel].ask("FAILOVER", self.master), 20, "a Sentinel that begins the failover", every=0.2
        )

    def await_replicas(self, count, timeout=20):
        primary = self.primary
        wait_until(
            lambda: primary.client().info("replication")["connected_slaves"] >= count
            and all(
                replica.client().info("replication").get("master_link_status") == "up" for replica in self.replicas
            ),
            timeout, f"{count} replicas",
        )  # fmt: skip
