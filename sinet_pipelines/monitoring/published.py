"""What a region publishes about an application, and its form as rows of the table of digests."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from itertools import chain
from pathlib import Path
from typing import Any

import polars as pl

from sinet_pipelines.errors import StorageError
from sinet_pipelines.ingestion.scan import UnusedFile
from sinet_pipelines.monitoring.row_account import DayCounts, DayDigest
from sinet_pipelines.schemas.contract import Contract
from sinet_pipelines.schemas.publication import (
    DAY,
    DOUBT,
    EVENTS,
    FAULT,
    REGION_DIGESTS,
    SOURCE,
    TABLE,
    TABLE_ROWS,
    UNUSED,
)
from sinet_pipelines.storage.health import StorageFault, TableHealth
from sinet_pipelines.storage.tables import TableStore, empty

Row = dict[str, Any]


@dataclass(frozen=True)
class EventsDigest:
    """One kind of events.

    Attributes:
        content: digest of its files.
        rows: events in them, and faults of files; 0 where there is nothing to make a table from.
    """

    content: str
    rows: int


NO_EVENTS = EventsDigest("", 0)


@dataclass(frozen=True)
class Publication:
    """The published data of one region and application.

    Attributes:
        days: the landed days, in order.
        events: by kind.
        unused: files whose rows are in no table; those of no application are among them.
        tables: the state of each table that does not leave the region, by name.
        doubt: by day, the digest of its keys that are on other days too.
        sources: by name of a costly part (the doubt, an application's digest), what it was computed from.
        left: days with files that were not read, since the time was over. It is not stored.
        left_events: kinds of events with such files; their entries are former ones. It is not stored.
        may_pass: whether a file could not be read for a reason that may pass. It is not stored.
    """

    days: Mapping[date, DayDigest] = field(default_factory=dict)
    events: Mapping[str, EventsDigest] = field(default_factory=dict)
    unused: tuple[UnusedFile, ...] = ()
    tables: Mapping[str, TableHealth] = field(default_factory=dict)
    doubt: Mapping[date, str] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    left: tuple[date, ...] = field(default=(), compare=False)
    left_events: tuple[str, ...] = field(default=(), compare=False)
    may_pass: bool = field(default=False, compare=False)

    @property
    def counts(self) -> dict[date, DayCounts]:
        """The rows of each landed day."""
        return {day: one.counts for day, one in self.days.items()}

    def is_damaged(self, *contracts: Contract) -> bool:
        """Whether one of these tables is damaged."""
        return any(self.tables[one.name].faults for one in contracts if one.name in self.tables)


def read_publication(tables: TableStore, region: str) -> Publication | None:
    """The latest published data; None where there are none or their table is damaged, so that it is made again."""
    try:
        rows = tables.read(REGION_DIGESTS)
    except StorageError:
        return None
    return _from_rows(list(rows.iter_rows(named=True)), tables, region) if rows.height else None


def publication_to_frame(found: Publication, tables: TableStore) -> pl.DataFrame:
    """The published data as rows of the table.

    Args:
        found: the data.
        tables: of the region and the application.
    """
    root = _root_of(tables)
    rows = chain(
        (_day_row(day, one) for day, one in found.days.items()),
        ({"subject": DOUBT, "day": day, "content": content} for day, content in found.doubt.items()),
        ({"subject": EVENTS, "name": n, "content": one.content, "rows": one.rows} for n, one in found.events.items()),
        (
            {"subject": UNUSED, "name": one.application, "path": one.path, "found": one.reason, "cure": one.cure}
            for one in found.unused
        ),
        *(_table_rows(name, one, root) for name, one in found.tables.items()),
        ({"subject": SOURCE, "name": name, "made_from": made_from} for name, made_from in found.sources.items()),
    )
    schema = empty(REGION_DIGESTS).schema
    blank: Row = dict.fromkeys(schema) | {"name": "", "path": ""}
    return pl.DataFrame([blank | row for row in rows], schema=schema, orient="row")


def _day_row(day: date, one: DayDigest) -> Row:
    sent, landed, in_tables, quarantined = one.counts.numbers
    numbers = {"rows_sent": sent, "rows_landed": landed, "rows_in_tables": in_tables, "rows_quarantined": quarantined}
    return {
        "subject": DAY, "day": day, "content": one.content, "drops": one.drops, "made_from": one.made_from, **numbers
    }  # fmt: skip


def _table_rows(name: str, one: TableHealth, root: Path) -> Iterator[Row]:
    yield {"subject": TABLE, "name": name, "path": str(one.path.relative_to(root)), "version": one.version}
    for day, rows in one.rows.items():
        if not day or _as_day(day):  # other files are not written by the platform
            yield {"subject": TABLE_ROWS, "name": name, "day": _as_day(day), "rows": rows}
    for fault in one.faults:
        path = fault.path.relative_to(root)
        yield {
            "subject": FAULT, "name": name, "day": _as_day(fault.day), "path": str(path), "found": fault.found,
            "cure": fault.cure,
        }  # fmt: skip


def _root_of(tables: TableStore) -> Path:
    """The root as a prefix of paths of tables and faults; for a store it is used in messages alone."""
    return Path(tables.root.replace("://", ":/"))


def _from_rows(rows: Iterable[Row], tables: TableStore, region: str) -> Publication:
    of: dict[str, list[Row]] = {}
    for row in rows:
        of.setdefault(row["subject"], []).append(row)
    root = _root_of(tables)
    faults = [_fault(row, root) for row in of.get(FAULT, [])]
    return Publication(
        days={row["day"]: _day(row) for row in of.get(DAY, [])},
        events={row["name"]: EventsDigest(row["content"], row["rows"]) for row in of.get(EVENTS, [])},
        unused=tuple(UnusedFile(r["path"], r["found"], r["cure"], region, r["name"]) for r in of.get(UNUSED, [])),
        tables={
            row["name"]: TableHealth(
                root / row["path"],
                row["version"],
                {_as_text(one["day"]): one["rows"] for one in of.get(TABLE_ROWS, []) if one["name"] == row["name"]},
                tuple(fault for name, fault in faults if name == row["name"]),
            )
            for row in of.get(TABLE, [])
        },
        doubt={row["day"]: row["content"] for row in of.get(DOUBT, [])},
        sources={row["name"]: row["made_from"] for row in of.get(SOURCE, [])},
    )


def _day(row: Row) -> DayDigest:
    counts = DayCounts(row["rows_sent"], row["rows_landed"], row["rows_in_tables"], row["rows_quarantined"])
    return DayDigest(row["content"], row["drops"], row["made_from"], counts)


def _fault(row: Row, root: Path) -> tuple[str, StorageFault]:
    day = _as_text(row["day"]) or None
    return row["name"], StorageFault(root / row["path"], row["found"], row["cure"], day)


def _as_day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text or "")
    except ValueError:
        return None


def _as_text(day: date | None) -> str:
    return day.isoformat() if day is not None else ""
