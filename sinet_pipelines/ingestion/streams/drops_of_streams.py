"""Lands the stored rows of a stream as drops: one file for each day of a range of batches, each exactly once.

The range is committed before its files are written, and marked as landed afterwards. A landing that was killed in
between writes the same files under the same names again. From there on, the rows of a stream are rows of drops: they
are counted, validated and withdrawn like all others.
"""

import json
from datetime import date

import polars as pl
import pyarrow as pa

from sinet_pipelines.ingestion.landing import LandingZone
from sinet_pipelines.ingestion.record import Record, write_record
from sinet_pipelines.ingestion.streams.decoding import REFUSED
from sinet_pipelines.ingestion.streams.stream_tables import LANDED, PLANNED, StreamTables
from sinet_pipelines.ingestion.zone_file import ZoneFile
from sinet_pipelines.schemas.contract import RECORDED_AT, Contract
from sinet_pipelines.storage.layout import recorded_applications

DROP_ROWS = 1_000_000  # of one landing, which are in memory at once


def land_stored(tables: StreamTables, zone: LandingZone, region: str) -> list[ZoneFile]:
    """Writes all stored rows that have not landed yet into the landing zone; returns the written files.

    A row without an instant lands on the day of its arrival, where the validation sets it aside.

    Args:
        tables: the tables of the stream; this process is their only writer.
        zone: the landing zones of the application.
        region: region of the rows.

    Raises:
        StorageError: a file or a table cannot be written; the next call continues. Or stored rows are missing.
        BusyError: another process writes the tables.
    """
    written: list[ZoneFile] = []
    while tables.landed < tables.batch:
        tables.require_rows()
        if tables.planned == tables.landed:
            tables.mark(PLANNED, _end_of_range(tables))
        first, last = tables.landed + 1, tables.planned
        found = tables.rows_of(first, last)
        _ensure_record(zone, found)
        for day, rows in _by_day(found):
            drop = as_sent(rows, zone.data.drop)
            file, content = zone.drop_file(region, day, name=f"stream_{first:012d}_{last:012d}", rows=drop)
            file.keep(content)
            written.append(file)
        tables.mark(LANDED, last, found.height)
    return written


def _ensure_record(zone: LandingZone, rows: pl.DataFrame) -> None:
    """Writes the record of an application that has landed nothing yet; its first day is that of the first arrival.

    The instants of the rows decide nothing here: one wrong instant of 1970 would make 20,000 partitions.
    """
    application = zone.data.application
    if not rows.height or recorded_applications(zone.home).count(application):
        return
    first = rows["arrived_at"].dt.date().min()
    fields = {"name": "stream", "simulated": False, "first_day": first}
    write_record(zone.home, application, fields, Record.of)


def _end_of_range(tables: StreamTables) -> int:
    """The last batch of the next range: as many as fit into `DROP_ROWS`, at least one with rows."""
    found = tables.rows_by_batch(tables.landed)
    beyond = found.filter(pl.col("rows").cum_sum().shift(1, fill_value=0) + pl.col("rows") > DROP_ROWS)
    beyond = beyond.filter(pl.col("stream_batch") > found["stream_batch"][0]) if found.height else beyond
    return int(beyond["stream_batch"][0]) - 1 if beyond.height else tables.batch


def _by_day(rows: pl.DataFrame) -> list[tuple[date, pl.DataFrame]]:
    """The rows of each day, in order."""
    day = pl.col(RECORDED_AT).fill_null(pl.col("arrived_at")).dt.date()
    first, last = rows.select(day.min().alias("first"), day.max().alias("last")).row(0)
    if first == last:
        return [(first, rows)] if rows.height else []
    return sorted(
        ((day, part) for (day,), part in rows.group_by(day, maintain_order=True)),
        key=lambda found: found[0],
    )


def as_sent(rows: pl.DataFrame, drop: Contract) -> pl.DataFrame:
    """The columns of a drop; a column with a value that has no place in its type is text, with all values as sent.

    In a column of texts, such a value (`true`, 7.5, a list) begins with `REFUSED`, else its text would be a name.
    """
    found = {} if rows["unparsed"].null_count() == rows.height else _texts(rows["unparsed"])
    for column in drop.columns:
        if column.name in found and pa.types.is_string(column.dtype):
            found[column.name] = [text and REFUSED + text for text in found[column.name]]
    return rows.select(
        pl.col(column.name)
        if column.name not in found
        else pl.Series(column.name, found[column.name], dtype=pl.String).fill_null(_as_text(rows[column.name]))
        for column in drop.columns
    )


def _texts(unparsed: pl.Series) -> dict[str, list[str | None]]:
    """For each column with such a value, its text in each row, else null."""
    objects = [json.loads(one) if one else {} for one in unparsed]
    names = dict.fromkeys(name for one in objects for name in one)
    return {name: [one.get(name) for one in objects] for name in names}


def _as_text(values: pl.Series) -> pl.Series:
    if values.dtype == pl.Datetime:
        return values.dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
    return values.cast(pl.String)
