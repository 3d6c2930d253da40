"""Looks into one file of a landing zone: its name by content, its rows, and why it is no drop; once for each state."""

import errno
import hashlib
import os
import stat
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from sinet_pipelines.ingestion.drops import Hive, count_rows, examine, named
from sinet_pipelines.ingestion.events import EventKind, why_no_events
from sinet_pipelines.ingestion.scan import Part
from sinet_pipelines.storage.cache import read_cache, write_cache

_SMALL_BYTES = 4 << 20
_MOST = 1 << 16  # files of which a process knows what is in them
_SETTLED_NS = 2_000_000_000  # no file system in use has a coarser clock


@dataclass(frozen=True)
class Drop:
    """A file of rows or events in the landing zone.

    Attributes:
        path: where it is.
        real: where its bytes are; another path only for a link.
        hive: column and value of each folder above it that is called `column=value`.
        drop_id: its name by content; two files of the same bytes are one drop.
        rows: rows in it, 0 where it is no table.
        digest: SHA-256 of its bytes.
        why_unreadable: why it is no table, empty where it is one.
    """

    path: Path
    real: Path
    hive: Hive
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


Found = tuple[str, int, str]  # SHA-256 of a file, its rows, and why it is not used, empty where it is
_FOUND: OrderedDict[str, Found] = OrderedDict()  # by the file and its age: one that changed has another


def inspect(part: Part, kind: EventKind | None = None) -> Drop | None:
    """The drop or the events in a file, None where the file was removed a moment ago."""
    try:
        state = part.real.lstat()
        # a file that changed within this tick of its clock may change once more and look the same
        is_settled = abs(time.time_ns() - state.st_ctime_ns) > _SETTLED_NS
        digest, rows, why = _looked_up(part.real, state, kind) if is_settled else _look_into(part.real, kind)
    except FileNotFoundError:
        return None
    except OSError as error:  # never kept: the machine may give it next time
        why = f"cannot be read ({error.strerror})"
        digest, rows = hashlib.sha256(f"{part.name} {why}".encode(errors="surrogateescape")).hexdigest(), 0
    name = named(digest, part.hive)
    return Drop(part.path, part.real, part.hive, name, rows, digest, why)


@contextmanager
def remembered(path: Path) -> Iterator[None]:
    """Begins with what an earlier process found of files that did not change, and keeps what this one finds.

    Args:
        path: of the file in which it is kept; a damaged one is passed over and rewritten.
    """
    before = {name: tuple(found) for name, found in read_cache(path).items() if _is_sound(found)}
    for name, found in before.items():
        _FOUND.setdefault(name, found)
    yield
    if _FOUND.items() - before.items():
        write_cache(path, _FOUND)


def _is_sound(found: object) -> bool:
    return isinstance(found, list) and [type(one) for one in found] == [str, int, str]


def _looked_up(path: Path, state: os.stat_result, kind: EventKind | None) -> Found:
    age = (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
    name = f"{kind or ''}|{'|'.join(map(str, age))}|{os.fsencode(path)!r}"
    if name not in _FOUND:
        _FOUND[name] = _look_into(path, kind)
        while len(_FOUND) > _MOST:
            _FOUND.popitem(last=False)
    _FOUND.move_to_end(name)
    return _FOUND[name]


def _look_into(path: Path, kind: EventKind | None) -> Found:
    with open_file(path) as file:
        if kind is None and os.fstat(file.fileno()).st_size > _SMALL_BYTES:
            digest, (rows, why) = sha256_of(file), examine(file)
        else:  # read at once: each column of a file is several reads
            content = file.read()
            digest = hashlib.sha256(content).hexdigest()
            if kind is not None:
                why = why_no_events(content, kind)
                return digest, 0 if why else count_rows(content), why
            rows, why = examine(content)
    return digest, rows, f"is no readable Parquet file ({why})" if why else ""
