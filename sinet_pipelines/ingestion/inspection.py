"""Looks into one file of a landing zone: its name by content, its rows, and why it is no drop; once for each state."""

import errno
import hashlib
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from io import BufferedReader
from pathlib import Path

from sinet_pipelines.ingestion.drops import count_rows, named, why_unreadable
from sinet_pipelines.ingestion.events import EventKind, why_no_events
from sinet_pipelines.ingestion.scan import Part

_SETTLED_NS = 2_000_000_000  # no file system in use has a coarser clock


@dataclass(frozen=True)
class Drop:
    """A file of rows or events in the landing zone.

    Attributes:
        path: where it is.
        drop_id: its name by content; two files of the same bytes are one drop.
        rows: rows in it, 0 where it is no table.
        digest: SHA-256 of its bytes.
        why_unreadable: why it is no table, empty where it is one.
    """

    path: Path
    drop_id: str
    rows: int
    digest: str = ""
    why_unreadable: str = ""


def read_bytes(path: Path) -> bytes:
    """The bytes of a file; an OSError as `open_file`."""
    with open_file(path) as file:
        return file.read()


@contextmanager
def open_file(path: Path) -> Iterator[BufferedReader]:
    """A file to be read; an OSError where the machine does not give it, also for what has become no file.

    Neither a link nor a pipe that was put in its place a moment ago is followed or waited for.
    """
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        yield file


def sha256_of(file: BufferedReader) -> str:
    """SHA-256 of a file's bytes, read some at a time."""
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()


def inspect(part: Part, kind: EventKind | None = None) -> Drop | None:
    """The drop or the events in a file, None where the file was removed a moment ago."""
    try:
        state = part.real.lstat()
        age = (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
        # a file that changed within this tick of its clock may change once more and look the same
        is_settled = abs(time.time_ns() - state.st_ctime_ns) > _SETTLED_NS
        digest, rows, why = (_inspected if is_settled else _inspected.__wrapped__)(part.real, age, kind)
    except FileNotFoundError:
        return None
    except OSError as error:  # never kept: the machine may give it next time
        why = f"cannot be read ({error.strerror})"
        digest, rows = hashlib.sha256(f"{part.name} {why}".encode(errors="surrogateescape")).hexdigest(), 0
    name = named(digest, part.hive)
    return Drop(part.path, name, rows, digest, why)


@lru_cache(maxsize=1 << 16)
def _inspected(path: Path, age: tuple[int, ...], kind: EventKind | None) -> tuple[str, int, str]:
    """SHA-256 of a file of this age, its rows, and why it is not used, empty where it is."""
    with open_file(path) as file:
        digest = sha256_of(file)
        if kind is None:
            why = f"is no readable Parquet file ({why})" if (why := why_unreadable(file)) else ""
            return digest, 0 if why else count_rows(file), why
    content = read_bytes(path)
    why = why_no_events(content, kind)
    return digest, 0 if why else count_rows(content), why
