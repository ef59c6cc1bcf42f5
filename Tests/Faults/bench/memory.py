"""What a process uses, according to the kernel."""

from pathlib import Path


def resident(pid) -> int:
    """Bytes in memory now."""
    with open(f"/proc/{pid}/status") as status:
        for line in status:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    raise RuntimeError("no VmRSS")


def processor(pid) -> float:
    """CPU seconds so far, of all threads."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9
