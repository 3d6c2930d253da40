"""A source that consists of files: each new file is one part, identified by its content.

A file with a new name and known content has landed. A file whose content was replaced lands again, and the drops of
its former content are withdrawn. A file that is removed at the source changes nothing.
"""

import hashlib
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from sinet_pipelines.errors import AbsentError, DiskError, ForbiddenError, StorageError, UnreachableError
from sinet_pipelines.ingestion.connectors.formats import ALLOWED, format_of, read_blocks
from sinet_pipelines.ingestion.connectors.lines import unpacked
from sinet_pipelines.ingestion.connectors.source import Notes, Part, UnreadableError
from sinet_pipelines.ingestion.connectors.taken import Taken
from sinet_pipelines.ingestion.drops import Hive, named
from sinet_pipelines.ingestion.zone_entries import hive_value
from sinet_pipelines.schemas.contract import Contract
from sinet_pipelines.storage.files import TEMPORARY, disk_errors, temporary_file
from sinet_pipelines.storage.objects import IN_MEMORY_BYTES

TRIES = 3  # to read a file that changes while it is read
_READ_BYTES = 1 << 20
_TEMPORARY = "_temporary"  # Spark has it in a folder until all of its files are there
_MARKER = "_$folder$"


@dataclass(frozen=True)
class Entry:
    """A file in the listing of a source.

    Attributes:
        name: its path below the source, with `/` between names.
        version: changes when the file is replaced; empty if that is not known.
        is_named: whether the URL of the source names this file itself, not its folder.
    """

    name: str
    version: str
    is_named: bool = False

    @property
    def hive(self) -> Hive:
        """Column and value of each folder `column=value` above it."""
        return tuple(value for folder in self.name.split("/")[:-1] for value in hive_value(folder))


class Files(Protocol):
    """The files of a source."""

    def entries(self, taken: Taken) -> Iterator[Entry]:
        """All files; arguments and errors as in `Source.parts`."""

    def open(self, entry: Entry) -> AbstractContextManager[tuple[str, BinaryIO] | None]:
        """The version and the content of a file, complete and unchanged while it is open; None if it changed.

        Raises:
            AbsentError: it was removed meanwhile.
            StorageError: it cannot be read.
            DiskError: the disk of this machine is full.
        """


class FileSource:
    """The parts of a source of files.

    Args:
        name: name of the source.
        files: its files.
        drop: contract of a row.
    """

    def __init__(self, name: str, files: Files, drop: Contract) -> None:
        self.name, self.notes = name, Notes()
        self._files, self._drop = files, drop

    def parts(self, taken: Taken) -> Generator[Part, None, None]:
        """As in `Source`."""
        entries = list(self._files.entries(taken))
        taken.list_files(entry.name for entry in entries)
        unfinished = {one.name.partition(_TEMPORARY)[0] for one in entries if f"/{_TEMPORARY}/" in f"/{one.name}"}
        for entry in entries:
            if is_hidden(entry.name) and not entry.is_named:
                continue
            self.notes.parts += 1
            folder = next((one for one in unfinished if entry.name.startswith(one)), None)
            if not format_of(entry.name):
                self.notes.left[entry.name] = f"no known format (allowed: {ALLOWED})"
            elif folder is not None:
                self.notes.left[entry.name] = "its folder is still being written: it has _temporary"
            elif taken.is_same(entry.name, entry.version):
                self.notes.unchanged += 1
            else:
                yield from self._read(entry, taken)

    def _read(self, entry: Entry, taken: Taken) -> Generator[Part, None, None]:
        for _ in range(TRIES):
            try:
                with self._files.open(entry) as found:
                    if found is None:
                        continue
                    part = self._part(entry, *found)
                    if taken.is_refused(entry.name, part.digest):
                        self.notes.unchanged += 1
                        return
                    if taken.has(part.digest):
                        self.notes.unchanged += 1
                    yield part
                    return
            except AbsentError:
                self.notes.left[entry.name] = "it was removed while the source was read"
                return
            except (UnreachableError, ForbiddenError, DiskError):
                raise
            except StorageError as error:
                self.notes.left[entry.name] = str(error)
                return
        self.notes.left[entry.name] = f"it changed during {TRIES} reads; the next pull reads it"

    def _part(self, entry: Entry, version: str, file: BinaryIO) -> Part:
        size = file.seek(0, os.SEEK_END)
        blocks = read_blocks(file, name=entry.name, size=size, hive=entry.hive, drop=self._drop)
        return Part(entry.name, named(_digest(file, size), self._drop, entry.hive), blocks, version)


def _digest(file: BinaryIO, size: int) -> str:
    """The SHA-256 of the content, unpacked: a file that is packed when it is rotated is the same one."""
    digest = hashlib.sha256()
    try:
        for block in unpacked(file, size):
            digest.update(block)
    except UnreadableError:
        digest = hashlib.sha256()
        file.seek(0)
        while block := file.read(_READ_BYTES):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def spooled(file: BinaryIO, report: Callable[[int], None]) -> Iterator[BinaryIO]:
    """A copy of a file that does not change: in memory if it is small, else a temporary file."""
    with temporary_file("sinet-pull-", in_memory_bytes=IN_MEMORY_BYTES) as copy:
        while block := _block(file):
            with disk_errors(TEMPORARY):
                copy.write(block)
                copy.flush()
            report(len(block))
        yield copy


def _block(file: BinaryIO) -> bytes:
    try:
        return file.read(_READ_BYTES)
    except OSError as error:
        raise StorageError(f"it cannot be read: {error.strerror}; copy it to another disk") from error


def is_hidden(name: str) -> bool:
    """Whether a file is a marker or unfinished: one of its names begins with `.` or `_`."""
    return any(one.startswith((".", "_")) for one in name.split("/")) or name.endswith(_MARKER)
