"""The tests' side of a misbehaving TCP connection: a port to connect to instead of the real one."""

from harness.free_port import free_port

from .helper import Helper


class TCPFault:
    def __init__(self, port):
        self.port = free_port()
        self._helper = Helper("tcp_fault_process", {"listen": ["127.0.0.1", self.port], "target": ["127.0.0.1", port]})

    def do(self, word, **order):
        self._helper.tell(word, **order)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/3"

    def close(self):
        self._helper.close()
