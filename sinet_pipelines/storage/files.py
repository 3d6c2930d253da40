"""Writes a file that is seen whole or not at all, also after the disk was full or the power went."""

import errno
import os
import tempfile
from pathlib import Path

from sinet_pipelines.errors import StorageError


def write_whole(path: Path, content: bytes) -> None:
    """Puts the bytes at the path in one step; readers see the old file or the new one.

    The bytes are written under a dotted name first, which every reader of a landing zone passes over.

    Raises:
        StorageError: the disk is full or the place not writable; nothing is left half-written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fchmod(handle, 0o644)  # a temporary file is its owner's alone, a landed one is for all to read
                os.fsync(file.fileno())
            Path(partial).replace(path)
        finally:
            Path(partial).unlink(missing_ok=True)
        _sync_folder(path.parent)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        why = "no space is left; free some and run again" if full else f"{error.strerror}; make the place writable"
        raise StorageError(f"{len(content)} bytes could not be written as {path}: {why}") from error


def _sync_folder(folder: Path) -> None:
    """Makes the new name outlast a power cut, not only the bytes under it."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
