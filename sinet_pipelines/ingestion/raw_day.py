"""Reads the files of a landing zone: rebuilds a day from its drops, and reads files of events.

A file that is not a table, or that cannot be read, is a fault and has no rows; a file that was removed meanwhile is
ignored.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl
import pyarrow as pa

from sinet_pipelines.ingestion.drops import (
    UNREADABLE,
    Fault,
    drop_id,
    named,
    no_rows,
    read_as_written,
    read_drop_in_batches,
    read_faults,
    unreadable,
)
from sinet_pipelines.ingestion.events import no_events, read_event_file
from sinet_pipelines.ingestion.hashing import row_hash
from sinet_pipelines.ingestion.inspection import SMALL_BYTES, AnyPart, inspect, open_part, read_part, sha256_of
from sinet_pipelines.ingestion.landed import EventKind, LandedData
from sinet_pipelines.ingestion.large_days import LargeDay
from sinet_pipelines.ingestion.small_drops import cast_together


@dataclass(frozen=True)
class RawDay:
    """A day of one region rebuilt from all its drops.

    Attributes:
        rows: the columns of the raw table except `ingested_at`, without exact copies, in the order of that table.
        sent: number of rows in the day's drops, including copies.
        faults: faults of the day's drops as files.
    """

    rows: pl.DataFrame
    sent: int
    faults: tuple[Fault, ...]

    @property
    def duplicates(self) -> int:
        """The number of rows that are exact copies of another."""
        return self.sent - self.rows.height


def read_drops(parts: Iterable[AnyPart], data: LandedData, day: date) -> RawDay:
    """The day rebuilt from all its drops, independent of their order.

    A row of several drops is attributed to the one with the smallest id.

    Args:
        parts: the day's files.
        data: the data that the application lands.
        day: the day.
    """
    contents, faults = _contents(parts, data)
    tables: list[tuple[str, pa.Table]] = []
    for key, (part, content) in sorted(contents.items()):
        table, found = read_as_written(content, data.drop, file=part.name, hive=part.hive)
        tables += [] if table is None else [(key, table)]
        faults += found
    nothing = no_rows(data.drop).with_columns(drop_id=pl.lit(None, pl.String))
    rows = pl.concat([nothing, *cast_together(tables, data.drop)], rechunk=True)
    kept = rows.with_columns(row_hash(rows, data.drop), event_date=pl.lit(day)).unique(
        "row_hash", keep="first", maintain_order=True
    )
    ordered = kept.select(data.raw_columns).sort(data.raw.order)
    return RawDay(ordered, rows.height, tuple(faults))


def _contents(parts: Iterable[AnyPart], data: LandedData) -> tuple[dict[str, tuple[AnyPart, bytes]], list[Fault]]:
    """Each drop with its bytes, by its id, and the files that cannot be read."""
    contents: dict[str, tuple[AnyPart, bytes]] = {}
    faults: list[Fault] = []
    for part in parts:
        try:
            content = read_part(part)
        except FileNotFoundError:
            continue
        except OSError as error:
            faults.append(unreadable(part.name, f"{error.strerror}"))
        else:
            contents[drop_id(content, data.drop, part.hive)] = (part, content)
    return contents, faults


def row_names(parts: Iterable[AnyPart], data: LandedData) -> tuple[int, pl.DataFrame]:
    """The number of rows in drops, including copies, and the hash of each distinct row (`row_hash`).

    Args:
        parts: the files of a day.
        data: the data that the application lands.
    """
    large: list[AnyPart] = []
    hashes = [pl.DataFrame(schema={"row_hash": pl.String})]
    small = cast_together(_small_drops(parts, data, large), data.drop)
    hashes += [row_hash(rows, data.drop).to_frame() for rows in small]
    drops = {drop.drop_id: drop for part in large if (drop := inspect(part, data))}
    for drop in (one for one in drops.values() if not one.why_unreadable):
        with suppress(*UNREADABLE), open_part(drop.part) as file:
            batches = read_drop_in_batches(file, data.drop, hive=drop.hive)
            hashes += [row_hash(rows, data.drop).to_frame() for rows in batches]
    return sum(part.height for part in hashes), pl.concat(hashes).unique()


def _small_drops(parts: Iterable[AnyPart], data: LandedData, large: list[AnyPart]) -> Iterator[tuple[str, pa.Table]]:
    """The id and the rows, as they were written, of each small drop; appends other files to `large`."""
    ids: set[str] = set()
    for part in parts:
        try:
            with open_part(part) as file:
                if file.seek(0, os.SEEK_END) > SMALL_BYTES:
                    large.append(part)
                    continue
                file.seek(0)
                content = file.read()
        except OSError:  # a file that is removed or cannot be read is not a drop
            continue
        if (key := drop_id(content, data.drop, part.hive)) in ids:
            continue
        ids.add(key)
        table, _ = read_as_written(content, data.drop, file=part.name, hive=part.hive)
        if table is not None:
            yield key, table


def faults_of_drops(parts: Iterable[AnyPart], data: LandedData) -> tuple[Fault, ...]:
    """The faults of drops as files, according to their footers.

    Args:
        parts: the files of a day.
        data: the data that the application lands.
    """
    found: dict[str, tuple[Fault, ...]] = {}
    for part in parts:
        try:
            with open_part(part) as file:
                faults = read_faults(file, data.drop, file=part.name, hive=part.hive)
                found[named(sha256_of(file), data.drop, part.hive)] = faults
        except OSError:  # a file that is removed or cannot be read is not a drop
            continue
    return tuple(fault for faults in found.values() for fault in faults)


def sort_drops(
    parts: Sequence[AnyPart], data: LandedData, day: date, *, folder: Path | None, batch_rows: int
) -> LargeDay:
    """The day rebuilt like in `read_drops`, with rows sorted on disk; close it after use.

    Args:
        parts: the day's files, in reverse order of names.
        data: the data that the application lands.
        day: the day.
        folder: folder for the rows on disk; None for the machine's temporary folder.
        batch_rows: number of rows of a drop in one read.
    """
    found = LargeDay(data, day, folder)
    for part in reversed(parts):
        try:
            with open_part(part) as file:
                found.take(file, part, batch_rows=batch_rows)
        except FileNotFoundError:
            continue
        except OSError as error:
            found.faults.append(unreadable(part.name, f"{error.strerror}"))
    return found


def read_event_files(parts: Iterable[AnyPart], kind: EventKind) -> Iterator[tuple[pl.DataFrame, tuple[Fault, ...]]]:
    """The events and the faults of each file of a kind of events.

    Args:
        parts: the files.
        kind: the kind.
    """
    for part in parts:
        try:
            content = read_part(part)
        except FileNotFoundError:
            continue
        except OSError as error:
            yield no_events(kind), (unreadable(part.name, f"{error.strerror}"),)
            continue
        yield read_event_file(content, kind, file=part.name)
