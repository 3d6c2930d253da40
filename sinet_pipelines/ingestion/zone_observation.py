"""Observes a landing zone: the content of each day, and each file that is not used, in one pass over its files.

A day in the state of an earlier observation is not inspected again. The time in which a pass opens files can be
limited: the process remembers the files that it has inspected, and its next pass continues with the others.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import date
from pathlib import Path, PurePath

from sinet_pipelines.ingestion.inspection import AnyPart, Drop, inspect, known_drop
from sinet_pipelines.ingestion.landed import EventKind, LandedData
from sinet_pipelines.ingestion.reading_time import ReadingTime
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
        may_pass: whether a file could not be read for a reason that may pass; its state is then empty.
    """

    content: str
    ids: tuple[str, ...]
    unused: tuple[UnusedFile, ...] = ()
    state: str = ""
    may_pass: bool = False

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
        left_events: kinds of events with such files.
        may_pass: whether a file could not be read for a reason that may pass.
    """

    days: Mapping[date, DayFound]
    unused: tuple[UnusedFile, ...]
    left: tuple[date, ...] = ()
    left_events: tuple[str, ...] = ()
    may_pass: bool = False


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


@dataclass(frozen=True)
class _Begun:
    """A day of which a pass inspected some files before its time was over.

    Attributes:
        day: the day and the state of its files.
        files: what was found of each file: the id of its drop, and its record where it is not used.
    """

    day: tuple[date, str]
    files: dict[PurePath, tuple[str, UnusedFile | None]]


_BEGUN: dict[str, _Begun] = {}  # by the place of the zone: a pass leaves one day half read


class _TimeIsOver(Exception):
    """The time of a pass is over, and the next file would have to be opened."""


def observe_zone(
    zone: RegionFolder | RegionPrefix,
    data: LandedData,
    *,
    first_day: date,
    last_day: date,
    before: Before = UNSEEN,
    reading: ReadingTime | None = None,
) -> ZoneFound:
    """Observes the landing zone of an application in a region.

    Args:
        zone: the files of the zone.
        data: the data that the application lands.
        first_day: first day with a partition; drops of earlier days are unused.
        last_day: the present day; drops of later days are unused.
        before: the zone's state, listed before this call, and what was found earlier.
        reading: the time in which files are opened; None for no limit. Files that are known take none of it.

    Raises:
        StorageError: the store of the zone cannot be reached, or denies access.
    """
    zone = zone.listed()
    days: dict[date, DayFound] = {}
    unused = [*zone.misplaced(tuple(kind.name for kind in data.events))]
    left, left_events, may_pass = [], [], False
    for day, listed in zone.files_by_day():
        found, is_partition = before.unchanged(day), first_day <= day <= last_day
        is_over = found is None and reading is not None and reading.is_over  # then its files are not even listed
        files: list[AnyFile] = [] if is_over or (found is not None and is_partition) else list(listed)
        if found is None and not is_over:
            found = _inspect_day(zone, data, files, day=(day, before.state.days.get(day, "")), reading=reading)
            may_pass = may_pass or (found is not None and found.may_pass)
        if found is None:
            left.append(day)
            found = before.days.get(day)
        if found is not None and found.drops:
            days[day] = found
        if is_partition:
            unused += found.unused if found is not None else ()
        else:
            unused += _out_of_range(zone, data, day, files, first_day=first_day, last_day=last_day)
    for kind in data.events:
        try:
            found_events = list(_inspect_events(zone, data, kind, reading))
        except _TimeIsOver:
            left_events.append(kind.name)
            continue
        may_pass = may_pass or any(drop.may_pass for _, drop in found_events if drop is not None)
        unused += [one for one, _ in found_events if one is not None]
    in_order = tuple(sorted(unused, key=lambda one: one.path))
    return ZoneFound(days, in_order, tuple(left), tuple(left_events), may_pass)


def fingerprint_of(names: Iterable[str]) -> str:
    """A hash of the distinct ids of drops or of files of events."""
    return hashlib.sha256("\n".join(sorted(set(names))).encode()).hexdigest()


def _inspect_day(
    zone: RegionFolder | RegionPrefix,
    data: LandedData,
    files: Sequence[AnyFile],
    *,
    day: tuple[date, str],
    reading: ReadingTime | None,
) -> DayFound | None:
    """Inspects the files of a day in a state; None where the time is over before the last one.

    In the same state the next pass continues with the other files, and does not even look at those before.
    """
    begun = _BEGUN.pop(zone.place, None)
    done = begun.files if begun is not None and begun.day == day and day[1] else {}
    ids, unused, may_pass = set[str](), list[UnusedFile](), False
    for one in files:
        if isinstance(one, UnusedFile):
            unused.append(one)
            continue
        found = done.get(one.path)
        if found is None:
            try:
                drop = _inspect(one, data, None, reading)
            except _TimeIsOver:
                _BEGUN[zone.place] = _Begun(day, done)
                return None
            if drop is None:
                continue
            found = drop.drop_id, _unused(zone, one, drop)
            may_pass = may_pass or drop.may_pass
            if not drop.may_pass:
                done[one.path] = found
        ids.add(found[0])
        unused += [found[1]] if found[1] is not None else []
    state = "" if may_pass else day[1]
    return DayFound(fingerprint_of(ids), tuple(sorted(ids)), tuple(unused), state, may_pass)


def _inspect(one: AnyPart, data: LandedData, kind: EventKind | None, reading: ReadingTime | None) -> Drop | None:
    """The drop or the events in a file, None where it was removed.

    Raises:
        _TimeIsOver: the file must be opened, and the time for that is over.
    """
    if reading is None or (known := known_drop(one, data, kind)) is None:
        if reading is not None and reading.is_over:
            raise _TimeIsOver
        with reading.counted() if reading is not None else nullcontext():
            return inspect(one, data, kind)
    return known


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


def _inspect_events(
    zone: RegionFolder | RegionPrefix, data: LandedData, kind: EventKind, reading: ReadingTime | None
) -> Iterator[tuple[UnusedFile | None, Drop | None]]:
    """Inspects the files of a kind of events: the record of each one that is not used, and what was found in it."""
    for one in zone.event_files(kind.name):
        if isinstance(one, UnusedFile):
            yield one, None
        elif drop := _inspect(one, data, kind, reading):
            yield _unused(zone, one, drop), drop


def _unused(zone: RegionFolder | RegionPrefix, one: AnyPart, drop: Drop) -> UnusedFile | None:
    """The record of a file that cannot be used; None for one that can."""
    return zone.unused(one, *_reason_and_cure(one.path, drop)) if drop.why_unreadable else None


def _reason_and_cure(path: PurePath, drop: Drop) -> tuple[str, str]:
    """Why an inspected file cannot be used, and what to do."""
    action = "put it there again" if path.suffix.lower() in _PARQUET else "write its rows as Parquet"
    return f"it {drop.why_unreadable}", f"{action} or remove it"
