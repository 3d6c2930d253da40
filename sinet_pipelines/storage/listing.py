"""What is below a folder, as far as the file system shows it without opening a file: by it a change is noticed."""

import os
from collections.abc import Iterator
from contextlib import suppress


def listing(folder: str, *, is_zone: bool = False) -> Iterator[bytes]:
    """A line for everything below a folder but hidden names: its name, its kind, its size and its age.

    Args:
        folder: which is listed; the lines come in no order.
        is_zone: it is a landing zone, whose region folders, and these alone, may be links to another disk.
    """
    try:
        with os.scandir(folder) as found:
            entries = [entry for entry in found if not entry.name.startswith(".")]
    except OSError as error:  # gone a moment ago, or not to be read: that, too, is something that may change
        yield os.fsencode(f"{folder} {error.errno}")
        return
    for entry in entries:
        try:
            state = entry.stat(follow_symlinks=False)
        except OSError:
            continue
        if entry.is_dir(follow_symlinks=is_zone):
            yield from listing(entry.path)
        yield os.fsencode(entry.path) + _age(state)
        if entry.is_symlink():  # what it leads to may be a file that no folder here lists
            with suppress(OSError):
                yield os.fsencode(f"{entry.path}/->") + _age(entry.stat())


def _age(state: os.stat_result) -> bytes:
    return repr((state.st_mode, state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)).encode()
