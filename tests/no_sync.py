"""Switches off waiting for the disk in every process that the tests start.

SQLite waits for the disk at each of Dagster's events. A kill loses nothing without that; only a power cut would.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).with_name("no_sync.c")


def preload(folder: Path) -> None:
    """Has processes that are started from now on preload the library; where there is no C compiler, nothing changes."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        return
    library = folder / "no_sync.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE)], check=True)
    os.environ["LD_PRELOAD"] = preloaded(library)


def preloaded(library: Path) -> str:
    """The value of `LD_PRELOAD` with one more library."""
    return ":".join(filter(None, [str(library), os.environ.get("LD_PRELOAD")]))
