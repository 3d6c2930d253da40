"""Which rows of `landed_stream` may be removed: those whose drops are in the landing zone.

Offsets are transactions of the table, so a stream continues after the same message without its rows. Rows that have not
landed are needed for their drop, and the last ids of messages of a broker without offsets recognise repeated ones.
"""

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from sinet_pipelines.ingestion.streams.ingester import IDS
from sinet_pipelines.ingestion.streams.stream_tables import StreamTables


@dataclass(frozen=True)
class RemovableRows:
    """Rows of `landed_stream` that nothing needs.

    Attributes:
        predicate: condition of these rows for `DeltaTable.delete`.
        rows: their number.
        last_batch: the newest batch among them, 0 for none.
    """

    predicate: str
    rows: int
    last_batch: int


def removable_rows(tables: StreamTables, *, arrived_before: datetime) -> RemovableRows:
    """The rows that may be removed, while the stream is stored or not.

    Args:
        tables: the tables of the stream.
        arrived_before: rows that arrived at this instant or later stay, with time zone.

    Raises:
        ValueError: the instant has no time zone.
    """
    if arrived_before.tzinfo is None:
        raise ValueError(f"{arrived_before} has no time zone (allowed: an instant with one); give it in UTC")
    last = _last_batch(tables, arrived_before)
    columns = ("stream_source", "stream_offset", "stream_batch", "message_id")
    old = tables.scan().filter(pl.col("stream_batch") <= last).select(columns).collect()
    # only a broker without offsets has ids
    sources = old.filter(pl.col("message_id") != "")["stream_source"].unique().sort()
    first = {source: tables.last_offset(source, 0) - IDS for source in sources}
    is_kept = [(pl.col("stream_source") == source) & (pl.col("stream_offset") > one) for source, one in first.items()]
    found = old.filter(~pl.any_horizontal(is_kept)) if is_kept else old
    conditions = [f"NOT (stream_source = {_text(source)} AND stream_offset > {one})" for source, one in first.items()]
    newest = max(found["stream_batch"], default=0)
    return RemovableRows(" AND ".join([f"stream_batch <= {last}", *conditions]), found.height, newest)


def _last_batch(tables: StreamTables, arrived_before: datetime) -> int:
    """The last landed batch up to which all rows arrived before an instant; 0 for none."""
    micros = int(arrived_before.timestamp() * 1_000_000)
    is_late = pl.col("arrived_at") >= pl.lit(micros).cast(pl.Datetime("us", "UTC"))
    late = tables.scan().filter(is_late).select(pl.col("stream_batch").min()).collect().item()
    return tables.landed if late is None else min(tables.landed, int(late) - 1)


def _text(value: str) -> str:
    """A text in a condition."""
    return "'" + value.replace("'", "''") + "'"
