"""Finds SQLite files that are damaged: not a database, truncated, or malformed."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from sinet_pipelines.storage.health import REBUILD, StorageFault

#: The newest migration of Dagster's three databases at the pinned version.
DAGSTER_REVISION = "29b539ebc72a"
_BUSY_S = 5.0  # a commit takes milliseconds


def database_fault(
    path: Path, *, tables: Sequence[str] = (), thorough: bool = False, cure: str = REBUILD
) -> StorageFault | None:
    """The fault of a SQLite file; None where it is intact.

    A database that another process writes or locks has no fault.

    Args:
        path: path of the file.
        tables: tables that it must have.
        thorough: whether to read every page, which takes seconds for a large file; else only header and schema.
        cure: what repairs it.
    """
    if not path.is_file():
        return StorageFault(path, "the database is missing", cure)
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_S)) as connection:
            there = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            for table in sorted(there.intersection(tables)):
                connection.execute(f'SELECT * FROM "{table}" LIMIT 1').fetchone()  # noqa: S608
            faults = connection.execute("PRAGMA quick_check(1)").fetchone()[0] if thorough else "ok"
            pages, size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    except sqlite3.OperationalError as error:
        if "locked" in str(error) or "busy" in str(error):
            return None
        return StorageFault(path, f"the database cannot be read ({error})", cure)
    except sqlite3.DatabaseError as error:
        return StorageFault(path, f"it is no whole database ({error})", cure)
    if missing := sorted(set(tables) - there):
        return StorageFault(path, f"the database has no table {', '.join(missing)}", cure)
    if faults != "ok":
        return StorageFault(path, f"the database is malformed ({str(faults).splitlines()[0]})", cure)
    if path.stat().st_size < pages * size and not path.with_name(f"{path.name}-wal").exists():
        return StorageFault(path, f"the database has {path.stat().st_size} bytes of {pages * size}", cure)
    return None
