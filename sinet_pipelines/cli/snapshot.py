"""What `sinet status` found, kept in the home for as long as nothing changes that it comes from.

Compared are the code, the settings, the day, every file of the home's storage by name, size and age, and how far
Dagster's log has come. While a run is at work, or one left something behind, nothing is kept.
"""

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sinet_pipelines
from sinet_pipelines.registry_file import registry_path
from sinet_pipelines.storage.cache import read_cache, write_cache
from sinet_pipelines.storage.layout import file_uri
from sinet_pipelines.storage.listing import listing

FILE = "cache/status.json"  # in a home
CODE = ("assets", "resources", "schedules")  # of the checkout
STORAGE = ("tables", "blobs", "feast", "mlflow-artifacts", "serving/models")
_BUSY_S = 5.0

#: Of Dagster's databases: what tells that nothing was recorded, changed or wiped since.
_LOG = {
    "history/runs/index.db": (
        "SELECT COUNT(*), MAX(id) FROM event_logs",
        "SELECT COUNT(*), MAX(id), SUM(evaluation_event_storage_id) FROM asset_check_executions",
        "SELECT COUNT(*), SUM(LENGTH(last_materialization)), MAX(wipe_timestamp) FROM asset_keys",
    ),
    "history/runs.db": ("SELECT status, COUNT(*), MAX(update_timestamp) FROM runs GROUP BY status ORDER BY status",),
}
#: And what is only there while a run is at work, or was killed.
_AT_WORK = {
    "history/runs/index.db": (
        "SELECT COUNT(*) FROM concurrency_slots WHERE run_id IS NOT NULL",
        "SELECT COUNT(*) FROM pending_steps",
    ),
    "history/runs.db": (
        "SELECT COUNT(*) FROM runs WHERE status IN ('NOT_STARTED', 'STARTING', 'STARTED', 'CANCELING', 'SUSPENDED')",
    ),
}


def signature_of(project: Path, home: Path) -> str:
    """The hash of all that the facts come from; empty where nothing may be kept now."""
    try:
        if any(count for ((count,),) in _answers(home / "dagster", _AT_WORK)):
            return ""
        log = list(_answers(home / "dagster", _LOG))
    except sqlite3.Error:
        return ""
    set_by = sorted((name, value) for name, value in os.environ.items() if name.startswith("SINET_"))
    digest = hashlib.sha256(repr((str(project), str(home), datetime.now(UTC).date(), set_by, log)).encode())
    for line in sorted(_files(project, home)):
        digest.update(line)
    return digest.hexdigest()


def read_snapshot(home: Path, signature: str) -> dict[str, Any] | None:
    """What was found when the signature was this; None where it was another, or nothing was kept."""
    kept = read_cache(home / FILE)
    facts = kept.get("facts")
    return facts if signature and kept.get("signature") == signature and isinstance(facts, dict) else None


def keep_snapshot(home: Path, signature: str, facts: dict[str, Any]) -> None:
    """Keeps what was found under this signature."""
    write_cache(home / FILE, {"signature": signature, "facts": facts})


def _answers(folder: Path, queries: dict[str, tuple[str, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    for name, asked in queries.items():
        with closing(sqlite3.connect(f"{file_uri(folder / name)}?mode=ro", uri=True, timeout=_BUSY_S)) as database:
            for query in asked:
                yield database.execute(query).fetchall()


def _files(project: Path, home: Path) -> Iterator[bytes]:
    """A line for each file: the code, the registry, the landing zone and all that a materialisation refers to."""
    for folder in (*(project / name for name in CODE), Path(sinet_pipelines.__path__[0])):
        yield from (line for line in listing(str(folder)) if b"__pycache__" not in line)
    yield from listing(str(home / "landing"), is_zone=True)
    for name in STORAGE:
        yield from listing(str(home / name))
    registry = registry_path()
    for path in (home / "mlflow.db", home / "mlflow.db-wal", home / "fleet.json", *([registry] if registry else [])):
        if path.exists():
            state = path.stat()
            yield repr((str(path), state.st_size, state.st_mtime_ns, state.st_ino)).encode()
