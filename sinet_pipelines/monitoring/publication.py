"""The data that a region publishes about its landing zone and its confined tables, so that no other region opens them.

A step of the region observes and publishes; the planner, `sinet status` and sensors read the published data. They are
one table of class `feature`, replaced in one commit, so that its facts are of one moment. An application adds digests
of its own where it needs more. Unchanged parts are not computed again, and nothing is written where nothing changed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from pathlib import Path

import polars as pl

from sinet_pipelines.errors import StorageError
from sinet_pipelines.ingestion.arrivals import has_arrivals, observe_arrivals
from sinet_pipelines.ingestion.landing import LandingZone
from sinet_pipelines.ingestion.observed_days import observed_days
from sinet_pipelines.ingestion.reading_time import ReadingTime
from sinet_pipelines.ingestion.scan import UnusedFile
from sinet_pipelines.ingestion.zone_observation import Before, ZoneFound
from sinet_pipelines.ingestion.zone_state import ZoneState
from sinet_pipelines.monitoring.published import (
    NO_EVENTS,
    EventsDigest,
    Publication,
    publication_to_frame,
    read_publication,
)
from sinet_pipelines.monitoring.row_account import DayDigest, Known, count_days
from sinet_pipelines.schemas.contract import AnyTable, Contract
from sinet_pipelines.schemas.publication import DOUBT, REGION_DIGESTS
from sinet_pipelines.storage.fingerprint import fingerprint
from sinet_pipelines.storage.health import TableHealth
from sinet_pipelines.storage.layout import FREE
from sinet_pipelines.storage.tables import TableStore
from sinet_pipelines.validation.doubt import doubt_of_days, doubted_rows

CODE = "code"  # name of the source that stands for this code
_CODE = ("applications", "ingestion", "monitoring", "schemas", "storage", "validation")  # packages


@dataclass(frozen=True)
class Digest:
    """A table of class `feature` that an application computes from its rows in a region.

    Attributes:
        contract: of the digests.
        of: contracts of the tables that they are computed from.
        compute: returns the digests of a region's tables.
    """

    contract: Contract
    of: tuple[Contract, ...]
    compute: Callable[[TableStore], pl.DataFrame]


@dataclass(frozen=True)
class RegionView:
    """One application's part of a region.

    Attributes:
        region: its name.
        zone: the landing zone.
        tables: the tables.
        contracts: of all tables of the application.
        digests: the application's own digests, which are published too.
        first_day: the first day that has a partition; None for no such day.
        misplaced: the files of the region that are in no application's landing zone.
        state: the state of the zone, listed before; None to list it.
        cache: file with what was found of each day, which may be removed at any time; None for none.
        reading: the time in which new drops are read; no row is counted then. The next publication without it reads
            and counts all. None for no limit.
    """

    region: str
    zone: LandingZone
    tables: TableStore
    contracts: tuple[Contract, ...]
    digests: tuple[Digest, ...] = ()
    first_day: date | None = None
    misplaced: tuple[UnusedFile, ...] = ()
    state: ZoneState | None = None
    cache: Path | None = None
    reading: ReadingTime | None = None


def is_confined(table: AnyTable) -> bool:
    """Whether a table may not leave its region, so that other regions see only what is published of it."""
    return table.data_class not in FREE


def publish(view: RegionView) -> Publication:
    """Observes a region's part of an application, records arrivals of new content, and publishes the changes.

    It runs in the region. Of two processes at once both may write; each writes a complete observation.

    Raises:
        StorageError: the region's storage cannot be written.
    """
    before = read_publication(view.tables, view.region)
    is_of_this_code = before is not None and before.sources.get(CODE) == code_of_publishing()
    now, found = _observe(view, before if before is not None and is_of_this_code else Publication())
    now = _with_former_days(now, before or Publication())
    _record_arrivals(view, before or Publication(), now, found)
    if now != before:
        view.tables.replace(REGION_DIGESTS, publication_to_frame(now, view.tables))
    return now


def read_digest(tables: TableStore, contract: Contract) -> pl.DataFrame | None:
    """An application's digests; None where they were never published or their table is damaged."""
    try:
        return tables.read(contract) if tables.exists(contract) else None
    except StorageError:
        return None


def _observe(view: RegionView, before: Publication) -> tuple[Publication, ZoneFound]:
    zone, tables, region = view.zone, view.tables, view.region
    health = {one.name: tables.health(one) for one in view.contracts if is_confined(one)}
    doubt, sources = _doubt(view, before, health)
    for digest in view.digests:
        sources |= _publish_digest(tables, digest, before, health)
    with observed_days(view.cache, f"{region}/{zone.data.application}", code=code_of_publishing()) as seen:
        state = view.state or zone.state(region)
        found = zone.observe(region, first_day=view.first_day, before=Before(state, seen), reading=view.reading)
        seen.clear()
        seen.update(found.days)
    now = Publication(
        days=_days(view, before, found),
        events=_all_events(view, before, found),
        unused=(*found.unused, *view.misplaced),
        tables=health,
        doubt=doubt,
        sources={CODE: code_of_publishing(), **sources},
        left=found.left,
        left_events=found.left_events,
        may_pass=found.may_pass,
    )
    return now, found


def _with_former_days(now: Publication, before: Publication) -> Publication:
    """With the former entries of days that were not read in time, also of other code: they did not leave the zone."""
    kept = {day: before.days[day] for day in now.left if day in before.days and day not in now.days}
    return replace(now, days=dict(sorted({**now.days, **kept}.items()))) if kept else now


def _record_arrivals(view: RegionView, before: Publication, now: Publication, found: ZoneFound) -> None:
    """Records the arrivals of the days and events that changed; before the publication, so that no kill skips one.

    Arrivals begin once all days were read: a drop that was there and is read later did not arrive then.
    """
    if (now.left or now.left_events) and not has_arrivals(view.tables):
        return
    days = {day for day, one in now.days.items() if day not in before.days or before.days[day].content != one.content}
    kinds = {name for name, one in now.events.items() if before.events.get(name, NO_EVENTS).content != one.content}
    if days or kinds or not has_arrivals(view.tables):
        drops = {day: one.ids for day, one in found.days.items()}
        observe_arrivals(view.zone, view.tables, view.region, days=days, kinds=kinds, drops=drops)


@cache
def code_of_publishing() -> str:
    """The hash of the code that makes publications: after a change of it all are made again."""
    library = Path(__file__).parents[1]
    files = sorted(path for name in _CODE for path in (library / name).rglob("*.py"))
    return fingerprint(*(path.read_text() for path in files))


def _days(view: RegionView, before: Publication, found: ZoneFound) -> dict[date, DayDigest]:
    known: Known = {day.made_from: day.counts.numbers for day in before.days.values() if day.made_from}
    contents = {day: (one.content, one.drops) for day, one in found.days.items()}
    return count_days(
        view.zone,
        view.tables,
        region=view.region,
        known=known,
        contents=contents,
        is_counted=view.reading is None,
    )


def _all_events(view: RegionView, before: Publication, found: ZoneFound) -> dict[str, EventsDigest]:
    """Each kind of events; of a kind that was not read in time the former entry, if there is one."""
    former = {name: one for name, one in before.events.items() if name in found.left_events}
    read = [kind.name for kind in view.zone.data.events if kind.name not in found.left_events]
    return former | {name: _events(view.zone, view.region, name, before) for name in read}


def _events(zone: LandingZone, region: str, kind: str, before: Publication) -> EventsDigest:
    content, known = zone.events_fingerprint(region, kind), before.events.get(kind)
    if known is not None and known.content == content:
        return known
    return EventsDigest(content, zone.count_events(region, kind))


def _doubt(
    view: RegionView, before: Publication, health: Mapping[str, TableHealth]
) -> tuple[Mapping[date, str], dict[str, str]]:
    """The conflicts with other days, and their source; empty for a damaged table, which is made again first."""
    raw, validated = view.zone.data.raw, view.zone.data.validated
    if health[raw.name].faults:
        return {}, {}
    source = fingerprint(_content(view.tables, raw), repr(validated.columns), validated.key)
    if before.sources.get(DOUBT) == source:
        return before.doubt, {DOUBT: source}
    return doubt_of_days(doubted_rows(view.tables, raw=raw, validated=validated)), {DOUBT: source}


def _publish_digest(
    tables: TableStore, digest: Digest, before: Publication, health: Mapping[str, TableHealth]
) -> dict[str, str]:
    """Publishes an application's digests if their sources changed; returns the sources."""
    name = digest.contract.name
    if any(health[one.name].faults for one in digest.of):
        return {}
    source = fingerprint(*(_content(tables, one) for one in digest.of), repr(digest.contract.columns))
    if before.sources.get(name) != source or read_digest(tables, digest.contract) is None:
        tables.replace(digest.contract, digest.compute(tables))
    return {name: source}


def _content(tables: TableStore, contract: Contract) -> str:
    """A text that changes with the rows of a table; its files never change once they are listed."""
    return repr(sorted(tables.files_by_day(contract).items()))
