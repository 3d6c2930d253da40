"""The landing zone: an application's dated drops and events in each region; files never change.

Below `landing/<application>/` of each region's root, `<date>/<name>.parquet` are drops and
`events/<kind>/<name>.parquet` are events. The root is a folder of the home or an object store. Any program may write
files there; in a folder, it writes under a dotted name first and then renames. All files below a day's folder are its
drops, including those of Spark and Hive; names that begin with `.` or `_` are ignored (`scan.py`, `scan_store.py`).
"""

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path, PurePath

import polars as pl

from sinet_pipelines.errors import SourceError, UnknownRegionError
from sinet_pipelines.ingestion.drops import BATCH_ROWS, Fault, encode_drop
from sinet_pipelines.ingestion.events import encode_events, settle_events
from sinet_pipelines.ingestion.inspection import AnyPart, Drop, inspect
from sinet_pipelines.ingestion.landed import LandedData
from sinet_pipelines.ingestion.large_days import LargeDay
from sinet_pipelines.ingestion.raw_day import (
    RawDay,
    faults_of_drops,
    read_drops,
    read_event_files,
    row_names,
    sort_drops,
)
from sinet_pipelines.ingestion.reading_time import ReadingTime
from sinet_pipelines.ingestion.scan import RegionFolder, UnusedFile
from sinet_pipelines.ingestion.scan_store import RegionPrefix
from sinet_pipelines.ingestion.zone_entries import EVENTS
from sinet_pipelines.ingestion.zone_file import ZoneFile
from sinet_pipelines.ingestion.zone_observation import UNSEEN, Before, ZoneFound, fingerprint_of, observe_zone
from sinet_pipelines.ingestion.zone_state import ZoneState, zone_state
from sinet_pipelines.storage.folder import FolderObjects
from sinet_pipelines.storage.layout import LANDING
from sinet_pipelines.storage.objects import Objects
from sinet_pipelines.storage.roots import Stores, region_folder

_NAME = re.compile(r"\w{1,64}", re.ASCII)
_NAME_DIGITS = 12


@dataclass(frozen=True)
class LandingZone:
    """The zones of one application in all regions of a home.

    Attributes:
        home: the home.
        data: the data that the application lands.
        regions: names of the regions of the deployment.
        also: names of additional folders that may be read although they are not regions of the inventory.
        stores: the objects of each region whose root is an object store, by default from the home's record; all
            others are folders.
    """

    home: Path
    data: LandedData
    regions: tuple[str, ...]
    also: frozenset[str] = frozenset()
    stores: Mapping[str, Objects] = field(default=None, repr=False)  # type: ignore[arg-type]

    def __post_init__(self) -> None:
        if self.stores is None:
            object.__setattr__(self, "stores", Stores(self.home))

    def land(self, region: str, day: date, *, name: str, rows: pl.DataFrame) -> PurePath:
        """Writes a drop with rows of one day; rows that already landed under this name are not written again.

        Args:
            region: the region of the rows.
            day: the day of every row's `recorded_at`, UTC.
            name: prefix of the file's name: letters, digits and `_`.
            rows: (n, columns) in the columns of a drop, n >= 1.

        Returns:
            The drop's file: its path, or its key in the region's store.

        Raises:
            SourceError: there are no rows, or the name could lead out of the folder.
            StorageError: the disk is full or not writable; no partial file remains.
        """
        return _kept(*self.drop_file(region, day, name=name, rows=rows))

    def drop_file(self, region: str, day: date, *, name: str, rows: pl.DataFrame) -> tuple[ZoneFile, bytes]:
        """The file that `land` writes, and its content; arguments and SourceError as in `land`."""
        if not rows.height:
            raise SourceError(
                f"no rows to land in {region} on {day} (allowed: at least one); a day without rows is no day"
            )
        return self._file(region, day.isoformat(), name=name, content=encode_drop(rows, self.data.drop))

    def folder(self, region: str) -> Path:
        """The folder of the zone of a region whose root is a folder."""
        return region_folder(self.home, self._known(region)) / LANDING / self.data.application

    def days(self, region: str) -> list[date]:
        """The days with landed files in the region, in order."""
        return self._folder(region).days()

    def drops(self, region: str, day: date) -> list[Drop]:
        """The day's drops in the order of their ids, each once, also if several files have the same content."""
        found = [inspect(part, self.data) for part in self._parts(region, day)]
        return sorted({drop.drop_id: drop for drop in found if drop}.values(), key=lambda drop: drop.drop_id)

    def file_names(self, region: str, day: date) -> dict[str, str]:
        """The printable path in the home of each of the day's drops, by the drop's id."""
        folder = self._folder(region)
        return {drop.drop_id: folder.spelled(drop.part) for drop in self.drops(region, day)}

    def drop_ids(self, region: str, days: Collection[date] | None = None) -> Iterator[tuple[date, str]]:
        """The id of each drop of some days, or of all, each once; the zone is listed once."""
        for day, files in self._folder(region).files_by_day():
            if days is None or day in days:
                found = [inspect(one, self.data) for one in files if not isinstance(one, UnusedFile)]
                yield from ((day, name) for name in sorted({drop.drop_id for drop in found if drop}))

    def fingerprint(self, region: str, day: date) -> str:
        """A hash of the day's landed data: equal for equal drops, independent of file names."""
        return fingerprint_of(drop.drop_id for drop in self.drops(region, day))

    def contents(self, region: str) -> dict[date, tuple[str, int]]:
        """The `fingerprint` and the number of drops of each landed day; the zone is listed once."""
        found = self.observe(region).days
        return {day: (one.content, one.drops) for day, one in found.items()}

    def state(self, region: str) -> ZoneState:
        """The state of the region's zone; no file is opened."""
        return zone_state(self._folder(region))

    def observe(
        self,
        region: str,
        *,
        first_day: date | None = None,
        today: date | None = None,
        before: Before = UNSEEN,
        reading: ReadingTime | None = None,
    ) -> ZoneFound:
        """The landed days of a region, and its files that are not used; see `observe_zone`.

        Args:
            region: the region.
            first_day: first day with a partition; None for no such day.
            today: the present day, UTC; read from the clock by default.
            before: the zone's state, listed before this call, and what was found earlier.
            reading: the time in which files are opened; None for no limit.
        """
        last = today or datetime.now(UTC).date()
        return observe_zone(
            self._folder(region),
            self.data,
            first_day=first_day or date.min,
            last_day=last,
            before=before,
            reading=reading,
        )

    def read_day(self, region: str, day: date) -> RawDay:
        """The day rebuilt from all its drops, independent of their order.

        A row of several drops is attributed to the one with the smallest id. A file that is not a table, or that cannot
        be read, is listed in the faults and has no rows; a file that was removed meanwhile is ignored.
        """
        return read_drops(self._parts(region, day), self.data, day)

    def row_names(self, region: str, day: date) -> tuple[int, pl.DataFrame]:
        """The number of rows in the day's drops, including copies, and the hash of each distinct row (`row_hash`)."""
        return row_names(self._parts(region, day), self.data)

    def read_faults(self, region: str, day: date) -> tuple[str, ...]:
        """The faults of the day's drops that fail the day: a missing column, another unit."""
        return tuple(fault.message for fault in self.faults(region, day) if fault.fails_the_day)

    def faults(self, region: str, day: date) -> tuple[Fault, ...]:
        """The faults of the day's drops as files, according to their footers."""
        return faults_of_drops(self._parts(region, day), self.data)

    def sort_day(self, region: str, day: date, *, folder: Path | None, batch_rows: int = BATCH_ROWS) -> LargeDay:
        """The day rebuilt from all its drops like in `read_day`, with rows sorted on disk; close it after use.

        Args:
            region: the region.
            day: the day.
            folder: folder for the rows on disk; None for the machine's temporary folder.
            batch_rows: number of rows of a drop in one read.
        """
        return sort_drops(self._parts(region, day), self.data, day, folder=folder, batch_rows=batch_rows)

    def unused(
        self, region: str | None = None, *, first_day: date | None = None, today: date | None = None
    ) -> tuple[UnusedFile, ...]:
        """Every file whose rows are in no table, with the reason and the cure, in the order of their paths.

        Args:
            region: region of the folder; all regions by default.
            first_day: first day with a partition; drops of earlier days are unused. None for no such day.
            today: the present day, UTC; drops of later days are unused. Read from the clock by default.
        """
        names = self.regions if region is None else [region]
        found = [one for name in names for one in self.observe(name, first_day=first_day, today=today).unused]
        return tuple(sorted(found, key=lambda one: one.path))

    def land_events(self, region: str, kind: str, *, name: str, events: pl.DataFrame) -> PurePath | None:
        """Writes a drop of events; None where there are none. Errors as in `land`."""
        if not events.height:
            return None
        return _kept(*self.event_file(region, kind, name=name, events=events))

    def event_file(self, region: str, kind: str, *, name: str, events: pl.DataFrame) -> tuple[ZoneFile, bytes]:
        """The file that `land_events` writes, and its content."""
        content = encode_events(events, self.data.kind(kind))
        return self._file(region, f"{EVENTS}/{self.data.kind(kind).name}", name=name, content=content)

    def read_events(self, region: str, kind: str) -> pl.DataFrame:
        """All events of a kind in their contract's columns, sorted by its key; of two with the same key, the newer."""
        return settle_events([rows for rows, _ in self._event_files(region, kind)], self.data.kind(kind))

    def count_events(self, region: str, kind: str) -> int:
        """The number of events and of faults of a kind, as of `read_events` and `event_faults`; files are read once."""
        found = list(self._event_files(region, kind))
        events = settle_events([rows for rows, _ in found], self.data.kind(kind))
        return events.height + sum(len(faults) for _, faults in found)

    def event_faults(self, region: str, kind: str) -> tuple[Fault, ...]:
        """Faults of files of events: not a table, a missing column, rejected events."""
        return tuple(fault for _, faults in self._event_files(region, kind) for fault in faults)

    def events_fingerprint(self, region: str, kind: str) -> str:
        """A hash of the landed events of a kind."""
        return fingerprint_of(iter(self.event_digests(region, kind)))

    def event_digests(self, region: str, kind: str) -> list[str]:
        """SHA-256 of each file of a kind of events."""
        found = [inspect(part, self.data, self.data.kind(kind)) for part in self._event_parts(region, kind)]
        return [one.digest for one in found if one]

    def _event_files(self, region: str, kind: str) -> Iterator[tuple[pl.DataFrame, tuple[Fault, ...]]]:
        return read_event_files(self._event_parts(region, kind), self.data.kind(kind))

    def _event_parts(self, region: str, kind: str) -> list[AnyPart]:
        found = self._folder(region).event_files(self.data.kind(kind).name)
        return sorted((one for one in found if not isinstance(one, UnusedFile)), key=lambda part: part.name)

    def _parts(self, region: str, day: date) -> list[AnyPart]:
        """The day's files in reverse order of names, so that the first name remains in a mapping."""
        return sorted(self._folder(region).parts(day), key=lambda part: part.name, reverse=True)

    def _folder(self, region: str) -> RegionFolder | RegionPrefix:
        return listed_zone(
            self.home, self._known(region), self.data.application, regions=self.regions, stores=self.stores
        )

    def _known(self, region: str) -> str:
        if region in self.regions or region in self.also:
            return region  # a known name cannot lead out of the folder
        known = ", ".join(self.regions)
        raise UnknownRegionError(f"no region {region!r} (known: {known}); add it to inventory.yaml")

    def _file(self, region: str, folder: str, *, name: str, content: bytes) -> tuple[ZoneFile, bytes]:
        if not _NAME.fullmatch(name):  # other names might lead out of the folder
            raise SourceError(
                f"{name!r} cannot begin a file's name (allowed: letters, digits and _); name it otherwise"
            )
        known = self._known(region)
        is_stored = known in self.stores
        objects = self.stores[known] if is_stored else FolderObjects(str(region_folder(self.home, known)))
        file = f"{name}-{hashlib.sha256(content).hexdigest()[:_NAME_DIGITS]}.parquet"
        return ZoneFile(objects, f"{LANDING}/{self.data.application}/{folder}/{file}"), content


def listed_zone(
    home: Path,
    region: str,
    application: str,
    *,
    regions: Sequence[str],
    stores: Mapping[str, Objects] | None = None,
) -> RegionFolder | RegionPrefix:
    """The files of one landing zone; no file is opened.

    Args:
        home: the home.
        region: name of the region.
        application: its name.
        regions: as in `LandingZone`.
        stores: as in `LandingZone`; None for those of the home's record.
    """
    known = Stores(home) if stores is None else stores
    if region in known:
        return RegionPrefix(known[region], region, application)
    return RegionFolder(home, region, application, tuple(regions))


def _kept(file: ZoneFile, content: bytes) -> PurePath:
    file.keep(content)
    return file.path
