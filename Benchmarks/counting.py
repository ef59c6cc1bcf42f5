"""User-space work of a server's event loops, counted under QEMU: figures that depend neither on noise nor on the machine."""

import functools
import mmap
import platform
import re
import shutil
import struct
import subprocess
from dataclasses import dataclass

from harness.waiting import wait_until

from . import FOLDER
from .tools import tool

QEMU = f"qemu-{platform.machine()}"
HEADER = struct.Struct("<5Q")  # armed, turns, instructions, system calls, unfinished turns
BLOCK = struct.Struct("<3Q")  # address, instructions, executed
SLOTS = 1 << 18
ALLOCATORS = ("malloc", "calloc", "realloc", "aligned_alloc", "posix_memalign")


@dataclass(frozen=True)
class Cost:
    turns: float
    instructions: float
    system_calls: float
    allocations: float

    def __sub__(self, other):
        return Cost(*(mine - theirs for mine, theirs in zip(self.all, other.all)))

    @classmethod
    def least(cls, costs):
        """The minimum of several rounds of the same work. Anything else that happens in a round only adds to it."""
        return cls(*map(min, zip(*(cost.all for cost in costs))))

    def per(self, count):
        return Cost(*(number / count for number in self.all))

    @property
    def all(self):
        return (self.turns, self.instructions, self.system_calls, self.allocations)


@functools.cache
def plugin() -> str:
    """The path of the plugin, built for the first version of the plugin interface that this QEMU accepts."""
    for version in range(1, 8):
        path = tool("instructions", "-shared", "-fPIC", f"-DPLUGIN_VERSION={version}", suffix=f"-{version}.so")
        counts = FOLDER / "counts.probe"
        counts.write_bytes(bytes(HEADER.size))
        probe = [QEMU, "-plugin", f"{path},counts={counts}", shutil.which("true")]
        if subprocess.run(probe, capture_output=True).returncode == 0:
            return path
    raise RuntimeError(f"{QEMU} takes no version of Benchmarks/instructions.c")


def missing() -> str | None:
    return None if shutil.which(QEMU) else f"{QEMU} is not installed (Debian: qemu-user)"


def counted(server_class):
    """The same server under QEMU. While armed, its loops' work is counted and its clock stands still; `cost()` is the total
    so far."""

    class Counted(server_class):
        start_timeout = 60.0

        def program(self):
            binary, *arguments = super().program()
            self.counts = self.directory / "counts"
            with open(self.counts, "wb") as file:
                file.truncate(HEADER.size + SLOTS * BLOCK.size)
            with open(self.counts, "r+b") as file:
                self.memory = mmap.mmap(file.fileno(), 0)
            return [QEMU, "-plugin", f"{plugin()},counts={self.counts}", binary, *arguments]

        def environment(self):
            # Swift's hash seed: the number of collisions must not differ between processes.
            return {**super().environment(), "SWIFT_DETERMINISTIC_HASHING": "1"}

        def arm(self, on=True):
            self.memory[:8] = struct.pack("<Q", on)

        def settle(self):
            """Waits until all turns have ended and no reply is due that starts another."""
            before = None

            def still():
                nonlocal before
                *now, unfinished = HEADER.unpack_from(self.memory)
                now, before = before, now
                return now == before and not unfinished

            wait_until(still, timeout=30, what="the server has nothing more to do")

        def cost(self) -> Cost:
            _, turns, instructions, calls, _ = HEADER.unpack_from(self.memory)
            entries = self.allocator_entries
            blocks = BLOCK.iter_unpack(self.memory[HEADER.size :])
            allocations = sum(executed for address, _, executed in blocks if address in entries)
            return Cost(turns, instructions, calls, allocations)

        @functools.cached_property
        def allocator_entries(self) -> set[int]:
            # QEMU has its own libc; the guest's has the lower address.
            with open(f"/proc/{self.pid}/maps") as file:
                addresses, *_, path = next(line.split() for line in file if re.search(r"/libc[.-]", line))
            return {int(addresses.split("-")[0], 16) + offset for offset in exported(path)}

    return Counted


@functools.cache
def exported(library) -> list[int]:
    """The addresses of the allocating functions in a libc."""
    listed = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True).stdout
    names = "|".join(ALLOCATORS)
    return [int(address, 16) for address in re.findall(rf"^(\w+) [TWi] (?:{names})(?:@|$)", listed, re.M)]
