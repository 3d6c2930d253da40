"""The landing zone: dated drops and events of each region, written whole and never changed, read by content.

`<root>/<REGION>/<date>/<name>.parquet` are drops, `<root>/<REGION>/events/<kind>/<name>.parquet` are events. Anyone may
put a file there, under a dotted name first and renamed then. All files beneath a day's folder are its drops, folders as
Spark and Hive write them included; names that begin with `.` or `_` are ignored (`scan.py`).
"""

import hashlib
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl

from sinet_pipelines.errors import SourceError
from sinet_pipelines.escaping import visible
from sinet_pipelines.ingestion.drops import (
    BATCH_ROWS,
    UNREADABLE,
    Fault,
    drop_id,
    encode_drop,
    named,
    read_drop,
    read_drop_in_batches,
    read_faults,
    unreadable,
)
from sinet_pipelines.ingestion.events import EventKind, encode_events, no_events, read_event_file, settle_events
from sinet_pipelines.ingestion.hashing import row_hash
from sinet_pipelines.ingestion.inspection import Drop, inspect, open_file, read_bytes, sha256_of
from sinet_pipelines.ingestion.large_days import RAW_COLUMNS, LargeDay
from sinet_pipelines.ingestion.scan import (
    EVENTS,
    FLEET_FILE,
    Part,
    RegionFolder,
    UnusedFile,
    misplaced_at_root,
)
from sinet_pipelines.regions import REGIONS, get_region
from sinet_pipelines.schemas.telemetry import DROP
from sinet_pipelines.storage.files import write_whole

_NAME = re.compile(r"\w{1,64}", re.ASCII)
_NAME_DIGITS = 12
_PARQUET = (".parquet", ".parq", ".pq")


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
        also: names of folders that may be read although no region of the registry is called so.
    """

    root: Path
    also: frozenset[str] = frozenset()

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
        return _keep(*self.drop_file(region, day, name=name, rows=rows))

    def drop_file(self, region: str, day: date, *, name: str, rows: pl.DataFrame) -> tuple[Path, bytes]:
        """The file that `land` writes, and its content; arguments and SourceError as there."""
        if not rows.height:
            raise SourceError(
                f"no rows to land in {region} on {day} (allowed: at least one); a day without rows is no day"
            )
        return _file_of(self._day(region, day), name=name, content=encode_drop(rows))

    def days(self, region: str) -> list[date]:
        """The days on which something landed in the region, in order."""
        return self._folder(region).days()

    def drops(self, region: str, day: date) -> list[Drop]:
        """The day's drops in the order of their ids, each once however many files hold it."""
        found = [inspect(part) for part in self._parts(region, day)]
        return sorted({drop.drop_id: drop for drop in found if drop}.values(), key=lambda drop: drop.drop_id)

    def file_names(self, region: str, day: date) -> dict[str, str]:
        """The path of each of the day's drops below the zone, as it can be printed, by the drop's id."""
        drops = self.drops(region, day)
        return {drop.drop_id: visible(drop.path.relative_to(self.root).as_posix()) for drop in drops}

    def fingerprint(self, region: str, day: date) -> str:
        """A hash of what landed on the day: equal for equal drops, whatever their files are called."""
        return _fingerprint(drop.drop_id for drop in self.drops(region, day))

    def read_day(self, region: str, day: date) -> RawDay:
        """The day rebuilt from all its drops, the same in whatever order they came.

        A row of several drops is said to be from the one with the smallest id. A file that is no table, or that the
        machine does not give, is named among the faults and its rows count as none; one that is gone again is no drop.
        """
        contents, faults = self._contents(region, day)
        parts = {
            key: read_drop(content, file=part.name, hive=part.hive) for key, (part, content) in sorted(contents.items())
        }
        sent = [rows.with_columns(drop_id=pl.lit(key)) for key, (rows, _) in parts.items()] or [_no_rows()]
        rows = pl.concat(sent, rechunk=True)
        kept = rows.with_columns(row_hash(rows), event_date=pl.lit(day)).unique(
            "row_hash", keep="first", maintain_order=True
        )
        faults += [fault for _, found in parts.values() for fault in found]
        return RawDay(kept.select(RAW_COLUMNS).sort("unit", "cycle", "row_hash"), rows.height, tuple(faults))

    def row_names(self, region: str, day: date) -> tuple[int, pl.DataFrame]:
        """Rows that the day's drops hold, copies included, and the hash of each distinct one (`row_hash`)."""
        sent, parts = 0, [pl.DataFrame(schema={"row_hash": pl.String})]
        for drop in (one for one in self.drops(region, day) if not one.why_unreadable):
            with suppress(*UNREADABLE), open_file(drop.real) as file:
                names = [row_hash(rows).to_frame() for rows in read_drop_in_batches(file, hive=drop.hive)]
                parts += names
                sent += sum(part.height for part in names)
        return sent, pl.concat(parts).unique()

    def read_faults(self, region: str, day: date) -> tuple[str, ...]:
        """What is wrong with the day's drops so that the day cannot be right: a missing column, another unit."""
        found: dict[str, tuple[Fault, ...]] = {}
        for part in self._parts(region, day):
            try:
                with open_file(part.real) as file:
                    faults = read_faults(file, file=part.name, hive=part.hive)
                    found[named(sha256_of(file), part.hive)] = faults
            except OSError:  # one that is gone, or that the machine does not give, is no drop
                continue
        return tuple(fault.message for faults in found.values() for fault in faults if fault.fails_the_day)

    def sort_day(self, region: str, day: date, *, folder: Path | None, batch_rows: int = BATCH_ROWS) -> LargeDay:
        """The day rebuilt from all its drops as `read_day` does, its rows sorted on disk; close it after use.

        Args:
            region: whose day.
            day: the day.
            folder: on whose disk the rows are kept; None for the machine's temporary folder.
            batch_rows: rows of a drop that are read at once.
        """
        found = LargeDay(day, folder)
        for part in reversed(self._parts(region, day)):
            try:
                with open_file(part.real) as file:
                    found.take(file, part, batch_rows=batch_rows)
            except FileNotFoundError:
                continue
            except OSError as error:
                found.faults.append(unreadable(part.name, f"{error.strerror}"))
        return found

    def unused(
        self, region: str | None = None, *, first_day: date | None = None, today: date | None = None
    ) -> tuple[UnusedFile, ...]:
        """Every file that no table takes rows from, with the reason and the cure, in the order of their paths.

        Args:
            region: whose folder; all of the zone by default, what stands in no region's folder too.
            first_day: the first day that has a partition; drops of earlier ones are unused. None for no such day.
            today: the present day, UTC; drops of later ones are unused. The clock's by default.
        """
        last = today or datetime.now(UTC).date()
        names = [one.name for one in REGIONS] if region is None else [region]
        found = [one for name in names for one in self._unused(name, first_day or date.min, last)]
        return tuple(sorted((*found, *(self.nobodys() if region is None else ())), key=lambda one: one.path))

    def nobodys(self) -> tuple[UnusedFile, ...]:
        """The files that stand in no region's folder, as `unused` lists them."""
        return tuple(misplaced_at_root(self.root))

    def land_events(self, region: str, kind: EventKind | str, *, name: str, events: pl.DataFrame) -> Path | None:
        """Drops events; None where there are none. Raises as `land`."""
        if not events.height:
            return None
        return _keep(*self.event_file(region, kind, name=name, events=events))

    def event_file(self, region: str, kind: EventKind | str, *, name: str, events: pl.DataFrame) -> tuple[Path, bytes]:
        """The file that `land_events` writes, and its content."""
        return _file_of(self._events(region, kind), name=name, content=encode_events(events, EventKind(kind)))

    def read_events(self, region: str, kind: EventKind | str) -> pl.DataFrame:
        """All events of a kind in their contract's columns, sorted by its key; of two about one thing the newer."""
        return settle_events([rows for rows, _ in self._event_files(region, kind)], EventKind(kind))

    def event_faults(self, region: str, kind: EventKind | str) -> tuple[Fault, ...]:
        """What is wrong with files of events: no table, a missing column, events set aside."""
        return tuple(fault for _, faults in self._event_files(region, kind) for fault in faults)

    def events_fingerprint(self, region: str, kind: EventKind | str) -> str:
        """A hash of what landed of a kind of events."""
        found = [inspect(part, EventKind(kind)) for part in self._event_parts(region, kind)]
        return _fingerprint(one.digest for one in found if one)

    def _event_files(self, region: str, kind: EventKind | str) -> Iterator[tuple[pl.DataFrame, tuple[Fault, ...]]]:
        for part in self._event_parts(region, kind):
            try:
                content = read_bytes(part.real)
            except FileNotFoundError:
                continue
            except OSError as error:
                yield no_events(EventKind(kind)), (unreadable(part.name, f"{error.strerror}"),)
                continue
            yield read_event_file(content, EventKind(kind), file=part.name)

    def _event_parts(self, region: str, kind: EventKind | str) -> list[Part]:
        found = self._folder(region).event_files(EventKind(kind))
        return sorted((one for one in found if isinstance(one, Part)), key=lambda part: part.name)

    def _parts(self, region: str, day: date) -> list[Part]:
        """The day's files, the last name first, so that in a mapping the first name stays."""
        return sorted(self._folder(region).parts(day), key=lambda part: part.name, reverse=True)

    def _contents(self, region: str, day: date) -> tuple[dict[str, tuple[Part, bytes]], list[Fault]]:
        """Each drop of the day with its bytes, by its id, and the files that the machine does not give."""
        contents: dict[str, tuple[Part, bytes]] = {}
        faults: list[Fault] = []
        for part in self._parts(region, day):
            try:
                content = read_bytes(part.real)
            except FileNotFoundError:
                continue
            except OSError as error:
                faults.append(unreadable(part.name, f"{error.strerror}"))
            else:
                contents[drop_id(content, part.hive)] = (part, content)
        return contents, faults

    def _unused(self, region: str, first: date, last: date) -> Iterator[UnusedFile]:
        folder = self._folder(region)
        yield from folder.misplaced(tuple(EventKind))
        for day, files in folder.files_by_day():
            for found in files:
                if isinstance(found, UnusedFile):
                    yield found
                elif day < first:
                    reason = f"{day} is before the first day of this fleet, {first}"
                    cure = f"set first_day in {FLEET_FILE} to {day} and load the code again, or remove it"
                    yield folder.unused(found, reason, cure)
                elif day > last:
                    reason = f"{day} is still to come (today is {last}, UTC)"
                    yield folder.unused(found, reason, "wait for that day, or move it to the day of its rows")
                elif (drop := inspect(found)) and drop.why_unreadable:
                    yield folder.unused(found, *_reason_and_cure(found, drop))
        for kind in EventKind:
            for found in folder.event_files(kind):
                if isinstance(found, UnusedFile):
                    yield found
                elif (drop := inspect(found, kind)) and drop.why_unreadable:
                    yield folder.unused(found, *_reason_and_cure(found, drop))

    def _folder(self, region: str) -> RegionFolder:
        name = region if region in self.also else get_region(region).name  # a known name cannot climb out
        return RegionFolder(self.root, name)

    def _day(self, region: str, day: date) -> Path:
        return self._folder(region).path / day.isoformat()

    def _events(self, region: str, kind: EventKind | str) -> Path:
        return self._folder(region).path / EVENTS / EventKind(kind)


def _keep(path: Path, content: bytes) -> Path:
    if not path.exists() or path.stat().st_size != len(content):
        write_whole(path, content)
    return path


def _file_of(folder: Path, *, name: str, content: bytes) -> tuple[Path, bytes]:
    if not _NAME.fullmatch(name):  # anything else might climb out of the folder
        raise SourceError(f"{name!r} cannot begin a file's name (allowed: letters, digits and _); name it otherwise")
    return folder / f"{name}-{hashlib.sha256(content).hexdigest()[:_NAME_DIGITS]}.parquet", content


def _reason_and_cure(part: Part, drop: Drop) -> tuple[str, str]:
    """Why a file that was looked into cannot be used, and what to do."""
    action = "put it there again" if part.path.suffix.lower() in _PARQUET else "write its rows as Parquet"
    return f"it {drop.why_unreadable}", f"{action} or remove it"


def _fingerprint(names: Iterator[str]) -> str:
    return hashlib.sha256("\n".join(sorted(set(names))).encode()).hexdigest()


def _no_rows() -> pl.DataFrame:
    empty = pl.DataFrame(schema=pl.Schema(DROP.schema))
    return empty.with_columns(unparsed=pl.lit(None, pl.String), drop_id=pl.lit(None, pl.String))
