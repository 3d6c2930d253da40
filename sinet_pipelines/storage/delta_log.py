"""Reads a local Delta table's log without delta-rs: version, active files, and the fault of an entry that is damaged.

delta-rs reads past an emptied entry and ends others in a Rust panic; here every entry is parsed and named when it is
damaged. Only what delta-rs writes is read: JSON entries and one-file checkpoints, no deletion vectors.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import orjson

_ENTRY = re.compile(r"(\d{20})\.json")
_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint\.parquet")
_RECORDS = re.compile(r'"numRecords"\s*:\s*(\d+)')  # statistics of 200 columns stand beside it; they are not parsed
_PARTITION = "event_date"
_HINT = "_last_checkpoint"


@dataclass(frozen=True)
class ActiveFile:
    """A data file that the table's newest version consists of.

    Attributes:
        path: relative to the table.
        size: in bytes, as recorded.
        rows: as recorded, None where the entry has no statistics.
        day: value of the partition column, None for a table without days.
    """

    path: str
    size: int
    rows: int | None
    day: str | None


@dataclass(frozen=True)
class DeltaLog:
    """A table's log.

    Attributes:
        version: of the newest entry, -1 where there is none.
        files: active files, empty where the log is damaged.
        damaged: the damaged or missing entry, None where all can be read.
        reason: what is wrong with it.
    """

    version: int
    files: tuple[ActiveFile, ...] = ()
    damaged: Path | None = None
    reason: str = ""


class _DamagedError(Exception):
    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(reason)
        self.path, self.reason = path, reason


def read_log(table: Path) -> DeltaLog | None:
    """The log of the table in this folder, None where the folder has none; cached while no entry changes."""
    folder = table / "_delta_log"
    found = list_files(folder)
    if found is None:
        return None
    named = [
        (name, found[name]) for name in found if name == _HINT or _ENTRY.fullmatch(name) or _CHECKPOINT.fullmatch(name)
    ]
    # the last is the time of the change itself, which no program can keep as it was
    signature = tuple(
        sorted((name, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino) for name, stat in named)
    )
    return _replayed(folder, signature)


def list_files(folder: Path) -> dict[str, os.stat_result] | None:
    """The files in a folder by name; None where there is no folder.

    A file that vanishes while the folder is listed is left out: a writer stages each file of a table under another
    name in the same folder, so such files come and go while the table is whole.
    """
    found = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    if not entry.is_dir():
                        found[entry.name] = entry.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found


@lru_cache(maxsize=256)
def _replayed(folder: Path, signature: tuple[tuple[str, int, int, int, int], ...]) -> DeltaLog:
    names = [name for name, *_ in signature]
    entries = {int(match[1]): folder / name for name in names if (match := _ENTRY.fullmatch(name))}
    checkpoints = {int(match[1]): folder / name for name in names if (match := _CHECKPOINT.fullmatch(name))}
    version = max((*entries, *checkpoints), default=-1)
    if version < 0:
        return DeltaLog(-1, damaged=folder, reason="it has no entry")
    # both are looked for once more: a writer may have made them since the folder was listed
    if version not in entries and not _entry_path(folder, version).exists():  # delta-rs reads it and can never write
        return DeltaLog(version, damaged=_entry_path(folder, version), reason="it is missing")
    hinted = _hinted(folder / _HINT) if _HINT in names else None
    if hinted is not None and not any(folder.glob(f"{hinted:020d}.checkpoint*.parquet")):  # delta-rs reads nothing
        return DeltaLog(version, damaged=folder / _HINT, reason=f"the checkpoint of version {hinted} is missing")
    files: dict[str, ActiveFile] = {}
    start = max(checkpoints, default=-1)
    try:
        actions = _checkpoint(checkpoints[start]) if checkpoints else iter(())
        for action in actions:
            _apply(action, files)
        for number in range(start + 1, version + 1):
            path = entries.get(number, _entry_path(folder, number))
            for action in _entry(path):
                _apply(action, files)
    except _DamagedError as error:
        return DeltaLog(version, damaged=error.path, reason=error.reason)
    return DeltaLog(version, tuple(files.values()))


def _entry_path(folder: Path, version: int) -> Path:
    return folder / f"{version:020d}.json"


def _hinted(path: Path) -> int | None:
    """The version of the checkpoint that readers begin with; None where the file does not give one, as delta-rs."""
    try:
        hint = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return None
    version = hint.get("version") if isinstance(hint, dict) else None
    return version if isinstance(version, int) else None


def _entry(path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise _DamagedError(path, "it is missing") from error
    except OSError as error:
        raise _DamagedError(path, f"it cannot be read ({error.strerror})") from error
    lines = content.splitlines()
    if not any(line.strip() for line in lines):
        raise _DamagedError(path, "it is empty")
    for line in lines:
        if not line.strip():
            continue
        try:
            action = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise _DamagedError(path, "it is no JSON") from error
        if not isinstance(action, dict):
            raise _DamagedError(path, "it holds no action of a Delta log")
        yield action


def _checkpoint(path: Path) -> Iterator[Mapping[str, Any]]:
    import polars as pl

    try:
        added = pl.read_parquet(path, columns=["add"], glob=False)["add"].drop_nulls().to_list()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _DamagedError(path, "it cannot be read as Parquet") from error
    for one in added:
        values = one.get("partitionValues")
        if isinstance(values, list):  # a map of Parquet comes as a list of pairs
            values = {pair["key"]: pair["value"] for pair in values}
        yield {"add": {**one, "partitionValues": values}}


def _apply(action: Mapping[str, Any], files: dict[str, ActiveFile]) -> None:
    if (added := action.get("add")) is not None:
        records = _RECORDS.search(added.get("stats") or "")
        path = unquote(added["path"])
        day = (added.get("partitionValues") or {}).get(_PARTITION)
        files[path] = ActiveFile(path, int(added["size"]), int(records[1]) if records else None, day)
    elif (removed := action.get("remove")) is not None:
        files.pop(unquote(removed["path"]), None)
