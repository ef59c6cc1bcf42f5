"""The machine that measures: its description and its preparation."""

import os
import platform
import resource
import shutil
import subprocess

FILES_NEEDED = 10_400  # the largest shape's clients, and a margin for what a server opens besides


class TooFewFiles(Exception):
    """The hard limit on open files is below what the shapes need."""


def raise_file_limit(needed):
    """Raises the open-file limit of this process and its children; TooFewFiles if fewer than `needed` are permitted."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise TooFewFiles(f"at most {hard} files may be open, {needed} are needed: ulimit -Hn {needed}, as root")
    # Not higher: some servers allocate a table as long as the limit.
    plenty = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, plenty), hard))


def before_others() -> list[str]:
    """A command prefix that gives a process priority over the machine's other jobs, where permitted."""
    if os.geteuid() == 0 and shutil.which("nice"):
        return ["nice", "-n", "-10"]
    return []


def description() -> dict[str, str]:
    """Cores, processor, memory, kernel: what figures depend on, without anything that identifies the machine's owner."""
    with open("/proc/meminfo") as file:
        kib = int(file.readline().split()[1])
    return {
        "cores": str(os.cpu_count()),
        "processor": _processor(),
        "memory": f"{kib / 2**20:.0f} GiB",
        "kernel": platform.release(),
        "system": _system(),
        "redis": _first_line("redis-server", "--version").split(" sha=")[0],
    }


def _processor() -> str:
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def _system() -> str:
    release = platform.freedesktop_os_release()
    return release.get("PRETTY_NAME", "Linux")


def _first_line(*command) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[0]
