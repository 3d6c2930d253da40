"""The account of the rows: every distinct row that landed has one state, found by its hash.

sent = landed + duplicates; landed = in tables + quarantined + withheld + pending, at every moment.
"""

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from datetime import date

import polars as pl

from sinet_pipelines.ingestion.landing import LandingZone
from sinet_pipelines.schemas.telemetry import QUARANTINE, VALIDATED_TELEMETRY
from sinet_pipelines.storage.tables import TableStore, empty


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


NAMES = ("event_date", "row_hash")  # what names a row
NOTHING = RowAccount(0, 0, 0, 0, 0, 0, 0)


def account_rows(
    zone: LandingZone, tables: TableStore, *, region: str, failed_days: Collection[date] = ()
) -> RowAccount:
    """The account of one region's rows.

    Args:
        zone: the landing zone.
        tables: the region's tables.
        region: its name.
        failed_days: days whose newest check failed.
    """
    sent, parts = 0, [empty(VALIDATED_TELEMETRY).select(NAMES)]
    for day in zone.days(region):
        drops = zone.read_day(region, day)
        sent += drops.sent
        parts.append(drops.rows.select(NAMES))  # a name a row: what the rows say is let go day by day
    landed = pl.concat(parts)
    kept, aside = (tables.read(table, columns=NAMES) for table in (VALIDATED_TELEMETRY, QUARANTINE))
    in_tables, rest = _split(landed, kept)
    quarantined, rest = _split(rest, aside)
    withheld = rest.filter(pl.col("event_date").is_in(list(failed_days))).height
    return RowAccount(
        sent=sent,
        duplicates=sent - landed.height,
        landed=landed.height,
        in_tables=in_tables,
        quarantined=quarantined,
        withheld=withheld,
        pending=rest.height - withheld,
    )


def _split(rows: pl.DataFrame, of: pl.DataFrame) -> tuple[int, pl.DataFrame]:
    """How many of the rows are among those of a table, and the others."""
    others = rows.join(of, on=["event_date", "row_hash"], how="anti")
    return rows.height - others.height, others


def total(accounts: Iterable[RowAccount]) -> RowAccount:
    """The account of all regions."""
    return sum(accounts, NOTHING)
