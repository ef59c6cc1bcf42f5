"""How many pipelined transactions per second one Redis executes, and the cost of each."""

import socket
import time
from pathlib import Path

from harness.redis_server import RedisServer

IN_FLIGHT = 4  # batches: the next ones wait in Redis' socket while it answers the previous one
END = b"the-batch-ends-here"


def encode(*arguments) -> bytes:
    parts = [argument if isinstance(argument, bytes) else str(argument).encode() for argument in arguments]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


def measure(server: RedisServer, transactions: list[bytes], seconds: float) -> dict[str, float]:
    """Sends all of them in one batch, repeatedly. Each is one or more encoded commands."""
    # The reply to the ECHO marks the end of a batch: the replies themselves are not parsed but only searched for errors, so
    # that this process is never the bottleneck.
    batch = b"".join(transactions) + encode("ECHO", END)
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(encode("SELECT", 3))
        _read_batches(connection, batch, 1, 0)
        began, before = time.monotonic(), cpu_seconds(server.pid)
        batches = _read_batches(connection, batch, 0, seconds)
        elapsed, spent = time.monotonic() - began, cpu_seconds(server.pid) - before
    count = batches * len(transactions)
    return {"per_second": count / elapsed, "cpu_us": spent / count * 1e6, "cpu_percent": spent / elapsed * 100}


def _read_batches(connection, batch, least, seconds) -> int:
    """Keeps batches in flight until the time is over; returns how many were answered."""
    deadline, sent, done, tail = time.monotonic() + seconds, 0, 0, b""
    while done < sent or done < least or time.monotonic() < deadline:
        while sent - done < IN_FLIGHT and (sent < least or time.monotonic() < deadline):
            connection.sendall(batch)
            sent += 1
        data = tail + connection.recv(1 << 20)
        if len(data) == len(tail):
            raise RuntimeError("Redis closed the connection")
        error = data.find(b"\r\n-")
        if error >= 0 or data.startswith(b"-"):
            raise RuntimeError(f"Redis refused: {data[error + 2 : error + 120].decode(errors='replace')}")
        done += data.count(END) - tail.count(END)
        tail = data[-len(END) :]
    return done


def cpu_seconds(pid) -> float:
    """CPU time of all threads, in nanoseconds."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9
