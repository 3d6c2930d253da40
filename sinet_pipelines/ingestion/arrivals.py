"""Arrivals: when the content of each file of a landing zone was first observed, recorded by the region itself.

The time of a file proves nothing: a copied home has new ones, and any program may set them. So a region records the
first observation of each content in its table `file_arrivals`, of class `feature`, which no rebuild of rows replaces.
Content that was there when the observation of the zone began has an unknown arrival.
"""

import logging
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property, lru_cache

import polars as pl

from sinet_pipelines.errors import StorageError
from sinet_pipelines.ingestion.drops import UNREADABLE, read_drop_in_batches
from sinet_pipelines.ingestion.hashing import row_hash
from sinet_pipelines.ingestion.inspection import Drop, open_part
from sinet_pipelines.ingestion.landing import LandingZone
from sinet_pipelines.schemas.arrival import FILE_ARRIVALS, KNOWN_FROM
from sinet_pipelines.storage.tables import TableStore, empty
from sinet_pipelines.storage.versions import INSTANT, ArrivalsOf

_log = logging.getLogger(__name__)

_CONTENT = ("kind", "day", "content")
_CONTENT_SCHEMA = {name: empty(FILE_ARRIVALS).schema[name] for name in _CONTENT}


def observe_arrivals(
    zone: LandingZone,
    tables: TableStore,
    region: str,
    *,
    days: Collection[date] | None = None,
    kinds: Collection[str] | None = None,
    drops: Mapping[date, Collection[str]] | None = None,
    now: datetime | None = None,
) -> None:
    """Records content that the landing zone has and that was never observed; it runs in the region.

    Args:
        zone: the application's landing zones.
        tables: its tables in the region.
        region: its name.
        days: days on which something may have changed; None for all. The first observation is of all days and kinds.
        kinds: kinds of events of which something may have changed; None for all.
        drops: the ids of the drops of all landed days, if they are known; else the files are read.
        now: instant of the observation, UTC; read from the clock by default.

    Raises:
        StorageError: the table cannot be read or written, or the zone cannot be read. Then the record stays as it is.
    """
    before = _recorded(tables)
    if before is None:
        days = kinds = None
    there = pl.DataFrame(list(_contents(zone, region, days, kinds, drops)), schema=_CONTENT_SCHEMA, orient="row")
    known = empty(FILE_ARRIVALS) if before is None else before
    fresh = there.unique().join(known, on=_CONTENT, how="anti", nulls_equal=True)
    if before is not None and not fresh.height:
        return
    at = pl.lit(now or datetime.now(UTC)).cast(INSTANT)
    added = fresh.with_columns(arrived_at=at, was_there=pl.lit(before is None))
    latest = _recorded(tables)  # another process may have observed more meanwhile, or begun
    rows = pl.concat([known if latest is None else latest, added.select(known.columns)])
    first = rows.sort("arrived_at").unique(_CONTENT, keep="first", maintain_order=True)
    tables.replace(FILE_ARRIVALS, first.sort(_CONTENT))


def has_arrivals(tables: TableStore) -> bool:
    """Whether the observation of a region's landing zone has begun, and its record is not damaged.

    Raises:
        StorageError: the store does not respond, or denies access.
    """
    try:
        return tables.exists(FILE_ARRIVALS)
    except StorageError:
        if not tables.health(FILE_ARRIVALS).faults:
            raise
        return False


def file_arrivals(tables: TableStore) -> pl.DataFrame:
    """The recorded arrivals of a region; empty where none was recorded or their table is damaged.

    Raises:
        StorageError: the store does not respond, or denies access.
    """
    found = _recorded(tables)
    return empty(FILE_ARRIVALS) if found is None else found


def arrivals_of_rows(zone: LandingZone, tables: TableStore, region: str) -> ArrivalsOf:
    """From a day and hashes of its rows, the arrival of each row: that of the first drop that has it.

    Null stands for the end of the day: a row of a drop whose arrival is unknown. A drop that came since the last
    observation arrives now. A row of no drop, whose file was replaced meanwhile, has the newest instant of its day.

    Args:
        zone: the application's landing zones.
        tables: its tables in the region.
        region: its name.
    """
    recorded, now = file_arrivals(tables).filter(pl.col("kind") == ""), datetime.now(UTC)

    @lru_cache(maxsize=1)  # a step asks twice for a day: whether any instant is known, and for those of its rows
    def of_day(day: date) -> _Instants:
        """The instants of the rows of a day, by its drops."""
        facts = _facts(recorded.filter(pl.col("day") == day))
        known = {content: _known_from(day, at, is_old) for content, at, is_old in facts}
        if not known:
            return _Instants(None)
        newest = max(filter(None, known.values()), default=None)
        drops = zone.drops(region, day)
        instants = [known.get(drop.drop_id, now) for drop in drops]
        if all(drop.drop_id in known for drop in drops) and len(dict.fromkeys(instants)) <= 1:
            return _Instants(instants[0] if instants else newest)
        parts = [_names(zone, drop, at or _end_of(day)) for drop, at in zip(drops, instants, strict=True)]
        first = pl.concat(parts).group_by("row_hash").agg(pl.col(KNOWN_FROM).min()).sort("row_hash")
        is_default = pl.col(KNOWN_FROM) == pl.lit(_end_of(day)).cast(INSTANT)
        return _Instants(
            newest, first.with_columns(pl.when(is_default).then(None).otherwise(KNOWN_FROM).alias(KNOWN_FROM))
        )

    def arrivals(day: date, hashes: pl.Series) -> pl.DataFrame:
        return of_day(day).of(hashes)

    return arrivals


@dataclass(frozen=True)
class _Instants:
    """The instants of arrival of a day's rows; null for the end of the day.

    Attributes:
        other: the instant of all rows that are not listed.
        rows: rows of the day's drops with their instants, in the order of `row_hash`; None where all have one instant.
    """

    other: datetime | None
    rows: pl.DataFrame | None = None

    def of(self, hashes: pl.Series) -> pl.DataFrame:
        """The instant of each of these rows, and one row of a known instant if the day has any."""
        if self.rows is None or self.rows.is_empty():
            return _with_instant(hashes, self.other)
        wanted = hashes.unique()
        places = self.rows["row_hash"].search_sorted(wanted)  # a large day is looked up part by part
        near = self.rows[places.clip(upper_bound=self.rows.height - 1)]
        is_there = near["row_hash"] == wanted
        found = pl.concat([near.filter(is_there), _with_instant(wanted.filter(~is_there), self.other)])
        return pl.concat([found, self._known.join(found, on="row_hash", how="anti")])

    @cached_property
    def _known(self) -> pl.DataFrame:
        """One row of a known instant."""
        rows = _with_instant(pl.Series([], dtype=pl.String), None) if self.rows is None else self.rows
        return rows.filter(pl.col(KNOWN_FROM).is_not_null()).head(1)


def _with_instant(hashes: pl.Series, instant: datetime | None) -> pl.DataFrame:
    return pl.DataFrame({"row_hash": hashes}).with_columns(pl.lit(instant).cast(INSTANT).alias(KNOWN_FROM))


def _recorded(tables: TableStore) -> pl.DataFrame | None:
    """The recorded arrivals; None where the observation has not begun, or where the table is damaged.

    A store that does not respond for a moment has not lost its record: its error is raised, and nothing replaces it.
    """
    try:
        return tables.read(FILE_ARRIVALS) if tables.exists(FILE_ARRIVALS) else None
    except StorageError:
        faults = tables.health(FILE_ARRIVALS).faults
        if not faults:
            raise
        _log.warning("%s; until then arrivals of files count as unknown", faults[0].message)
        return None


def _contents(
    zone: LandingZone,
    region: str,
    days: Collection[date] | None,
    kinds: Collection[str] | None,
    drops: Mapping[date, Collection[str]] | None,
) -> Iterator[tuple[str, date | None, str]]:
    if drops is not None:
        yield from (("", day, name) for day, ids in drops.items() if days is None or day in days for name in ids)
    elif days is None or days:
        yield from (("", day, name) for day, name in zone.drop_ids(region, days))
    for kind in zone.data.events:
        if kinds is None or kind.name in kinds:
            yield from ((kind.name, None, digest) for digest in zone.event_digests(region, kind.name))


def _facts(rows: pl.DataFrame) -> list[tuple[str, datetime, bool]]:
    return rows.select("content", "arrived_at", "was_there").rows()


def _known_from(day: date, arrived_at: datetime, was_there: bool) -> datetime | None:
    """The instant from which a drop is known; None for the end of its day, where the arrival is unknown."""
    return None if was_there and arrived_at >= _end_of(day) else arrived_at


def _end_of(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), time(), tzinfo=UTC)


def _names(zone: LandingZone, drop: Drop, at: datetime) -> pl.DataFrame:
    """The hashes of a drop's rows with its instant; none of a file that was removed or that is no table."""
    names = [pl.Series("row_hash", [], dtype=pl.String)]
    if not drop.why_unreadable:
        with suppress(*UNREADABLE), open_part(drop.part) as file:
            batches = read_drop_in_batches(file, zone.data.drop, hive=drop.hive)
            names += [row_hash(rows, zone.data.drop) for rows in batches]
    return pl.concat(names).to_frame().with_columns(pl.lit(at).cast(INSTANT).alias(KNOWN_FROM))
