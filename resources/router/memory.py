"""Finds whether the kernel killed a process of this container for memory: a step may survive the loss of its child."""

from collections.abc import Callable
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")  # of this container, where its runtime uses a cgroup namespace, as with cgroup v2


def oom_kills(cgroup: Path = CGROUP) -> int:
    """Number of processes of the cgroup that the kernel killed for memory; 0 where no file has it, as with cgroup v1.

    See `memory.events` in https://docs.kernel.org/admin-guide/cgroup-v2.html.
    """
    try:
        lines = (cgroup / "memory.events").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def kills_from_now_on(cgroup: Path = CGROUP) -> Callable[[], bool]:
    """Returns a function that returns whether the kernel has killed a process of the cgroup since this call."""
    before = oom_kills(cgroup)
    return lambda: oom_kills(cgroup) > before
