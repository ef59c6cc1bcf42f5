"""A Sentinel that lies: it answers every question for the primary's address with the bytes that it was given."""

import contextlib
import threading
import time

from .listener import Listener

ENDLESS = object()


class FalseSentinel(Listener):
    """answer: bytes of RESP; ENDLESS: a reply that never ends; None: silence."""

    def __init__(self, answer):
        self.answer = answer
        self.questions = 0
        self.sent = 0  # bytes of endless replies
        self.subscribers = []
        super().__init__()

    @staticmethod
    def address(port, host="127.0.0.1") -> bytes:
        return b"*2\r\n$%d\r\n%s\r\n$%d\r\n%d\r\n" % (len(host), host.encode(), len(str(port)), port)

    def connected(self, near):
        threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near):
        with contextlib.suppress(OSError):
            while data := near.recv(65536):
                words = data.upper()
                if b"SUBSCRIBE" in words:
                    near.sendall(b"*3\r\n$9\r\nsubscribe\r\n$14\r\n+switch-master\r\n:1\r\n")
                    self.subscribers.append(near)
                    continue
                near.sendall(b"+OK\r\n" * words.count(b"\r\nCLIENT\r\n"))
                if b"GET-MASTER-ADDR" in words:
                    self.questions += 1
                    self._answer(near)
                if b"\r\nPING\r\n" in words:
                    near.sendall(b"*2\r\n$4\r\npong\r\n$0\r\n\r\n")

    def announce(self, old, new, host="127.0.0.1"):
        """Tells everybody who has subscribed that the primary has moved from one port to another."""
        words = f"mymaster {host} {old} {host} {new}".encode()
        for near in self.subscribers:
            with contextlib.suppress(OSError):
                near.sendall(b"*3\r\n$7\r\nmessage\r\n$14\r\n+switch-master\r\n$%d\r\n%s\r\n" % (len(words), words))

    def _answer(self, near):
        if self.answer is None:
            time.sleep(60)
        elif self.answer is ENDLESS:
            near.sendall(b"$1000000000\r\n")
            while True:
                self.sent += near.send(b"x" * 65536)
        else:
            near.sendall(self.answer)
