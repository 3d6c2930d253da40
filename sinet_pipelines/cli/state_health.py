"""Finds damaged databases of Dagster in a home, and sets them aside so that a run can continue.

The records of the event log are then lost; the next run makes everything again from the landing zone.
"""

from collections.abc import Iterator
from pathlib import Path

from sinet_pipelines.errors import StorageError
from sinet_pipelines.storage.aside import set_aside
from sinet_pipelines.storage.databases import database_fault
from sinet_pipelines.storage.health import StorageFault

CURE = "`sinet run` sets it aside and makes again what it recorded"
_SHARED = ("history/runs.db", "history/runs/index.db", "schedules/schedules.db")
_WITH = ("-wal", "-shm")  # files of SQLite beside a database


def state_faults(home: Path, *, thorough: bool = False) -> Iterator[StorageFault]:
    """Damaged databases of Dagster. A missing one is no fault, since Dagster makes it.

    Args:
        home: the home whose state is checked.
        thorough: read every page and the log of each run; else only the headers of the shared databases.
    """
    folder = home / "dagster"
    shared = [folder / name for name in _SHARED]
    own = sorted(set((folder / "history" / "runs").glob("*.db")).difference(shared)) if thorough else []
    for path in (*shared, *own):
        if path.exists() and (fault := database_fault(path, thorough=thorough, cure=CURE)):
            yield fault


def require_state(home: Path) -> None:
    """Checks that Dagster's databases can be opened.

    Raises:
        StorageError: one of them cannot; the message names the file and the cure.
    """
    for fault in state_faults(home):
        raise StorageError(fault.message)


def mend_state(home: Path) -> list[str]:
    """Sets damaged databases aside; returns a sentence for each. Only for the process that holds the home's lock."""
    messages = []
    for fault in state_faults(home, thorough=True):
        moved = set_aside(fault.path.parent, fault.path.name, why="damaged")
        for ending in _WITH:
            set_aside(fault.path.parent, f"{fault.path.name}{ending}", why="damaged")
        messages.append(f"{fault.path}: {fault.found}; set aside as {moved}, what it recorded is made again")
    return messages
