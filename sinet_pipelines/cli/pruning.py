"""Removes files that a home no longer needs: files of old table versions, and outputs of old runs.

Rows, events, models, blobs and cards are never removed.
"""

import shutil
import time
from pathlib import Path

KEEP_HOURS = 2  # a step reads a table within minutes of opening it
KEEP_OUTPUT_DAYS = 30  # of the standard output of runs and ticks


def prune(home: Path) -> int:
    """Removes old files and folders; returns their number."""
    from sinet_pipelines.errors import StorageError
    from sinet_pipelines.storage.delta import vacuum_table
    from sinet_pipelines.storage.layout import tables_folders

    removed = 0
    for root in tables_folders(home):
        for log in sorted(root.glob("[!.]*/_delta_log")):
            try:
                removed += vacuum_table(str(log.parent), keep_hours=KEEP_HOURS)
            except StorageError:  # damaged, or moved meanwhile: `sinet run` reports and repairs it
                continue
    return removed + _prune_outputs(home / "dagster" / "compute_logs")


def _prune_outputs(folder: Path) -> int:
    before = time.time() - KEEP_OUTPUT_DAYS * 86_400
    old = [path for path in folder.glob("*") if path.is_dir() and _changed_at(path) < before]
    for path in old:
        shutil.rmtree(path, ignore_errors=True)
    return len(old)


def _changed_at(path: Path) -> float:
    """Seconds since 1970; the current time for a folder that another process has just removed."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return time.time()
