"""A TCP listener in a thread, for servers and proxies that tests write themselves."""

import contextlib
import socket
import threading


class Listener:
    """Subclasses define what becomes of each connection. Closed with all that is in `_sockets`."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._sockets = []
        threading.Thread(target=self._accept, daemon=True).start()

    def connected(self, near):
        """Called with each new connection's socket, on the listener's thread."""
        raise NotImplementedError

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for each in [self._listener, *self._sockets]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self._sockets.append(near)
                self.connected(near)
