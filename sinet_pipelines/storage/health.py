"""Finds lost and damaged tables, files and logs of storage; faults are returned as records, not raised.

The fast check reads the log and compares presence and size of every active file with it. The thorough check decodes
every file. A message has the file, its fault, and the cure.
"""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sinet_pipelines.storage.delta_log import ActiveFile, read_log
from sinet_pipelines.storage.locks import creation_lock, is_held

REBUILD = "`sinet run` makes it again"


@dataclass(frozen=True)
class StorageFault:
    """A fault of stored data.

    Attributes:
        path: the file or folder.
        found: its fault.
        cure: what repairs it.
        day: the only affected day, None where the whole is affected.
    """

    path: Path
    found: str
    cure: str = REBUILD
    day: str | None = None

    @property
    def message(self) -> str:
        """One sentence with file, fault and cure."""
        place = str(self.path)
        place = place.replace(":/", "://", 1) if place.startswith("s3:/") else place  # a path has only one slash
        return f"{place}: {self.found}; {self.cure}"


@dataclass(frozen=True)
class TableHealth:
    """The state of a table in storage.

    Attributes:
        path: the table's folder.
        version: version of its newest commit; -1 where there is no readable table.
        rows: number of rows by day (ISO date); with the empty key for a table without days.
        faults: damaged or missing parts.
    """

    path: Path
    version: int = -1
    rows: Mapping[str, int] = field(default_factory=dict)
    faults: tuple[StorageFault, ...] = ()

    @property
    def is_readable(self) -> bool:
        """Whether the whole table can be read: it exists and has no faults."""
        return self.version >= 0 and not self.faults

    def fault_of(self, *, day: str, rows: int | None, version: int | None) -> StorageFault | None:
        """Why the table differs from a recorded materialisation; None where it does not.

        Args:
            day: ISO date; empty for the whole table.
            rows: recorded rows, None where unknown.
            version: recorded version of the table, None where unknown.
        """
        if self.version < 0 and not self.faults:
            is_recorded = rows != 0 and (rows is not None or version is not None)
            return None if not is_recorded else StorageFault(self.path, "the table is gone", day=day or None)
        for fault in self.faults:
            if not day or fault.day is None or fault.day == day:
                return fault
        if version is not None and version > self.version:
            return StorageFault(self.path, f"it is at version {self.version}, recorded was {version}", day=day or None)
        there = self.rows.get(day, 0) if day else sum(self.rows.values())
        if rows is not None and there != rows:
            what = f"day {day} has" if day else "it has"
            return StorageFault(self.path, f"{what} {there} rows, recorded were {rows}", day=day or None)
        return None


def look_at_table(path: Path) -> TableHealth:
    """The state of the table in this folder according to its log and its files; no row is read.

    A table that a process is creating at this moment, and whose log is not written yet, is not there.
    """
    found = look_at_own_table(path)
    if found.version >= 0 or not found.faults:
        return found
    if is_held(creation_lock(path)):
        return TableHealth(path)
    return look_at_own_table(path)  # again: it may have been created in between


def look_at_own_table(path: Path) -> TableHealth:
    """As `look_at_table`, for the process that holds the table's `creation_lock`: no other one is creating it."""
    log = read_log(path)
    if log is None:
        if path.is_dir() and any(path.iterdir()):
            return TableHealth(path, faults=(StorageFault(path / "_delta_log", "the table's log is gone"),))
        return TableHealth(path)
    if log.damaged is not None:
        return TableHealth(path, faults=(StorageFault(log.damaged, f"damaged log entry: {log.reason}"),))
    if log.foreign:
        found = f"another program added {log.foreign} to the table, which this program cannot read and write"
        return TableHealth(path, faults=(StorageFault(path, found),))
    faults, rows = [], dict[str, int]()
    for file in log.files:
        fault = _file_fault(path, file, _size(f"{path}/{file.path}"))
        if fault is not None:
            faults.append(fault)
        rows[file.day or ""] = rows.get(file.day or "", 0) + (file.rows or 0)
    return TableHealth(path, log.version, rows, tuple(faults))


def decode_table(path: Path) -> tuple[StorageFault, ...]:
    """The faults that only reading finds: active files that cannot be decoded or have another number of rows."""
    import polars as pl

    faults = []
    log = read_log(path)
    for file in log.files if log is not None else ():
        target = path / file.path
        if not target.exists():
            continue  # the fast check has reported it
        try:
            found = pl.read_parquet(target, glob=False, hive_partitioning=False).height
        except (pl.exceptions.PolarsError, OSError, ValueError) as error:
            faults.append(_damaged(target, f"does not decode ({type(error).__name__})", file))
            continue
        if file.rows is not None and found != file.rows:
            faults.append(_damaged(target, f"has {found} rows, recorded were {file.rows}", file))
    return tuple(faults)


def _damaged(path: Path, found: str, file: ActiveFile) -> StorageFault:
    return StorageFault(path, found, f"remove this file; then {REBUILD}", day=file.day)


def _file_fault(table: Path, file: ActiveFile, size: int | None) -> StorageFault | None:
    if size == file.size:
        return None
    found = "the data file is missing" if size is None else f"it has {size} bytes, recorded were {file.size}"
    return StorageFault(table / file.path, found, day=file.day)


def _size(path: str) -> int | None:
    """Size of a file in bytes; None where there is no file. One call of the system, a listing of its folder is five."""
    try:
        state = os.stat(path)  # noqa: PTH116 - a `Path` of each of thousands of files costs more than the call
    except (FileNotFoundError, NotADirectoryError):
        return None
    return state.st_size if stat.S_ISREG(state.st_mode) else None
