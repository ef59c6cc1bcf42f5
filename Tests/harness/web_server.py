"""An HTTP(S) server in a thread whose behaviour a test can change: what escalations are sent to."""

import contextlib
import http.server
import sys
import threading
from dataclasses import dataclass, field

from harness.waiting import wait_until


@dataclass
class Request:
    path: str
    headers: dict  # names in lower case
    body: bytes


@dataclass
class Behaviour:
    """How requests are answered. `hang`: not at all. `endless`: a body that does not end."""

    status: int | None = None  # None: the server's own success
    headers: dict = field(default_factory=dict)
    hang: bool = False
    endless: bool = False


class WebServer:
    """Subclasses check requests and record what they mean. Called from several threads at the same time."""

    success = 200

    class _Server(http.server.ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, request, client_address):
            # Not worth a line: a client that gives up, or does not trust the certificate.
            if not isinstance(sys.exc_info()[1], OSError):
                super().handle_error(request, client_address)

    def __init__(self, tls=None):
        """tls: an SSLContext of the server."""
        site = self
        self.requests: list[Request] = []
        self.most_at_once = 0
        self.written = 0  # bytes of endless bodies
        self._at_once = 0
        self._behaviour = Behaviour()
        self._lock = threading.Lock()
        self._released = threading.Event()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                site._answer(self, Request(self.path, {k.lower(): v for k, v in self.headers.items()}, body))

            def log_message(self, *_):
                pass

        self._server = self._Server(("127.0.0.1", 0), Handler)
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self._server.server_address[1]
        self.origin = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def received(self, request: Request) -> int | None:
        """Called for each request that gets the server's own success. A number is answered instead, as the status."""

    def behave(self, **behaviour):
        """From now on: see Behaviour. Without arguments: success again, also for those that hang."""
        self._behaviour = Behaviour(**behaviour)
        if not self._behaviour.hang:
            released, self._released = self._released, threading.Event()
            released.set()

    def wait(self, count=1, timeout=20) -> list[Request]:
        """Waits for so many requests since the start and returns all of them."""
        wait_until(lambda: len(self.requests) >= count, timeout, f"{count} requests")
        return list(self.requests)

    def _answer(self, handler, request):
        with self._lock:
            self.requests.append(request)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            if self._behaviour.hang:
                self._released.wait()
            with contextlib.suppress(OSError):
                self._respond(handler, request, self._behaviour)
        finally:
            with self._lock:
                self._at_once -= 1

    def _respond(self, handler, request, behaviour):
        status = behaviour.status or self.received(request) or self.success
        handler.send_response(status)
        for name, value in behaviour.headers.items():
            handler.send_header(name, value)
        if not behaviour.endless:
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        handler.send_header("Content-Length", str(1 << 40))
        handler.end_headers()
        while not self._released.is_set():
            self.written += handler.wfile.write(bytes(16 << 10))

    def close(self):
        self._released.set()
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
