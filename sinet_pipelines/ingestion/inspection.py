"""Inspects one file of a landing zone, once for each state: its id, its rows, and why it is not a drop."""

import errno
import hashlib
import os
import stat
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path, PurePath
from typing import BinaryIO

from sinet_pipelines.errors import AbsentError
from sinet_pipelines.ingestion.drops import Hive, count_rows, examine, named
from sinet_pipelines.ingestion.events import why_no_events
from sinet_pipelines.ingestion.landed import EventKind, LandedData
from sinet_pipelines.ingestion.scan import Part
from sinet_pipelines.ingestion.scan_store import StoredPart
from sinet_pipelines.storage.cache import read_cache, write_cache
from sinet_pipelines.storage.objects import Object

SMALL_BYTES = 4 << 20  # of a file that is read at once
_MOST = 1 << 18  # files whose content a process caches, 500 bytes each; with fewer than a zone has, none would help
_NEW_SHARE = 100  # the cache file is written whole, so one in 100 entries must be new
_SETTLED_NS = 2_000_000_000  # the coarsest clock of file systems in use


AnyPart = Part | StoredPart


@dataclass(frozen=True)
class Drop:
    """A file of rows or events in the landing zone.

    Attributes:
        part: the file.
        drop_id: id computed from its content; two files of the same bytes are one drop.
        rows: number of rows, 0 for a file that is not a table.
        digest: SHA-256 of its bytes.
        why_unreadable: why it is not a table; empty for a table.
        may_pass: whether the reason is an error of the disk or of a permission, so that the next read may succeed.
    """

    part: AnyPart
    drop_id: str
    rows: int
    digest: str = ""
    why_unreadable: str = ""
    may_pass: bool = False

    @property
    def path(self) -> PurePath:
        """Its place: a path of this machine, or a key of a store."""
        return self.part.path

    @property
    def hive(self) -> Hive:
        """Column and value of each folder `column=value` above it."""
        return self.part.hive


@contextmanager
def open_part(part: AnyPart) -> Iterator[BinaryIO]:
    """Opens a file of a landing zone for reading; its content does not change if the file is replaced meanwhile.

    Raises:
        FileNotFoundError: it was removed.
        OSError: it cannot be read.
        StorageError: its store cannot be reached, or denies access.
    """
    if isinstance(part, Part):
        with open_file(part.real) as file:
            yield file
        return
    with open_stored(part) as (_, stored):
        yield stored


@contextmanager
def open_stored(part: StoredPart) -> Iterator[tuple[Object, BinaryIO]]:
    """Opens an object for reading, with its present state; errors as in `open_part`."""
    with ExitStack() as stack:
        try:
            found = stack.enter_context(part.objects.open(part.one.key))
        except AbsentError as error:
            raise FileNotFoundError(errno.ENOENT, "it was removed") from error
        yield found


def read_part(part: AnyPart) -> bytes:
    """The bytes of a file of a landing zone; errors as in `open_part`."""
    with open_part(part) as file:
        return file.read()


@contextmanager
def open_file(path: Path) -> Iterator[BufferedReader]:
    """Opens a file for reading; an OSError where it cannot be read or is no longer a regular file.

    If a link or a pipe has replaced it, the link is not followed and the pipe does not block.
    """
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        yield file


def sha256_of(file: BinaryIO) -> str:
    """SHA-256 of a file's bytes, read in chunks."""
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


Found = tuple[str, int, str]  # SHA-256 of a file, its number of rows, and why it is unused (else empty)
_FOUND: OrderedDict[str, Found] = OrderedDict()  # by the file and its age: a changed file has another age


def inspect(part: AnyPart, data: LandedData, kind: EventKind | None = None) -> Drop | None:
    """The drop or the events in a file, None where the file was removed meanwhile.

    Args:
        part: the file.
        data: the data that the application lands.
        kind: kind of its events; None for a drop.

    Raises:
        StorageError: the store of the file cannot be reached, or denies access.
    """
    try:
        found = _stored(part, data, kind) if isinstance(part, StoredPart) else _local(part, data, kind)
    except FileNotFoundError:
        return None
    except OSError as error:  # not cached: the next read may succeed
        why = f"cannot be read ({error.strerror})"
        digest = hashlib.sha256(f"{part.name} {why}".encode(errors="surrogateescape")).hexdigest()
        return Drop(part, named(digest, data.drop, part.hive), 0, digest, why, may_pass=True)
    return _drop(part, data, found)


def known_drop(part: AnyPart, data: LandedData, kind: EventKind | None = None) -> Drop | None:
    """What `inspect` returns where it need not open the file; None where it must."""
    try:
        name = _stored_name(part, part.one, data, kind) if isinstance(part, StoredPart) else _name(part, data, kind)
    except OSError:
        return None
    found = _known(name)
    return None if found is None else _drop(part, data, found)


def _drop(part: AnyPart, data: LandedData, found: Found) -> Drop:
    digest, rows, why = found
    return Drop(part, named(digest, data.drop, part.hive), rows, digest, why)


@contextmanager
def remembered(path: Path) -> Iterator[None]:
    """Loads the results of an earlier process for unchanged files, and stores the results of this one.

    Args:
        path: path of the cache file; a damaged one is ignored and rewritten.
    """
    before = {name: tuple(found) for name, found in read_cache(path).items() if _is_sound(found)}
    for name, found in before.items():
        _FOUND.setdefault(name, found)
    yield
    new = len(_FOUND.items() - before.items())
    if new > len(before) // _NEW_SHARE:
        write_cache(path, _FOUND)


def is_settled(changed_ns: int) -> bool:
    """Whether a file cannot change again without a new time: it changed in an earlier tick of its file system's clock.

    Args:
        changed_ns: its newest change, in nanoseconds since 1970.
    """
    return abs(time.time_ns() - changed_ns) > _SETTLED_NS


def _is_sound(found: object) -> bool:
    return isinstance(found, list) and [type(one) for one in found] == [str, int, str]


def _local(part: Part, data: LandedData, kind: EventKind | None) -> Found:
    if not (name := _name(part, data, kind)):
        return _look_into(part, data, kind)
    return _known(name) or _keep(name, _look_into(part, data, kind))


def _name(part: Part, data: LandedData, kind: EventKind | None) -> str:
    """The file and its age; empty for a file that may change again within its age."""
    state = part.real.lstat()
    if not is_settled(state.st_ctime_ns):
        return ""
    age = (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
    return f"{_what(data, kind)}|{'|'.join(map(str, age))}|{os.fsencode(part.real)!r}"


def _stored(part: StoredPart, data: LandedData, kind: EventKind | None) -> Found:
    if found := _known(_stored_name(part, part.one, data, kind)):
        return found
    with open_stored(part) as (now, file):  # another object may have replaced the listed one
        return _keep(_stored_name(part, now, data, kind), _look_at(file, data, kind))


def _stored_name(part: StoredPart, one: Object, data: LandedData, kind: EventKind | None) -> str:
    return f"{_what(data, kind)}|{one.size}|{one.state}|{part.objects.root}|{one.key!r}"


def _what(data: LandedData, kind: EventKind | None) -> str:
    return f"{data.application}/{kind or ''}"


def _known(name: str) -> Found | None:
    if name in _FOUND:
        _FOUND.move_to_end(name)
    return _FOUND.get(name)


def _keep(name: str, found: Found) -> Found:
    _FOUND[name] = found
    while len(_FOUND) > _MOST:
        _FOUND.popitem(last=False)
    return found


def _look_into(part: AnyPart, data: LandedData, kind: EventKind | None) -> Found:
    with open_part(part) as file:
        return _look_at(file, data, kind)


def _look_at(file: BinaryIO, data: LandedData, kind: EventKind | None) -> Found:
    if kind is None and file.seek(0, os.SEEK_END) > SMALL_BYTES:
        digest, (rows, why) = sha256_of(file), examine(file, data.drop)
    else:  # the whole file in one read: each column would need several reads
        file.seek(0)
        content = file.read()
        digest = hashlib.sha256(content).hexdigest()
        if kind is not None:
            why = why_no_events(content, kind)
            return digest, 0 if why else count_rows(content), why
        rows, why = examine(content, data.drop)
    return digest, rows, f"is no readable Parquet file ({why})" if why else ""
