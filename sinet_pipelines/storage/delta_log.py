"""Reads a local Delta table's log without delta-rs: version, active files, and the fault of a damaged entry.

delta-rs skips an empty entry and panics at others; here every entry is parsed, and a damaged one is reported. The
module reads only what delta-rs writes: JSON entries and one-file checkpoints; it reports anything else.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import orjson

from sinet_pipelines.storage.delta_protocol import foreign_part

_ENTRY = re.compile(r"(\d{20})\.json")
_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint\.parquet")
_RECORDS = re.compile(r'"numRecords"\s*:\s*(\d+)')  # the entry also has statistics of 200 columns, which are not parsed
_PARTITION = "event_date"
_HINT = "_last_checkpoint"


@dataclass(frozen=True)
class ActiveFile:
    """A data file of the table's newest version.

    Attributes:
        path: path relative to the table.
        size: recorded size in bytes.
        rows: recorded number of rows, None where the entry has no statistics.
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
        version: version of the newest entry, -1 where there is none.
        files: active files, empty where the log is damaged.
        damaged: the damaged or missing entry, None where all can be read.
        reason: the fault of that entry.
        foreign: an unsupported feature or property of another program; empty for none.
    """

    version: int
    files: tuple[ActiveFile, ...] = ()
    damaged: Path | None = None
    reason: str = ""
    foreign: str = ""


@dataclass
class _Replay:
    """The state after all actions of a log."""

    files: dict[str, ActiveFile] = field(default_factory=dict)
    protocol: Mapping[str, Any] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)

    def apply(self, action: Mapping[str, Any]) -> None:
        """Applies one action of the log."""
        if (added := action.get("add")) is not None:
            records = _RECORDS.search(added.get("stats") or "")
            path = unquote(added["path"])
            day = (added.get("partitionValues") or {}).get(_PARTITION)
            self.files[path] = ActiveFile(path, int(added["size"]), int(records[1]) if records else None, day)
        elif (removed := action.get("remove")) is not None:
            self.files.pop(unquote(removed["path"]), None)
        elif (protocol := action.get("protocol")) is not None:
            self.protocol = protocol
        elif (metadata := action.get("metaData")) is not None:
            self.properties = metadata.get("configuration") or {}


class _DamagedError(Exception):
    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(reason)
        self.path, self.reason = path, reason


def read_log(table: Path) -> DeltaLog | None:
    """The log of the table in this folder, None where the folder has no log; cached while no entry changes."""
    folder = table / "_delta_log"
    found = list_files(folder)
    if found is None:
        return None
    named = [
        (name, found[name]) for name in found if name == _HINT or _ENTRY.fullmatch(name) or _CHECKPOINT.fullmatch(name)
    ]
    # the last is the inode change time, which no program can reset
    signature = tuple(
        sorted((name, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino) for name, stat in named)
    )
    return _replayed(folder, signature)


def list_files(folder: str | Path) -> dict[str, os.stat_result] | None:
    """The files in a folder by name; None where there is no folder.

    A file that disappears during the listing is left out: a writer stages each file of a table under another name in
    the same folder, so such files are normal.
    """
    found = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    if not entry.is_dir():
                        found[entry.name] = entry.stat()
                except FileNotFoundError:
                    continue
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
    # both are checked again: a writer may have made them after the listing
    if version not in entries and not _entry_path(folder, version).exists():  # delta-rs reads it, but cannot write it
        return DeltaLog(version, damaged=_entry_path(folder, version), reason="it is missing")
    hinted = _hinted(folder / _HINT) if _HINT in names else None
    if hinted is not None and not any(folder.glob(f"{hinted:020d}.checkpoint*.parquet")):  # delta-rs cannot read it
        return DeltaLog(version, damaged=folder / _HINT, reason=f"the checkpoint of version {hinted} is missing")
    replay = _Replay()
    start = max(checkpoints, default=-1)
    try:
        actions = _checkpoint(checkpoints[start]) if checkpoints else iter(())
        for action in actions:
            replay.apply(action)
        for number in range(start + 1, version + 1):
            path = entries.get(number, _entry_path(folder, number))
            for action in _entry(path):
                replay.apply(action)
    except _DamagedError as error:
        return DeltaLog(version, damaged=error.path, reason=error.reason)
    return DeltaLog(version, tuple(replay.files.values()), foreign=foreign_part(replay.protocol, replay.properties))


def _entry_path(folder: Path, version: int) -> Path:
    return folder / f"{version:020d}.json"


def _hinted(path: Path) -> int | None:
    """The version of the first checkpoint for readers; None where the file has none, as in delta-rs."""
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
        actions = pl.read_parquet(path, columns=["protocol", "metaData", "add"], glob=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _DamagedError(path, "it cannot be read as Parquet") from error
    for one in actions["protocol"].drop_nulls():
        yield {"protocol": one}
    for one in actions["metaData"].drop_nulls():
        yield {"metaData": {**one, "configuration": _as_dict(one["configuration"])}}
    for one in actions["add"].drop_nulls():
        yield {"add": {**one, "partitionValues": _as_dict(one.get("partitionValues"))}}


def _as_dict(values: Any) -> Any:
    """A map of Parquet, which is a list of pairs, as a dict; other values unchanged."""
    return {pair["key"]: pair["value"] for pair in values} if isinstance(values, list) else values
