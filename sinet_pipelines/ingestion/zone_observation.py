"""Observes a landing zone: the content of each day, and each file that is not used, in one pass over its files.

A day in the state of an earlier observation is not inspected again. The time of a pass can be limited: the process
remembers the files that it has inspected, and its next pass continues with the others.
"""

import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path, PurePath

from sinet_pipelines.ingestion.inspection import AnyPart, Drop, inspect
from sinet_pipelines.ingestion.landed import LandedData
from sinet_pipelines.ingestion.scan import RegionFolder, UnusedFile
from sinet_pipelines.ingestion.scan_store import RegionPrefix
from sinet_pipelines.ingestion.zone_state import ZoneState
from sinet_pipelines.storage.layout import record_file

AnyFile = AnyPart | UnusedFile
_PARQUET = (".parquet", ".parq", ".pq")


@dataclass(frozen=True)
class DayFound:
    """One landed day.

    Attributes:
        content: hash of its drops; equal for equal drops, independent of file names.
        ids: of its drops, in order, each once; a file that is no table has one too.
        unused: its files whose rows are in no table.
        state: the state of its files when they were inspected; empty where that is not known.
    """

    content: str
    ids: tuple[str, ...]
    unused: tuple[UnusedFile, ...] = ()
    state: str = ""

    @property
    def drops(self) -> int:
        """Number of drops."""
        return len(self.ids)


@dataclass(frozen=True)
class ZoneFound:
    """The landed days of a zone, and what is not used.

    Attributes:
        days: each day with a file to read, in order; of a day that is left, an earlier observation if there is one.
        unused: every file whose rows are in no table, in the order of their paths.
        left: days with files that were not inspected, since the time was over.
    """

    days: Mapping[date, DayFound]
    unused: tuple[UnusedFile, ...]
    left: tuple[date, ...] = ()


@dataclass(frozen=True)
class Before:
    """What is known before an observation.

    Attributes:
        state: the present state of the zone.
        days: what was found of each day at an earlier observation.
    """

    state: ZoneState
    days: Mapping[date, DayFound]

    def unchanged(self, day: date) -> DayFound | None:
        """What was found of a day in its present state; None where its files changed, or may change unnoticed."""
        known, state = self.days.get(day), self.state.days.get(day)
        return known if known is not None and state is not None and known.state == state else None


UNSEEN = Before(ZoneState("", {}), {})


def observe_zone(
    zone: RegionFolder | RegionPrefix,
    data: LandedData,
    *,
    first_day: date,
    last_day: date,
    before: Before = UNSEEN,
    until: float | None = None,
) -> ZoneFound:
    """Observes the landing zone of an application in a region.

    Args:
        zone: the files of the zone.
        data: the data that the application lands.
        first_day: first day with a partition; drops of earlier days are unused.
        last_day: the present day; drops of later days are unused.
        before: the zone's state, listed before this call, and what was found earlier.
        until: instant of `time.monotonic` after which no further file is inspected; None for no limit.

    Raises:
        StorageError: the store of the zone cannot be reached, or denies access.
    """
    days: dict[date, DayFound] = {}
    unused = [*zone.misplaced(tuple(kind.name for kind in data.events))]
    left = []
    for day, listed in zone.files_by_day():
        found, is_partition = before.unchanged(day), first_day <= day <= last_day
        is_over = found is None and until is not None and time.monotonic() > until  # then its files are not even listed
        files: list[AnyFile] = [] if is_over or (found is not None and is_partition) else list(listed)
        if found is None and not is_over:
            found = _inspect_day(zone, data, files, state=before.state.days.get(day, ""), until=until)
        if found is None:
            left.append(day)
            found = before.days.get(day)
        if found is not None and found.drops:
            days[day] = found
        if is_partition:
            unused += found.unused if found is not None else ()
        else:
            unused += _out_of_range(zone, data, day, files, first_day=first_day, last_day=last_day)
    unused += [one for kind in data.events for one in _unused_events(zone, data, kind.name)]
    return ZoneFound(days, tuple(sorted(unused, key=lambda one: one.path)), tuple(left))


def fingerprint_of(names: Iterable[str]) -> str:
    """A hash of the distinct ids of drops or of files of events."""
    return hashlib.sha256("\n".join(sorted(set(names))).encode()).hexdigest()


def _inspect_day(
    zone: RegionFolder | RegionPrefix, data: LandedData, files: Sequence[AnyFile], *, state: str, until: float | None
) -> DayFound | None:
    """Inspects the files of a day; None where the time is over before the last one."""
    ids: set[str] = set()
    unused: list[UnusedFile] = []
    for one in files:
        if isinstance(one, UnusedFile):
            unused.append(one)
            continue
        if until is not None and time.monotonic() > until:
            return None
        if (drop := inspect(one, data)) is None:
            continue
        ids.add(drop.drop_id)
        if drop.why_unreadable:
            unused.append(zone.unused(one, *_reason_and_cure(one.path, drop)))
    return DayFound(fingerprint_of(ids), tuple(sorted(ids)), tuple(unused), state)


def _out_of_range(
    zone: RegionFolder | RegionPrefix,
    data: LandedData,
    day: date,
    files: Iterable[AnyFile],
    *,
    first_day: date,
    last_day: date,
) -> Iterator[UnusedFile]:
    """The files of a day that is no partition."""
    if day < first_day:
        record = record_file(Path(), data.application)
        reason = f"{day} is before the first day of {data.application} in this home, {first_day}"
        cure = f"set first_day in {record} to {day} and load the code again, or remove it"
    else:
        reason = f"{day} is still to come (today is {last_day}, UTC)"
        cure = "wait for that day, or move it to the day of its rows"
    for one in files:
        yield one if isinstance(one, UnusedFile) else zone.unused(one, reason, cure)


def _unused_events(zone: RegionFolder | RegionPrefix, data: LandedData, kind: str) -> Iterator[UnusedFile]:
    for one in zone.event_files(kind):
        if isinstance(one, UnusedFile):
            yield one
        elif (drop := inspect(one, data, data.kind(kind))) and drop.why_unreadable:
            yield zone.unused(one, *_reason_and_cure(one.path, drop))


def _reason_and_cure(path: PurePath, drop: Drop) -> tuple[str, str]:
    """Why an inspected file cannot be used, and what to do."""
    action = "put it there again" if path.suffix.lower() in _PARQUET else "write its rows as Parquet"
    return f"it {drop.why_unreadable}", f"{action} or remove it"
