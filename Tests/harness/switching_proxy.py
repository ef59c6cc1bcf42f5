"""An address that leads to one server now and to another later, as a service name does after a failover."""

import contextlib
import socket
import threading

from .listener import Listener


class SwitchingProxy(Listener):
    """Forwards each new connection to the current target port; existing connections stay where they are."""

    def __init__(self, target):
        self.target = target
        self.connections = 0
        super().__init__()

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}/3"

    def connected(self, near):
        self.connections += 1
        try:
            far = socket.create_connection(("127.0.0.1", self.target), 5)
        except OSError:
            near.close()
            return
        far.settimeout(None)
        self._sockets.append(far)
        self._forward(near, far)

    def _forward(self, near, far):
        for pair in ((near, far), (far, near)):
            threading.Thread(target=self._pump, args=pair, daemon=True).start()

    @staticmethod
    def _pump(source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
