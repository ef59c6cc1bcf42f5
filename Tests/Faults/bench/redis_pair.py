"""A primary and a replica behind one address that can be moved, like a name or a balancer: gateways, publishers and the
test itself use it instead of a single server."""

import contextlib

from harness.redis_server import RedisServer
from harness.waiting import wait_until

from .tcp_fault import TCPFault

NOBODY = ("127.0.0.1", 1)  # a replica's primary that does not exist


class RedisPair:
    host = "127.0.0.1"

    def __init__(self):
        self.primary, self.replica = (RedisServer(args=("--repl-diskless-sync-delay", 0)) for _ in range(2))
        self._stack = contextlib.ExitStack()

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            for server in (self.primary, self.replica):
                stack.enter_context(server)
            self.follow()
            self._proxy, self._led_to = TCPFault(self.primary.port), self.primary
            stack.callback(self._proxy.close)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self._stack.close()

    # The parts of a RedisServer, for users for whom the address is Redis

    @property
    def port(self) -> int:
        return self._proxy.port

    @property
    def url(self) -> str:
        return self._proxy.url

    def client(self, db=3):
        """Of the server that the address leads to now; moving the address ends its connections."""
        return self._led_to.client(db)

    # Changes of roles

    def lead_to(self, server):
        self._led_to = server
        self._proxy.do("switch", target=[server.host, server.port])

    def follow(self) -> bool:
        """The replica gets everything that the primary has, and what follows. Returns whether its own data could stay."""
        primary, replica = self.primary.client(), self.replica.client()
        full = primary.info("stats")["sync_full"]
        replica.execute_command("REPLICAOF", self.primary.host, self.primary.port)
        wait_until(lambda: replica.info("replication")["master_link_status"] == "up", 20, "a linked replica")
        return primary.info("stats")["sync_full"] == full

    def await_same(self):
        """Waits until the replica has everything."""
        offsets = [server.client() for server in (self.primary, self.replica)]
        wait_until(
            lambda: len({client.info("replication")["master_repl_offset"] for client in offsets}) == 1, 20, "one offset"
        )

    def cut(self):
        """The replica gets nothing more, and stays a replica: what is sent from now on is lost with the primary."""
        self.replica.client().execute_command("REPLICAOF", *NOBODY)

    def promote(self):
        """The replica becomes the primary. The address does not move; the test decides about the other server."""
        self.replica.client().execute_command("REPLICAOF", "NO", "ONE")
        self.primary, self.replica = self.replica, self.primary
