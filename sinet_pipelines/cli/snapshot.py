"""Caches what `sinet status` found in the home, until something changes that it depends on.

The cache is valid while these are equal: the code, the settings, the day, the name, size and time of every file of the
home's storage, and the end of Dagster's event log. Nothing is cached while a run is in progress or was killed.
"""

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sinet_pipelines
from sinet_pipelines.errors import StorageError
from sinet_pipelines.inventory.file import inventory_path
from sinet_pipelines.storage.cache import read_cache, write_cache
from sinet_pipelines.storage.layout import RECORDS, blobs_folders, file_uri
from sinet_pipelines.storage.listing import age_of, listing, stored_listing
from sinet_pipelines.storage.roots import FILE as ROOTS

FILE = "cache/status.json"  # in a home
CODE = ("assets", "resources", "schedules")  # of the checkout
STORAGE = ("feast", "mlflow-artifacts", "serving/models")
_BUSY_S = 5.0

#: Queries on Dagster's databases whose results change when something is recorded, changed or wiped.
_LOG = {
    "history/runs/index.db": (
        "SELECT COUNT(*), MAX(id) FROM event_logs",
        "SELECT COUNT(*), MAX(id), SUM(evaluation_event_storage_id) FROM asset_check_executions",
        "SELECT COUNT(*), SUM(LENGTH(last_materialization)), MAX(wipe_timestamp) FROM asset_keys",
    ),
    "history/runs.db": ("SELECT status, COUNT(*), MAX(update_timestamp) FROM runs GROUP BY status ORDER BY status",),
}
#: Queries that return rows only while a run is in progress, or after one was killed.
_AT_WORK = {
    "history/runs/index.db": (
        "SELECT COUNT(*) FROM concurrency_slots WHERE run_id IS NOT NULL",
        "SELECT COUNT(*) FROM pending_steps",
    ),
    "history/runs.db": (
        "SELECT COUNT(*) FROM runs WHERE status IN ('NOT_STARTED', 'STARTING', 'STARTED', 'CANCELING', 'SUSPENDED')",
    ),
}


def signature_of_definitions(project: Path, home: Path) -> str:
    """The hash of everything that the definitions depend on."""
    set_by = sorted((name, value) for name, value in os.environ.items() if name.startswith("SINET_"))
    digest = hashlib.sha256(repr((str(project), str(home), datetime.now(UTC).date(), set_by)).encode())
    for line in sorted(_code(project, home)):
        digest.update(line)
    return digest.hexdigest()


def signature_of(project: Path, home: Path) -> str:
    """The hash of everything that the facts depend on; empty where nothing may be cached now."""
    try:
        if any(count for ((count,),) in _answers(home / "dagster", _AT_WORK)):
            return ""
        log = list(_answers(home / "dagster", _LOG))
        storage = sorted(_storage(home))
    except (sqlite3.Error, StorageError):  # a database is locked, or a region's store does not answer
        return ""
    digest = hashlib.sha256(repr((signature_of_definitions(project, home), log)).encode())
    for line in storage:
        digest.update(line)
    return digest.hexdigest()


def read_snapshot(home: Path, signature: str) -> dict[str, Any] | None:
    """The facts that were cached with this signature; None where there are none."""
    kept = read_cache(home / FILE)
    facts = kept.get("facts")
    return facts if signature and kept.get("signature") == signature and isinstance(facts, dict) else None


def keep_snapshot(home: Path, signature: str, facts: dict[str, Any]) -> None:
    """Caches the facts with this signature."""
    write_cache(home / FILE, {"signature": signature, "facts": facts})


def _answers(folder: Path, queries: dict[str, tuple[str, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    for name, of_file in queries.items():
        with closing(sqlite3.connect(f"{file_uri(folder / name)}?mode=ro", uri=True, timeout=_BUSY_S)) as database:
            for query in of_file:
                yield database.execute(query).fetchall()


def _code(project: Path, home: Path) -> Iterator[bytes]:
    """A line for each file that the definitions depend on: the code, the inventory and the records of landed data."""
    for folder in (*(project / name for name in CODE), Path(sinet_pipelines.__path__[0])):
        yield from (line for line in listing(str(folder)) if b"__pycache__" not in line)
    inventory = inventory_path()
    yield from listing(str(home / RECORDS))
    yield from _lines(*([inventory] if inventory else []))


def _storage(home: Path) -> Iterator[bytes]:
    """A line for each file of the landing zones and of all that a materialisation refers to.

    Where the regions run apart, what they published stands for their landing zones and raw tables.
    """
    from resources.deployment import Deployment
    from resources.materializations.region_files import files_of_regions
    from resources.settings import settings
    from sinet_pipelines.inventory.regions import this_inventory

    yield from files_of_regions(Deployment(replace(settings(), home=home), this_inventory()))
    yield from _lines(home / ROOTS)
    yield from stored_listing(home)
    for folder in (*blobs_folders(home), *(home / name for name in STORAGE)):
        yield from listing(str(folder))
    yield from _lines(home / "mlflow.db", home / "mlflow.db-wal")


def _lines(*paths: Path) -> Iterator[bytes]:
    for path in paths:
        if path.exists():
            yield os.fsencode(path) + age_of(path.stat())
