"""The append-only file of a stopped Redis, damaged as by a crash of its machine."""

from pathlib import Path


def tail(server) -> Path:
    """The file that Redis appends to."""
    (path,) = (Path(server.directory) / "appendonlydir").glob("*.incr.aof")
    return path


def size(server) -> int:
    return tail(server).stat().st_size


def cut(server, to=None, by=None):
    """Keeps only its first `to` bytes, or removes `by` bytes from its end. Returns how many were removed."""
    path = tail(server)
    before = path.stat().st_size
    after = max(0, before - by if to is None else to)
    assert after < before, "nothing to lose"
    with open(path, "r+b") as file:
        file.truncate(after)
    return before - after
