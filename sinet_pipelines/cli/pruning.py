"""Removes what nothing in a home needs any more: files of old table versions, and outputs of old runs.

Rows, events, models, blobs and cards are never touched.
"""

import shutil
import time
from pathlib import Path

KEEP_HOURS = 2  # a step reads a table within minutes of opening it
KEEP_OUTPUT_DAYS = 30  # of the standard output of runs and ticks


def prune(home: Path) -> int:
    """Removes what is old; how many files and folders."""
    from sinet_pipelines.errors import StorageError
    from sinet_pipelines.storage.tables import TableStore

    removed = 0
    for region in sorted((home / "tables").glob("*")):
        tables = TableStore(str(region))
        for name in tables.names():
            try:
                removed += tables.vacuum(name, keep_hours=KEEP_HOURS)
            except StorageError:  # damaged, or moved away meanwhile: `sinet run` names and mends it
                continue
    return removed + _prune_outputs(home / "dagster" / "compute_logs")


def _prune_outputs(folder: Path) -> int:
    before = time.time() - KEEP_OUTPUT_DAYS * 86_400
    old = [path for path in folder.glob("*") if path.is_dir() and _changed_at(path) < before]
    for path in old:
        shutil.rmtree(path, ignore_errors=True)
    return len(old)


def _changed_at(path: Path) -> float:
    """Seconds since 1970; the present for a folder that another process removed a moment ago."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return time.time()
