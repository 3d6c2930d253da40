"""Locks between the processes of one machine: held through a file; the system releases them when the holder ends."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sinet_pipelines.errors import BusyError

POLL_S = 0.01
RUN_LOCK = "run.lock"  # in a home: held by the active `sinet run`


@contextmanager
def held(path: Path, *, wait_s: float | None = None) -> Iterator[None]:
    """Holds the lock; its file has the number of the holding process.

    Args:
        path: path of the lock file, made if missing and never removed, since its removal would allow two locks.
        wait_s: longest wait for another holder; None for no limit.

    Raises:
        BusyError: another process held it for that whole time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as lock:
        _take(lock.fileno(), path, wait_s)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def creation_lock(table: Path) -> Path:
    """The lock that a process holds while it creates the table in this folder, or makes a damaged one anew."""
    return table.parent / ".locks" / f"{table.name}.lock"


def is_held(path: Path) -> bool:
    """Whether a process holds the lock."""
    try:
        with path.open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False  # no process ever took it
    return False


def holder(path: Path) -> str:
    """The number of the process that last took the lock, for messages; `unknown` where the file has none."""
    try:
        return path.read_text().strip() or "unknown"
    except FileNotFoundError:
        return "unknown"


def _take(descriptor: int, path: Path, wait_s: float | None) -> None:
    if wait_s is None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= deadline:
                raise BusyError(f"{path} is held by process {holder(path)}; wait for it or end it") from error
            time.sleep(POLL_S)
        else:
            return
