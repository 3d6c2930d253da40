"""Reads the environment with which another process of this machine was started."""

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

BEGUN_S = 2.0  # the kernel shows an empty environment between a process's exec and its program's first instruction


def environment_of(process: "psutil.Process") -> dict[str, str]:
    """The environment variables of a process; waits for a process that is just starting.

    Raises:
        psutil.NoSuchProcess: it has ended.
        psutil.AccessDenied: it belongs to another user.
    """
    deadline = time.monotonic() + BEGUN_S
    while not (found := process.environ()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return dict(found)
