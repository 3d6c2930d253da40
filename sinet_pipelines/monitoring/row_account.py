"""The row account: every distinct row that landed has one state, found by its hash.

sent = landed + duplicates; landed = in tables + quarantined + withheld + pending, at every moment.
"""

from collections.abc import Collection, Iterable, Mapping, MutableMapping
from dataclasses import asdict, astuple, dataclass, fields
from datetime import date
from pathlib import Path

import polars as pl

from sinet_pipelines.ingestion.landing import LandingZone
from sinet_pipelines.schemas.contract import Contract
from sinet_pipelines.storage.cache import read_cache
from sinet_pipelines.storage.fingerprint import fingerprint
from sinet_pipelines.storage.tables import TableStore


@dataclass(frozen=True)
class RowAccount:
    """Rows by state.

    Attributes:
        sent: rows of all drops, each drop counted once by its content.
        duplicates: rows sent again as exact copies.
        landed: distinct rows.
        in_tables: number of these in the validated table.
        quarantined: set aside with a reason.
        withheld: of a day whose latest check failed.
        pending: landed and not yet processed.
    """

    sent: int
    duplicates: int
    landed: int
    in_tables: int
    quarantined: int
    withheld: int
    pending: int

    def __add__(self, other: "RowAccount") -> "RowAccount":
        mine, theirs = asdict(self), asdict(other)
        return RowAccount(**{name: mine[name] + theirs[name] for name in mine})

    @property
    def closes(self) -> bool:
        """Whether the numbers add up: no row is lost or counted twice."""
        kept = self.in_tables + self.quarantined + self.withheld + self.pending
        return self.sent == self.landed + self.duplicates and self.landed == kept


NOTHING = RowAccount(0, 0, 0, 0, 0, 0, 0)


@dataclass(frozen=True)
class DayCounts:
    """Rows of one day of one region.

    Attributes:
        sent: rows of its drops.
        landed: distinct rows.
        in_tables: of these, in the validated table.
        quarantined: of these, in `quarantine` alone.
    """

    sent: int
    landed: int
    in_tables: int
    quarantined: int

    @property
    def numbers(self) -> list[int]:
        """The four numbers in the order above."""
        return [self.sent, self.landed, self.in_tables, self.quarantined]


@dataclass(frozen=True)
class DayDigest:
    """One landed day of one region.

    Attributes:
        content: digest of its drops; equal for equal drops, independent of file names.
        drops: number of drops, each counted once by its content.
        made_from: digest of the inputs of the counts.
        counts: its rows.
    """

    content: str
    drops: int
    made_from: str
    counts: DayCounts


Known = MutableMapping[str, list[int]]


def account_rows(
    zone: LandingZone,
    tables: TableStore,
    *,
    region: str,
    failed_days: Collection[date] = (),
    known: Known | None = None,
) -> RowAccount:
    """The row account of an application in one region.

    Args:
        zone: the application's landing zone.
        tables: its tables in the region.
        region: its name.
        failed_days: days whose newest check failed.
        known: counts of days by the digest of their inputs; an unchanged day is not counted again. New counts are
            added.
    """
    days = count_days(zone, tables, region=region, known=known if known is not None else {})
    return account_of({day: one.counts for day, one in days.items()}, failed_days=failed_days)


def count_days(
    zone: LandingZone,
    tables: TableStore,
    *,
    region: str,
    known: Known,
    contents: Mapping[date, tuple[str, int]] | None = None,
    is_counted: bool = True,
) -> dict[date, DayDigest]:
    """The rows of each landed day of a region.

    Args:
        zone: as of `account_rows`.
        tables: as of `account_rows`.
        region: as of `account_rows`.
        known: as of `account_rows`.
        contents: content and number of drops of each day; those of the zone by default.
        is_counted: whether to count the rows of days that are not known; else they count as zero, and their digest has
            no inputs.
    """
    # rows of a damaged table do not count: they are pending until the table is made again
    whole = [table for table in (zone.data.validated, zone.data.quarantine) if not tables.health(table).faults]
    held = [tables.files_by_day(table) for table in whole]
    found = {}
    for day, (content, drops) in (zone.contents(region) if contents is None else contents).items():
        files = [repr(one.get(day)) for one in held]
        name = fingerprint(zone.data.application, region, str(day), content, *files)
        kept = known.get(name)
        if not kept and not is_counted:
            found[day] = DayDigest(content, drops, "", DayCounts(0, 0, 0, 0))
            continue
        counts = DayCounts(*kept) if kept else _count_day(zone, tables, whole, region=region, day=day)
        known[name] = list(astuple(counts))
        found[day] = DayDigest(content, drops, name, counts)
    return found


def account_of(counted: Mapping[date, DayCounts], *, failed_days: Collection[date] = ()) -> RowAccount:
    """The account of counted days.

    Args:
        counted: by day.
        failed_days: days whose newest check failed.
    """
    accounts = (_account_of(counts, is_failed=day in failed_days) for day, counts in counted.items())
    return sum(accounts, NOTHING)


def read_counts(path: Path) -> dict[str, list[int]]:
    """Counts of days that an earlier process stored; invalid entries are ignored."""
    return {
        name: kept
        for name, kept in read_cache(path).items()
        if isinstance(kept, list) and [type(one) for one in kept] == [int] * len(fields(DayCounts))
    }


def _account_of(counts: DayCounts, *, is_failed: bool) -> RowAccount:
    rest = counts.landed - counts.in_tables - counts.quarantined
    return RowAccount(
        sent=counts.sent,
        duplicates=counts.sent - counts.landed,
        landed=counts.landed,
        in_tables=counts.in_tables,
        quarantined=counts.quarantined,
        withheld=rest if is_failed else 0,
        pending=0 if is_failed else rest,
    )


def _count_day(
    zone: LandingZone, tables: TableStore, whole: Collection[Contract], *, region: str, day: date
) -> DayCounts:
    sent, landed = zone.row_names(region, day)
    kept, aside = (
        tables.read(table, days=(day, day), columns=["row_hash"]) if table in whole else landed.clear()
        for table in (zone.data.validated, zone.data.quarantine)
    )
    in_tables, rest = _split(landed, kept)
    quarantined, _ = _split(rest, aside)
    return DayCounts(sent, landed.height, in_tables, quarantined)


def _split(rows: pl.DataFrame, of: pl.DataFrame) -> tuple[int, pl.DataFrame]:
    """The number of rows that are in a table, and the other rows."""
    others = rows.join(of, on="row_hash", how="anti")
    return rows.height - others.height, others


def total(accounts: Iterable[RowAccount]) -> RowAccount:
    """The account of all regions."""
    return sum(accounts, NOTHING)
