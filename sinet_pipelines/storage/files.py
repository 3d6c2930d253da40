"""Writes a file atomically, also if the disk is full or the power fails."""

import errno
import os
import re
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sinet_pipelines.errors import DiskError, first_line

TEMPORARY = "a copy in the folder of temporary files"  # for messages


def write_whole(path: Path, content: bytes) -> None:
    """Writes the bytes to the path in one step; readers get the old file or the new one.

    The bytes are first written under a dotted name, which every reader of a landing zone ignores.

    Raises:
        DiskError: the disk is full or the place is not writable; no partial file remains.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.parent / f".{path.name}.{secrets.token_hex(4)}"
        # created like any other file, so that the umask of the process decides who may read it
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        _sync_folder(path.parent)
    except OSError as error:
        raise DiskError(f"{len(content)} bytes could not be written as {path}: {_why(error)}") from error


@contextmanager
def disk_errors(what: object) -> Iterator[None]:
    """Makes a DiskError of an error of the system in the block, which uses files of this machine alone.

    Args:
        what: the file, for the message.
    """
    try:
        yield
    except OSError as error:
        raise DiskError(f"{what} cannot be used: {_why(error)}") from error


@contextmanager
def temporary_file(prefix: str, *, in_memory_bytes: int) -> Iterator[Any]:
    """A file that is removed after the block: in memory up to a size, then on disk."""
    file: Any = tempfile.SpooledTemporaryFile(max_size=in_memory_bytes, prefix=prefix)  # noqa: SIM115 - closed below
    try:
        yield file
    finally:
        with suppress(OSError):  # on a full disk, closing fails once more for bytes that nobody needs
            file.close()


def _why(error: OSError) -> str:
    text = error.strerror or first_line(error)
    found = re.search(r"\(os error (\d+)\)", text)  # an error of polars has no number but in its text
    number = int(found[1]) if found else error.errno
    full = number in (errno.ENOSPC, errno.EDQUOT)
    return "no space is left; free some and run again" if full else f"{text}; make the place writable"


def _sync_folder(folder: Path) -> None:
    """Makes the new name durable against power failure, not only its bytes."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
