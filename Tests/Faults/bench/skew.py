"""A wall clock that a test can change while the process runs (skew.c)."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

SOURCE = Path(__file__).with_name("skew.c")


class Skew:
    """environment: must be passed to a process so that move() changes its clock."""

    def __init__(self):
        self._directory = tempfile.TemporaryDirectory(prefix="tocsin-skew-")
        self._file = Path(self._directory.name) / "seconds"
        library = Path(self._directory.name) / "skew.so"
        compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))))
        subprocess.run([compiler, "-O2", "-Wall", "-shared", "-fPIC", SOURCE, "-o", library], check=True)
        self.move(0)
        self.environment = {"LD_PRELOAD": str(library), "SKEW_FILE": str(self._file)}

    def move(self, seconds):
        """Sets the clock this many seconds off the true time, from now on."""
        # Atomically, because the process may read at any moment.
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds}\n")
        os.replace(new, self._file)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._directory.cleanup()
