"""Dagster's databases of a home: which are damaged, and setting these aside so that a run goes on.

What the event log recorded is lost with it; the next run makes everything again from the landing zone.
"""

from collections.abc import Iterator
from pathlib import Path

from sinet_pipelines.errors import StorageError
from sinet_pipelines.storage.aside import set_aside
from sinet_pipelines.storage.databases import database_fault
from sinet_pipelines.storage.health import StorageFault

CURE = "`sinet run` sets it aside and makes what it recorded again"
_SHARED = ("history/runs.db", "history/runs/index.db", "schedules/schedules.db")
_WITH = ("-wal", "-shm")  # what SQLite keeps beside a database


def state_faults(home: Path, *, thorough: bool = False) -> Iterator[StorageFault]:
    """Damaged databases of Dagster; one that is missing is no fault, Dagster makes it.

    Args:
        home: whose state is looked at.
        thorough: read every page, and each run's own log; else the shared databases' heads.
    """
    folder = home / "dagster"
    shared = [folder / name for name in _SHARED]
    own = sorted(set((folder / "history" / "runs").glob("*.db")).difference(shared)) if thorough else []
    for path in (*shared, *own):
        if path.exists() and (fault := database_fault(path, thorough=thorough, cure=CURE)):
            yield fault


def require_state(home: Path) -> None:
    """Nothing where Dagster's databases can be opened.

    Raises:
        StorageError: one cannot; the message names the file and the cure.
    """
    for fault in state_faults(home):
        raise StorageError(fault.message)


def mend_state(home: Path) -> list[str]:
    """Sets damaged databases aside; a sentence for each. Only for the process that holds the home."""
    told = []
    for fault in state_faults(home, thorough=True):
        moved = set_aside(fault.path.parent, fault.path.name, why="damaged")
        for ending in _WITH:
            set_aside(fault.path.parent, f"{fault.path.name}{ending}", why="damaged")
        told.append(f"{fault.path}: {fault.found}; set aside as {moved}, what it recorded is made again")
    return told
