"""The account of the rows: every distinct row that landed has one state, found by its hash.

sent = landed + duplicates; landed = in tables + quarantined + withheld + pending, at every moment.
"""

from collections.abc import Collection, Iterable, MutableMapping
from dataclasses import asdict, astuple, dataclass, fields
from datetime import date
from pathlib import Path

import polars as pl

from sinet_pipelines.ingestion.landing import LandingZone
from sinet_pipelines.schemas.contract import Contract
from sinet_pipelines.schemas.telemetry import QUARANTINE, VALIDATED_TELEMETRY
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
        in_tables: of these, in `validated_telemetry`.
        quarantined: set aside with a reason.
        withheld: of a day whose newest check failed.
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
        """Whether no row is lost or counted twice."""
        kept = self.in_tables + self.quarantined + self.withheld + self.pending
        return self.sent == self.landed + self.duplicates and self.landed == kept


NOTHING = RowAccount(0, 0, 0, 0, 0, 0, 0)


@dataclass(frozen=True)
class DayCounts:
    """Rows of one day of one region.

    Attributes:
        sent: rows of its drops.
        landed: distinct rows.
        in_tables: of these, in `validated_telemetry`.
        quarantined: of these, in `quarantine` alone.
    """

    sent: int
    landed: int
    in_tables: int
    quarantined: int


Known = MutableMapping[str, list[int]]


def account_rows(
    zone: LandingZone,
    tables: TableStore,
    *,
    region: str,
    failed_days: Collection[date] = (),
    known: Known | None = None,
) -> RowAccount:
    """The account of one region's rows.

    Args:
        zone: the landing zone.
        tables: the region's tables.
        region: its name.
        failed_days: days whose newest check failed.
        known: counts of days by what they were counted from; a day whose drops and files are the same is not counted
            again, and one that is counted is added.
    """
    # rows of a damaged table are not there: they are pending until the table is made again
    whole = [table for table in (VALIDATED_TELEMETRY, QUARANTINE) if not tables.health(table.name).faults]
    held = [tables.files_by_day(table.name) for table in whole]
    account = NOTHING
    for day in zone.days(region):
        files = [repr(one.get(day)) for one in held]
        name = fingerprint(region, str(day), zone.fingerprint(region, day), *files)
        kept = (known or {}).get(name)
        counts = DayCounts(*kept) if kept else _count_day(zone, tables, whole, region=region, day=day)
        if known is not None:
            known[name] = list(astuple(counts))
        account += _account_of(counts, is_failed=day in failed_days)
    return account


def read_counts(path: Path) -> dict[str, list[int]]:
    """Counts of days that an earlier process kept; what is no such count is passed over."""
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
        for table in (VALIDATED_TELEMETRY, QUARANTINE)
    )
    in_tables, rest = _split(landed, kept)
    quarantined, _ = _split(rest, aside)
    return DayCounts(sent, landed.height, in_tables, quarantined)


def _split(rows: pl.DataFrame, of: pl.DataFrame) -> tuple[int, pl.DataFrame]:
    """How many of the rows are among those of a table, and the others."""
    others = rows.join(of, on="row_hash", how="anti")
    return rows.height - others.height, others


def total(accounts: Iterable[RowAccount]) -> RowAccount:
    """The account of all regions."""
    return sum(accounts, NOTHING)
