"""The load generator and the floor, compiled from this folder."""

import subprocess

from . import FOLDER, REPOSITORY


def tool(name, *options, suffix="") -> str:
    """The path of a C program of this folder, compiled first if its source is newer."""
    source, binary = REPOSITORY / "Benchmarks" / f"{name}.c", FOLDER / f"{name}{suffix}"
    if not binary.exists() or binary.stat().st_mtime < source.stat().st_mtime:
        FOLDER.mkdir(parents=True, exist_ok=True)
        subprocess.run(["gcc", "-O2", "-std=c11", "-Wall", "-Wextra", *options, "-o", binary, source], check=True)
    return str(binary)
