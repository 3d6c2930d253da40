"""Lists a folder to detect changes, with the metadata of the file system only; no file is opened."""

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sinet_pipelines.errors import StorageError
from sinet_pipelines.storage.layout import LANDING, landing_folders
from sinet_pipelines.storage.roots import Stores, local_roots, stored_roots


@dataclass(frozen=True)
class FolderState:
    """The state of everything visible below a folder.

    Attributes:
        digest: changes with the name, kind, size or age of any entry.
        changed_ns: the newest change of an entry, in nanoseconds since 1970; 0 for an empty folder.
    """

    digest: str
    changed_ns: int


def listing(folder: str, *, is_zone: bool = False) -> Iterator[bytes]:
    """A line for each visible entry below a folder: its name, its kind, its size and its age.

    Args:
        folder: the folder; the lines have no particular order.
        is_zone: whether it is the `landing/` of a region; only its folders of applications may be links.
    """
    lines: list[str] = []
    _list(folder, lines, is_zone=is_zone)
    return map(os.fsencode, lines)


def folder_state(folder: str) -> FolderState:
    """The state of a folder; the digest does not depend on the order in which the file system lists it."""
    lines: list[str] = []
    changed_ns = _list(folder, lines)
    lines.sort()
    return FolderState(hashlib.sha256(os.fsencode("\n".join(lines))).hexdigest(), changed_ns)


def _list(folder: str, lines: list[str], *, is_zone: bool = False) -> int:
    """Appends a line for each visible entry below a folder; returns the newest change time among them.

    A landing zone may have 100,000 files, which are listed every ten seconds: each costs one call of the system.
    """
    try:
        with os.scandir(folder) as found:
            entries = [entry for entry in found if entry.name[0] != "."]
    except OSError as error:  # removed meanwhile, or unreadable: this state may change, too
        lines.append(f"{folder} {error.errno}")
        return 0
    newest = 0
    for entry in entries:
        try:
            state = entry.stat(follow_symlinks=False)
        except OSError:
            continue
        is_link = stat.S_ISLNK(state.st_mode)
        if stat.S_ISDIR(state.st_mode) or (is_link and is_zone and entry.is_dir()):
            newest = max(newest, _list(entry.path, lines))
        lines.append(entry.path + _age(state))
        newest = max(newest, state.st_ctime_ns)
        if is_link:  # its target may be a file that no listed folder has
            with suppress(OSError):
                target = entry.stat()
                lines.append(f"{entry.path}/->{_age(target)}")
                newest = max(newest, target.st_ctime_ns)
    return newest


def zones_listing(home: Path) -> Iterator[bytes]:
    """A line for each file of the landing zones of a home, in folders and on stores, in no particular order."""
    for folder in (*landing_folders(home), *(root / LANDING for root in local_roots(home))):
        yield from listing(str(folder), is_zone=True)
    yield from stored_listing(home, LANDING)


def stored_listing(home: Path, prefix: str = "") -> Iterator[bytes]:
    """A line for each object of a home's regions on stores.

    A store that cannot be listed has a line with the kind of error; the readers of its data report the error.

    Args:
        home: home of the regions.
        prefix: prefix of complete names, below the root of each region; empty for all.
    """
    for region in stored_roots(home):
        try:
            for one in Stores(home)[region].walk(prefix):
                yield f"{region} {one.key} {one.size} {one.state}".encode()
        except StorageError as error:
            yield f"{region} {type(error).__name__}".encode()


def age_of(state: os.stat_result) -> bytes:
    """Times that change with a file: its modification time can be reset, its inode change time cannot."""
    return _age(state).encode()


def _age(state: os.stat_result) -> str:
    return f"({state.st_mode}, {state.st_size}, {state.st_mtime_ns}, {state.st_ctime_ns}, {state.st_ino})"
