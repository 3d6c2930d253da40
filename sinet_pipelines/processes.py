"""What another process of this machine was started with."""

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

BEGUN_S = 2.0  # the kernel shows an empty environment between a process's exec and its program's first instruction


def environment_of(process: "psutil.Process") -> dict[str, str]:
    """The variables a process was started with; one that begins at this moment is waited for.

    Raises:
        psutil.NoSuchProcess: it is gone.
        psutil.AccessDenied: it is another user's.
    """
    deadline = time.monotonic() + BEGUN_S
    while not (found := process.environ()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return dict(found)
