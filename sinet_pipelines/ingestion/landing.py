"""The landing zone: dated drops and events of each region, written whole and never changed, read by content.

`<root>/<REGION>/<date>/<name>.parquet` are drops, `<root>/<REGION>/events/<kind>/<name>.parquet` are events. Anyone may
put a file there, under a dotted name first and renamed then; dotted names are not looked at.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path

import polars as pl

from sinet_pipelines.errors import SourceError, StorageError
from sinet_pipelines.ingestion.drops import Fault, count_rows, drop_id, encode_drop, read_drop, read_faults
from sinet_pipelines.ingestion.events import EventKind, encode_events, read_event_file, settle_events
from sinet_pipelines.ingestion.hashing import row_hash
from sinet_pipelines.regions import get_region
from sinet_pipelines.schemas.telemetry import DROP, RAW_TELEMETRY
from sinet_pipelines.storage.files import write_whole

_NAME = re.compile(r"\w{1,64}", re.ASCII)
_NAME_DIGITS = 12
_RAW_COLUMNS = tuple(column.name for column in RAW_TELEMETRY.columns if column.name != "ingested_at")


@dataclass(frozen=True)
class Drop:
    """A file of rows in the landing zone.

    Attributes:
        path: where it is.
        drop_id: its name by content; two files of the same bytes are one drop.
        rows: rows in it, 0 where it is no table.
    """

    path: Path
    drop_id: str
    rows: int


@dataclass(frozen=True)
class RawDay:
    """A day of one region rebuilt from all its drops.

    Attributes:
        rows: the columns of `raw_telemetry` but `ingested_at`, exact copies dropped; sorted by engine, cycle, hash.
        sent: rows in the day's drops, copies included.
        faults: what is wrong with the day's drops as files.
    """

    rows: pl.DataFrame
    sent: int
    faults: tuple[Fault, ...]

    @property
    def duplicates(self) -> int:
        """Rows that were exact copies of another."""
        return self.sent - self.rows.height


@dataclass(frozen=True)
class LandingZone:
    """The zones of all regions, side by side under one folder.

    Attributes:
        root: the folder; made with the first drop.
    """

    root: Path

    def land(self, region: str, day: date, *, name: str, rows: pl.DataFrame) -> Path:
        """Drops rows of one day; rows that landed before under this name are not written again.

        Args:
            region: where they were measured.
            day: the day of every row's `recorded_at`, UTC.
            name: what the file's name begins with: letters, digits and `_`.
            rows: (n, columns) in the columns of a drop, n >= 1.

        Returns:
            The drop's file.

        Raises:
            SourceError: no rows, so no day either; or a name that could climb out.
            StorageError: the disk is full or not writable; nothing is left half-written.
        """
        if not rows.height:
            raise SourceError(
                f"no rows to land in {region} on {day} (allowed: at least one); a day without rows is no day"
            )
        return _keep(self._day(region, day), name=name, content=encode_drop(rows))

    def days(self, region: str) -> list[date]:
        """The days on which something landed in the region, in order."""
        folder = self._region(region)
        found = {_day_of(path.name): path for path in folder.iterdir() if path.is_dir()} if folder.is_dir() else {}
        return sorted(day for day, path in found.items() if day is not None and any(_visible(path)))

    def drops(self, region: str, day: date) -> list[Drop]:
        """The day's drops in the order of their ids, each once however many files hold it."""
        found = [_inspect(path) for path in sorted(_visible(self._day(region, day)), reverse=True)]
        return sorted({drop.drop_id: drop for drop in found if drop}.values(), key=lambda drop: drop.drop_id)

    def fingerprint(self, region: str, day: date) -> str:
        """A hash of what landed on the day: equal for equal drops, whatever their files are called."""
        return _fingerprint(drop.drop_id for drop in self.drops(region, day))

    def read_day(self, region: str, day: date) -> RawDay:
        """The day rebuilt from all its drops, the same in whatever order they came.

        A row of several drops is said to be from the one with the smallest id. A file that is no table is named among
        the faults and its rows count as none.

        Raises:
            StorageError: a file is there but the machine does not give it.
        """
        contents = {drop_id(content): (path, content) for path, content in self._contents(region, day)}
        parts = {key: read_drop(content, file=path.name) for key, (path, content) in sorted(contents.items())}
        sent = [rows.with_columns(drop_id=pl.lit(key)) for key, (rows, _) in parts.items()] or [_no_rows()]
        rows = pl.concat(sent, rechunk=True)
        kept = rows.with_columns(row_hash(rows), event_date=pl.lit(day)).unique(
            "row_hash", keep="first", maintain_order=True
        )
        faults = tuple(fault for _, found in parts.values() for fault in found)
        return RawDay(kept.select(_RAW_COLUMNS).sort("unit", "cycle", "row_hash"), rows.height, faults)

    def read_faults(self, region: str, day: date) -> tuple[str, ...]:
        """What is wrong with the day's drops so that the day cannot be right: a missing column, another unit."""
        found = [read_faults(content, file=path.name) for path, content in self._contents(region, day)]
        return tuple(fault.message for faults in found for fault in faults if fault.fails_the_day)

    def land_events(self, region: str, kind: EventKind | str, *, name: str, events: pl.DataFrame) -> Path | None:
        """Drops events; None where there are none. Raises as `land`."""
        if not events.height:
            return None
        return _keep(self._events(region, kind), name=name, content=encode_events(events, EventKind(kind)))

    def read_events(self, region: str, kind: EventKind | str) -> pl.DataFrame:
        """All events of a kind in their contract's columns, sorted by its key; of two about one thing the newer."""
        return settle_events([rows for rows, _ in self._event_files(region, kind)], EventKind(kind))

    def event_faults(self, region: str, kind: EventKind | str) -> tuple[Fault, ...]:
        """What is wrong with files of events: no table, a missing column, events set aside."""
        return tuple(fault for _, faults in self._event_files(region, kind) for fault in faults)

    def events_fingerprint(self, region: str, kind: EventKind | str) -> str:
        """A hash of what landed of a kind of events."""
        return _fingerprint(hashlib.sha256(_read(path)).hexdigest() for path in _visible(self._events(region, kind)))

    def _event_files(self, region: str, kind: EventKind | str) -> Iterator[tuple[pl.DataFrame, tuple[Fault, ...]]]:
        for path in sorted(_visible(self._events(region, kind))):
            yield read_event_file(_read(path), EventKind(kind), file=path.name)

    def _contents(self, region: str, day: date) -> Iterator[tuple[Path, bytes]]:
        """Each of the day's files with its bytes, the last name first, so that in a mapping the first name stays."""
        for path in sorted(_visible(self._day(region, day)), reverse=True):
            yield path, _read(path)

    def _region(self, region: str) -> Path:
        return self.root / get_region(region).name  # a known name cannot climb out

    def _day(self, region: str, day: date) -> Path:
        return self._region(region) / day.isoformat()

    def _events(self, region: str, kind: EventKind | str) -> Path:
        return self._region(region) / "events" / EventKind(kind)


def _keep(folder: Path, *, name: str, content: bytes) -> Path:
    if not _NAME.fullmatch(name):  # anything else might climb out of the folder
        raise SourceError(f"{name!r} cannot begin a file's name (allowed: letters, digits and _); name it otherwise")
    path = folder / f"{name}-{hashlib.sha256(content).hexdigest()[:_NAME_DIGITS]}.parquet"
    if not path.exists() or path.stat().st_size != len(content):
        write_whole(path, content)
    return path


def _visible(folder: Path) -> Iterator[Path]:
    """Files that have landed: a dotted name is still being written."""
    if folder.is_dir():
        yield from (path for path in folder.iterdir() if not path.name.startswith(".") and path.is_file())


def _day_of(name: str) -> date | None:
    try:
        day = date.fromisoformat(name)
    except ValueError:
        return None
    return day if day.isoformat() == name else None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StorageError(
            f"{path} landed but cannot be read ({error.strerror}); make it readable or remove it"
        ) from error


def _inspect(path: Path) -> Drop | None:
    """The drop in a file, None where the file was removed a moment ago."""
    try:
        state = path.stat()
    except FileNotFoundError:
        return None
    return _inspect_once(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=1 << 16)
def _inspect_once(path: Path, mtime_ns: int, size: int) -> Drop:
    """The drop in a file of this age and size; a file that changed has another age."""
    content = _read(path)
    return Drop(path, drop_id(content), count_rows(content))


def _fingerprint(names: Iterator[str]) -> str:
    return hashlib.sha256("\n".join(sorted(set(names))).encode()).hexdigest()


def _no_rows() -> pl.DataFrame:
    empty = pl.DataFrame(DROP.schema.empty_table())
    return empty.with_columns(unparsed=pl.lit(None, pl.String), drop_id=pl.lit(None, pl.String))
