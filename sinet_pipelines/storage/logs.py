"""Keeps logs small: the present file and the one before it."""

import os
import shutil
from pathlib import Path

MOST_BYTES = 4 << 20  # of a log; with the one before it twice as much


def rotate(path: Path, *, most: int = MOST_BYTES) -> bool:
    """Puts a log that is too large aside as `<name>.1` and begins it anew; whether it did.

    Programs that append to it go on with the empty file. A line written in the instant between copy and cut is lost.
    """
    try:
        if path.stat().st_size <= most:
            return False
        shutil.copyfile(path, path.with_name(f"{path.name}.1"))
        os.truncate(path, 0)
    except OSError:  # gone a moment ago, or a full disk: the log goes on as it is
        return False
    return True
