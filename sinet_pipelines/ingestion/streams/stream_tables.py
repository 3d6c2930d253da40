"""The two tables of a region's streams: `landed_stream` with the rows, `dead_letters` with the messages without rows.

Each commit of a table records, in the same Delta transaction, the last offset of every partition that it contains, as
an application transaction `<source>/<partition>` (`DeltaTable.transaction_version`), and the ranges of offsets in its
commit info. `<source>/<partition>/sent` is the instant of that message at the broker. Each commit of `landed_stream`
also has the transaction `sinet/batch`, so that of two concurrent writers one fails.

A table that is restored to an older version, or whose rows are deleted, keeps its transactions: `sinet/rows` and
`sinet/landing/rows` count the stored and the landed rows, so that rows which disappear before they land are noticed.
"""

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType

import polars as pl
import pyarrow as pa
from deltalake import DeltaTable

from sinet_pipelines.errors import StorageError
from sinet_pipelines.ingestion.landed import LandedData
from sinet_pipelines.ingestion.streams.appended_table import AppendedTable
from sinet_pipelines.ingestion.streams.source import UNDATED
from sinet_pipelines.schemas.contract import Contract, DataClass, TableName
from sinet_pipelines.storage.tables import TableStore
from sinet_pipelines.words import counted

LANDED_STREAM = TableName("landed_stream", DataClass.RAW)
DEAD_LETTERS = TableName("dead_letters", DataClass.RAW)
BATCH, PLANNED, LANDED = "sinet/batch", "sinet/landing/planned", "sinet/landing/done"
ROWS, LANDED_ROWS = "sinet/rows", "sinet/landing/rows"
_INSTANT = pa.timestamp("us", tz="UTC")

#: Where a row or a dead letter came from. These columns are the first, since Delta has statistics of the first 32.
ORIGIN = pa.schema(
    [
        pa.field("stream_batch", pa.int64()),
        pa.field("stream_source", pa.string()),
        pa.field("stream_partition", pa.int32()),
        pa.field("stream_offset", pa.int64()),
        pa.field("stream_row", pa.int32()),
        pa.field("message_id", pa.string()),
        pa.field("arrived_at", _INSTANT),
    ]
)
LETTER = pa.schema(
    [*ORIGIN, pa.field("topic", pa.string()), pa.field("reason", pa.string()), pa.field("payload", pa.binary())]
)
Ranges = Mapping[int, tuple[int, int]]  # first and last offset of each partition


def rows_schema(drop: Contract) -> pa.Schema:
    """The columns of `landed_stream`: the origin of a row, the columns of a drop, all nullable, and `unparsed`."""
    columns = [pa.field(column.name, column.dtype) for column in drop.columns]
    return pa.schema([*ORIGIN, *columns, pa.field("unparsed", pa.string())])


class StreamTables:
    """The tables of one application's streams in one region, for one writer.

    Args:
        store: the application's tables in the region.
        data: the data that the application lands.
    """

    def __init__(self, store: TableStore, data: LandedData) -> None:
        self.data = data
        self._rows = AppendedTable(store.uri(LANDED_STREAM), store.storage_options, rows_schema(data.drop))
        self._dead = AppendedTable(store.uri(DEAD_LETTERS), store.storage_options, LETTER)

    @property
    def opened(self) -> DeltaTable | None:
        """`landed_stream`; None where it was never written."""
        return self._rows.opened

    @property
    def batch(self) -> int:
        """Number of the last stored batch, 0 for none."""
        return max(0, self._rows.version_of(BATCH))

    @property
    def landed(self) -> int:
        """Number of the last batch whose rows are in the landing zone, 0 for none."""
        return max(0, self._rows.version_of(LANDED))

    @property
    def planned(self) -> int:
        """Number of the last batch of the landing that is in progress; that of `landed` if there is none."""
        return max(self.landed, self._rows.version_of(PLANNED))

    def position(self, source: str, partition: int) -> int:
        """The last offset of a partition up to which all messages are stored, -1 for none."""
        return self._rows.version_of(f"{source}/{partition}")

    def sent_ms(self, source: str, partition: int) -> int:
        """The instant of the message at `position` in milliseconds since 1970, `UNDATED` if it is unknown."""
        return self._rows.version_of(f"{source}/{partition}/sent")

    def last_offset(self, source: str, partition: int) -> int:
        """The last offset of a partition in one of the two tables, -1 for none."""
        return max(self.position(source, partition), self._dead.version_of(f"{source}/{partition}"))

    def dead_beyond(self, source: str, partition: int) -> frozenset[int]:
        """The offsets of dead letters that were stored without the rows beside them, since the writer was killed."""
        position = self.position(source, partition)
        if self._dead.version_of(f"{source}/{partition}") <= position:
            return frozenset()
        is_beyond = (pl.col("stream_source") == source) & (pl.col("stream_partition") == partition)
        found = self._dead.scan().filter(is_beyond & (pl.col("stream_offset") > position))
        return frozenset(found.select("stream_offset").collect()["stream_offset"])

    def recent_ids(self, source: str, most: int) -> list[str]:
        """The ids of the last stored messages that have one, at most about `most` of each table, oldest first."""
        parts = []
        for table in (self._rows, self._dead):
            is_one = (pl.col("stream_source") == source) & (pl.col("message_id") != "")
            last = table.version_of(f"{source}/0")
            found = table.scan().filter(is_one & (pl.col("stream_offset") > last - most))
            parts.append(found.select("stream_offset", "message_id").unique().collect())
        return pl.concat(parts).sort("stream_offset")["message_id"].to_list()

    def store_dead(self, letters: pl.DataFrame, source: str, ranges: Ranges) -> None:
        """Appends dead letters; they are stored before the rows of the same ranges. Errors as in `store_rows`."""
        self._append(self._dead, letters, source, ranges, {}, lambda: None)

    def store_rows(
        self, rows: pl.DataFrame, source: str, ranges: Ranges, sent_ms: Mapping[int, int] = MappingProxyType({})
    ) -> None:
        """Appends the rows of all messages in the ranges, and thereby marks these as stored.

        Args:
            rows: (n, columns of `rows_schema` except `stream_batch`), n >= 0.
            source: name of the source.
            ranges: first and last offset of each partition.
            sent_ms: the instant at the broker of the last message of each partition.

        Raises:
            BusyError: another process appends to the table.
            StorageError: the write failed; nothing of it was kept.
        """
        instants = {f"{source}/{partition}/sent": sent for partition, sent in sent_ms.items() if sent != UNDATED}
        counts = {BATCH: self.batch + 1, ROWS: max(0, self._rows.version_of(ROWS)) + rows.height}
        self._append(self._rows, rows, source, ranges, {**instants, **counts}, self.require_rows)

    def mark(self, transaction: str, batch: int, rows: int = 0) -> None:
        """Commits `PLANNED` or `LANDED` with the number of a batch, without rows. Errors as in `store_rows`.

        Args:
            transaction: `PLANNED` or `LANDED`.
            batch: number of the batch.
            rows: number of rows that landed now.
        """
        landed = max(0, self._rows.version_of(LANDED_ROWS)) + rows
        self._rows.append(
            self._rows.schema.empty_table(), {transaction: batch, LANDED_ROWS: landed}, {}, self.require_rows
        )

    def require_rows(self) -> None:
        """Compares the number of rows that have not landed with the number that was stored.

        Raises:
            StorageError: rows are missing.
        """
        found = int(self.rows_by_batch(self.landed)["rows"].sum())
        stored = max(0, self._rows.version_of(ROWS)) - max(0, self._rows.version_of(LANDED_ROWS))
        if found < stored:
            raise StorageError(
                f"{self._rows.uri} has {counted(found, 'row')} after batch {self.landed}, which landed last (stored: "
                f"{stored:,}): it was restored to an older version, or rows were deleted before they landed; restore "
                "the version before that (`DeltaTable.history` lists them), or move its folder away to read the "
                "streams again from their oldest messages"
            )

    def rows_of(self, first: int, last: int) -> pl.DataFrame:
        """The rows of some batches, both ends included, in the order of source, partition, offset and row."""
        rows = self._rows.scan().filter(pl.col("stream_batch").is_between(first, last)).collect()
        order = ("stream_source", "stream_partition", "stream_offset", "stream_row")
        differ = [name for name in order if rows.height and rows[name].min() != rows[name].max()]
        return rows.sort(differ) if differ else rows

    def rows_by_batch(self, after: int) -> pl.DataFrame:
        """The number of rows (`rows`) of each later batch with rows (`stream_batch`), in order."""
        found = self._rows.scan().filter(pl.col("stream_batch") > after).group_by("stream_batch")
        return found.agg(pl.len().alias("rows")).sort("stream_batch").collect()

    def compact(self) -> int:
        """Merges small files of both tables; returns how many were merged."""
        return self._rows.compact() + self._dead.compact()

    def _append(
        self,
        table: AppendedTable,
        rows: pl.DataFrame,
        source: str,
        ranges: Ranges,
        also: Mapping[str, int],
        require: Callable[[], None],
    ) -> None:
        positions = {f"{source}/{partition}": last for partition, (_, last) in ranges.items()}
        listed = [
            {"source": source, "partition": partition, "first": first, "last": last}
            for partition, (first, last) in sorted(ranges.items())
        ]
        numbered = rows.with_columns(stream_batch=pl.lit(self.batch + 1, pl.Int64))
        payload = numbered.select(table.schema.names).to_arrow(compat_level=pl.CompatLevel.oldest())
        table.append(payload, {**positions, **also}, {"offsets": json.dumps(listed)}, require)
