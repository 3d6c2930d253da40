"""A day with more rows than fit in memory: read from its drops and sorted on disk, a bounded number of rows at a time.

Equal to `LandingZone.read_day` in every row and in their order.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import BinaryIO, Self

import polars as pl

from sinet_pipelines.errors import first_line
from sinet_pipelines.ingestion.drops import UNREADABLE, Fault, named, read_drop_in_batches, read_faults, unreadable
from sinet_pipelines.ingestion.hashing import row_hash
from sinet_pipelines.ingestion.inspection import AnyPart, sha256_of
from sinet_pipelines.ingestion.landed import LandedData
from sinet_pipelines.storage.spill import Sorter


@dataclass
class LargeDay:
    """The rows of a day, sorted on disk.

    Attributes:
        data: the data that the application lands.
        day: the day.
        folder: folder for the rows on disk; None for the machine's temporary folder.
        sent: number of rows in the day's drops, including copies.
        size: bytes of these rows in memory.
        kept: number of distinct rows; known after the last batch.
        faults: faults of the day's drops as files.
    """

    data: LandedData
    day: date
    folder: Path | None
    sent: int = 0
    size: int = 0
    kept: int = 0
    faults: list[Fault] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._rows = Sorter(self.data.raw.order, then=("drop_id",), folder=self.folder)
        self._seen: set[str] = set()

    @property
    def duplicates(self) -> int:
        """The number of rows that are exact copies of another; known after the last batch."""
        return self.sent - self.kept

    def take(self, file: BinaryIO, part: AnyPart, *, batch_rows: int) -> None:
        """Adds a drop: all of its rows, or no row and the reason why the file is not a table."""
        key = named(sha256_of(file), self.data.drop, part.hive)
        if key in self._seen:
            return
        self._seen.add(key)
        self._rows.flush()
        mark, sent, size = self._rows.runs, 0, 0
        try:
            for rows in read_drop_in_batches(file, self.data.drop, hive=part.hive, rows=batch_rows):
                sent += rows.height
                size += int(rows.estimated_size())
                self._rows.add(self._as_raw(rows, key))
        except UNREADABLE as error:
            self._rows.forget(mark)
            self.faults.append(unreadable(part.name, first_line(error)))
            return
        self.sent += sent
        self.size += size
        self.faults += read_faults(file, self.data.drop, file=part.name, hive=part.hive)

    def batches(self) -> Iterator[pl.DataFrame]:
        """The columns of the raw table except `ingested_at`, without exact copies, in the order of that table.

        Of equal rows, that of the drop with the smallest id remains. May be called again.
        """
        self.kept = 0
        for rows in self._rows.sorted():
            once = rows.unique("row_hash", keep="first", maintain_order=True)
            self.kept += once.height
            yield once

    def _as_raw(self, rows: pl.DataFrame, key: str) -> pl.DataFrame:
        named_rows = rows.with_columns(row_hash(rows, self.data.drop), event_date=pl.lit(self.day), drop_id=pl.lit(key))
        return named_rows.unique("row_hash", keep="first", maintain_order=True).select(self.data.raw_columns)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._rows.close()
