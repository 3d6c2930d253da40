"""Lists a folder to detect changes, with the metadata of the file system only; no file is opened."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from sinet_pipelines.errors import StorageError
from sinet_pipelines.storage.layout import LANDING, landing_folders
from sinet_pipelines.storage.roots import Stores, local_roots, stored_roots


def listing(folder: str, *, is_zone: bool = False) -> Iterator[bytes]:
    """A line for each visible entry below a folder: its name, its kind, its size and its age.

    Args:
        folder: the folder; the lines have no particular order.
        is_zone: whether it is the `landing/` of a region; only its folders of applications may be links.
    """
    try:
        with os.scandir(folder) as found:
            entries = [entry for entry in found if not entry.name.startswith(".")]
    except OSError as error:  # removed meanwhile, or unreadable: this state may change, too
        yield os.fsencode(f"{folder} {error.errno}")
        return
    for entry in entries:
        try:
            state = entry.stat(follow_symlinks=False)
        except OSError:
            continue
        if entry.is_dir(follow_symlinks=is_zone):
            yield from listing(entry.path)
        yield os.fsencode(entry.path) + age_of(state)
        if entry.is_symlink():  # its target may be a file that no listed folder has
            with suppress(OSError):
                yield os.fsencode(f"{entry.path}/->") + age_of(entry.stat())


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
    return repr((state.st_mode, state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)).encode()
