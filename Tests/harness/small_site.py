"""A site in a thread that answers a gateway's requests: who a client is, or an issuer's keys."""

import http.server
import threading


class SmallSite:
    """Subclasses define the responses. Called from several threads at the same time."""

    protocol = "HTTP/1.0"  # one connection per request, so that a closed server is unreachable. HTTP/1.1 keeps them

    class _Server(http.server.ThreadingHTTPServer):
        request_queue_size = 128  # a gateway asks for many clients at the same time

    def __init__(self):
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = site.protocol

            def do_GET(self):
                self._respond(*site.answer(self.path, self.headers))

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self._respond(*site.answer_post(self.path, self.headers, body))

            def _respond(self, status, body):
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self._server = self._Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def answer(self, path, headers) -> tuple[int, bytes]:
        raise NotImplementedError

    def answer_post(self, path, headers, body) -> tuple[int, bytes]:
        raise NotImplementedError

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
