"""Limits the size of logs: the present file and the previous one."""

import os
import shutil
from pathlib import Path

MOST_BYTES = 4 << 20  # of a log; twice as much with the previous one


def rotate(path: Path, *, most: int = MOST_BYTES) -> bool:
    """Moves a log that is too large to `<name>.1` and begins an empty one; returns whether it did.

    Programs that append to it continue with the empty file. A line written between copy and truncation is lost.
    """
    try:
        if path.stat().st_size <= most:
            return False
        shutil.copyfile(path, path.with_name(f"{path.name}.1"))
        os.truncate(path, 0)
    except OSError:  # removed meanwhile, or a full disk: the log does not change
        return False
    return True
