"""The append-only file of a Redis that is not running, damaged as a crash of its machine would."""

from pathlib import Path


def tail(server) -> Path:
    """The file that Redis appends to."""
    (path,) = (Path(server.directory) / "appendonlydir").glob("*.incr.aof")
    return path


def size(server) -> int:
    return tail(server).stat().st_size


def cut(server, to=None, by=None):
    """Only its first `to` bytes are there, or `by` bytes are missing at its end. Returns how many are gone."""
    path = tail(server)
    before = path.stat().st_size
    after = max(0, before - by if to is None else to)
    assert after < before, "nothing to lose"
    with open(path, "r+b") as file:
        file.truncate(after)
    return before - after
