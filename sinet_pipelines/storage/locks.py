"""Locks between the processes of one machine: held through a file, given back by the system however the holder ends."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sinet_pipelines.errors import BusyError

POLL_S = 0.01
RUN_LOCK = "run.lock"  # in a home: held by the `sinet run` that is at work in it


@contextmanager
def held(path: Path, *, wait_s: float | None = None) -> Iterator[None]:
    """Holds the lock; who waits for it is told by the file which process that is.

    Args:
        path: of the lock's file, made if need be and never removed: a removed one would be two locks.
        wait_s: how long to wait for another holder; None for as long as it takes.

    Raises:
        BusyError: another process held it for all of that time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as lock:
        _take(lock.fileno(), path, wait_s)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def is_held(path: Path) -> bool:
    """Whether a process holds the lock."""
    try:
        with path.open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False  # nobody ever asked for it
    return False


def holder(path: Path) -> str:
    """The number of the process that last took the lock, for messages; `unknown` where the file does not say."""
    try:
        return path.read_text().strip() or "unknown"
    except FileNotFoundError:
        return "unknown"


def _take(descriptor: int, path: Path, wait_s: float | None) -> None:
    if wait_s is None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return
    give_up_at = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= give_up_at:
                raise BusyError(f"{path} is held by process {holder(path)}; wait for it or end it") from error
            time.sleep(POLL_S)
        else:
            return
