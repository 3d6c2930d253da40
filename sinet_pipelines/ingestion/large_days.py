"""A day of more rows than fit in memory: read from its drops and sorted on disk, a bounded number of rows at a time.

Equal to `LandingZone.read_day` in every row and in their order.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from io import BufferedReader
from pathlib import Path
from typing import Self

import polars as pl

from sinet_pipelines.errors import first_line
from sinet_pipelines.ingestion.drops import UNREADABLE, Fault, named, read_drop_in_batches, read_faults, unreadable
from sinet_pipelines.ingestion.hashing import row_hash
from sinet_pipelines.ingestion.inspection import sha256_of
from sinet_pipelines.ingestion.scan import Part
from sinet_pipelines.schemas.telemetry import RAW_TELEMETRY
from sinet_pipelines.storage.spill import Sorter

RAW_COLUMNS = tuple(column.name for column in RAW_TELEMETRY.columns if column.name != "ingested_at")


@dataclass
class LargeDay:
    """The rows of a day, sorted on disk.

    Attributes:
        day: the day.
        folder: on whose disk the rows are kept; None for the machine's temporary folder.
        sent: rows in the day's drops, copies included.
        size: bytes of these rows in memory.
        kept: distinct rows; known after the last batch.
        faults: what is wrong with the day's drops as files.
    """

    day: date
    folder: Path | None
    sent: int = 0
    size: int = 0
    kept: int = 0
    faults: list[Fault] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._rows = Sorter(RAW_TELEMETRY.order, then=("drop_id",), folder=self.folder)
        self._seen: set[str] = set()

    @property
    def duplicates(self) -> int:
        """Rows that were exact copies of another; known after the last batch."""
        return self.sent - self.kept

    def take(self, file: BufferedReader, part: Part, *, batch_rows: int) -> None:
        """Adds a drop: all of its rows, or the reason why it is no table and none of its rows."""
        key = named(sha256_of(file), part.hive)
        if key in self._seen:
            return
        self._seen.add(key)
        self._rows.flush()
        mark, sent, size = self._rows.runs, 0, 0
        try:
            for rows in read_drop_in_batches(file, hive=part.hive, rows=batch_rows):
                sent += rows.height
                size += int(rows.estimated_size())
                self._rows.add(self._as_raw(rows, key))
        except UNREADABLE as error:
            self._rows.forget(mark)
            self.faults.append(unreadable(part.name, first_line(error)))
            return
        self.sent += sent
        self.size += size
        self.faults += read_faults(file, file=part.name, hive=part.hive)

    def batches(self) -> Iterator[pl.DataFrame]:
        """The columns of `raw_telemetry` but `ingested_at`, exact copies dropped; in the order of that table.

        Of equal rows the one of the drop with the smallest id remains. May be called again.
        """
        self.kept = 0
        for rows in self._rows.sorted():
            once = rows.unique("row_hash", keep="first", maintain_order=True)
            self.kept += once.height
            yield once

    def _as_raw(self, rows: pl.DataFrame, key: str) -> pl.DataFrame:
        named_rows = rows.with_columns(row_hash(rows), event_date=pl.lit(self.day), drop_id=pl.lit(key))
        return named_rows.unique("row_hash", keep="first", maintain_order=True).select(RAW_COLUMNS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._rows.close()
