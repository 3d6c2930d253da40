"""Delta tables of one region: read some days of one, replace exactly some days, or replace it whole.

A write is one commit: it is there whole or not at all, and a writer that meets another tries again. The version of
what was written is a hash of its content, so equal rows have equal versions wherever and whenever they were written.
"""

import errno
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from sinet_pipelines.errors import SinetError, StorageError, first_line
from sinet_pipelines.schemas.contract import Contract
from sinet_pipelines.storage.aside import set_aside
from sinet_pipelines.storage.commits import before_commit
from sinet_pipelines.storage.content import ContentHash
from sinet_pipelines.storage.content import content_hash as content_hash
from sinet_pipelines.storage.delta import open_table, scan_table
from sinet_pipelines.storage.evolution import Change, schema_change
from sinet_pipelines.storage.health import TableHealth, look_at_table
from sinet_pipelines.storage.layout import is_local, require_readable, table_uri
from sinet_pipelines.storage.spill import as_reader

DAY_COLUMN = "event_date"
ATTEMPTS = 8  # a day's commit takes about 10 ms; eight tries outlast any queue of writers seen in tests
FILE_BYTES = 32 << 20  # of a streamed write: the writer keeps one file of this size in memory
STREAM_ROWS = 1 << 14  # of one batch of a streamed write
STREAMED = WriterProperties(max_row_group_size=4 * STREAM_ROWS)
AT_ONCE = WriterProperties(compression="SNAPPY")


@dataclass(frozen=True)
class Written:
    """What a write left in a table.

    Attributes:
        table: name of the table.
        uri: where it is.
        version: the table's version after the commit.
        rows: rows written.
        data_versions: content hash per replaced day; one under None for a table without days.
        rows_per_day: rows per replaced day; one under None for a table without days.
    """

    table: str
    uri: str
    version: int
    rows: int
    data_versions: Mapping[date | None, str]
    rows_per_day: Mapping[date | None, int]


@dataclass(frozen=True)
class TableStore:
    """The tables under one root, a folder or an object store's prefix.

    Attributes:
        root: folder or `s3://bucket/prefix`.
        storage_options: what the object store needs to be reached, never logged.
    """

    root: str
    storage_options: Mapping[str, str] = field(default_factory=dict, repr=False)

    def uri(self, table: str) -> str:
        """Where the table is."""
        return self._at(table)

    def extent(self, table: str) -> tuple[int, int]:
        """Rows and bytes of the table as its log tells them, no row read; nothing where it was never written."""
        opened = self._open(table)
        if opened is None:
            return 0, 0
        files = opened.get_add_actions(flatten=True)
        return sum(files["num_records"].to_pylist()), sum(files["size_bytes"].to_pylist())

    def days(self, table: str) -> frozenset[date]:
        """The days of which the table holds rows as its log lists them, no row read; none where it has no days.

        Of a local table whose log is damaged none is known; its next write begins it anew.
        """
        if self._is_local:
            return frozenset(date.fromisoformat(day) for day, rows in self.health(table).rows.items() if day and rows)
        opened = self._open(table)
        if opened is None or DAY_COLUMN not in opened.metadata().partition_columns:
            return frozenset()
        return frozenset(opened.get_add_actions(flatten=True)[f"partition.{DAY_COLUMN}"].to_pylist())

    def exists(self, table: str) -> bool:
        """Whether the table was ever written."""
        return self._open(table) is not None

    def health(self, table: str) -> TableHealth:
        """What is there of the table and what of it is damaged; an object store's tables count as whole."""
        if not self._is_local:
            return TableHealth(Path(self._at(table)), version=0)
        return look_at_table(Path(self.root), table)

    def scan(self, contract: Contract) -> pl.LazyFrame:
        """The table as a lazy frame; empty, with the contract's columns, where it was never written.

        A nullable column that the contract got since is null in older rows; one that it lost is left out.

        Raises:
            StorageError: a log entry or a data file is missing or damaged.
        """
        self._require_health(contract)
        opened = self._open(contract.name)
        if opened is None:
            return empty(contract).lazy()
        return _as_contracted(scan_table(opened, self._at(contract.name)), contract)

    def read(
        self, contract: Contract, *, days: tuple[date, date] | None = None, columns: Sequence[str] | None = None
    ) -> pl.DataFrame:
        """The rows of some days, both ends included; all of them where `days` is None.

        Raises:
            StorageError: the table is damaged.
        """
        frame = self.scan(contract)
        if days is not None:
            frame = frame.filter(pl.col(DAY_COLUMN).is_between(*days))
        try:
            return (frame.select(columns) if columns is not None else frame).collect()
        except (pl.exceptions.ComputeError, OSError) as error:
            raise StorageError(
                f"{self._at(contract.name)} cannot be read: {first_line(error)}; `sinet doctor --deep` names the file"
            ) from error

    def replace_days(self, contract: Contract, rows: pl.DataFrame, *, days: Iterable[date]) -> Written:
        """Makes the given days of the table hold exactly these rows, in one commit.

        Args:
            contract: of the table; the rows are brought to its columns and types.
            rows: (n, columns) rows whose day is one of `days`; a day without rows becomes empty.
            days: the days to replace.

        Raises:
            StorageError: rows of another day, or a write that did not come through.
        """
        wanted = sorted(set(days))
        if not wanted:
            raise StorageError(f"no day was given to replace in {contract.name}; name at least one")
        strangers = rows.filter(~pl.col(DAY_COLUMN).is_in(wanted))
        if strangers.height:
            raise StorageError(
                f"{strangers.height} rows of {contract.name} are of other days than those replaced "
                f"({strangers[DAY_COLUMN][0]} among them; allowed: {wanted[0]} to {wanted[-1]}); give only their rows"
            )
        listed = ", ".join(f"'{day.isoformat()}'" for day in wanted)
        payload = to_contract(rows, contract)
        version = self._write(contract, lambda: payload, predicate=f"{DAY_COLUMN} IN ({listed})")
        parts = {part[DAY_COLUMN][0]: part for part in rows.partition_by(DAY_COLUMN)} if rows.height else {}
        hashes: dict[date | None, str] = {day: content_hash(parts.get(day, rows.clear()), contract) for day in wanted}
        counts: dict[date | None, int] = {day: parts[day].height if day in parts else 0 for day in wanted}
        return Written(contract.name, self._at(contract.name), version, rows.height, hashes, counts)

    def replace_day_from(
        self, contract: Contract, batches: Callable[[], Iterator[pl.DataFrame]], *, day: date
    ) -> Written:
        """Makes one day of the table hold exactly the rows of these batches, in one commit.

        Only some batches are in memory at once. What a batch's iterator raises is raised here, and nothing is kept.

        Args:
            contract: of the table; the rows are brought to its columns and types.
            batches: returns the batches from the first on, all of that day and in the contract's order; called again
                when another writer was first.
            day: the day to replace.

        Raises:
            StorageError: rows of another day, or a write that did not come through.
        """
        content = ContentHash(contract)
        failure: list[Exception] = []

        def checked() -> Iterator[pl.DataFrame]:
            try:
                for rows in batches():
                    if not (rows[DAY_COLUMN] == day).all():
                        raise StorageError(f"rows of {contract.name} are of other days than {day}; give only its rows")
                    content.take(rows)
                    yield rows.select(column.name for column in contract.columns)
            except (SinetError, pl.exceptions.PolarsError, pa.ArrowException, OSError) as error:  # the writer hides it
                failure.append(error)
                raise

        def payload() -> pa.RecordBatchReader:
            nonlocal content
            content = ContentHash(contract)
            return as_reader(checked(), contract.schema, rows=STREAM_ROWS)

        try:
            version = self._write(contract, payload, predicate=f"{DAY_COLUMN} IN ('{day.isoformat()}')")
        except StorageError as error:
            raise failure[0] if failure else error from error
        return Written(
            contract.name, self._at(contract.name), version, content.rows, {day: content.value}, {day: content.rows}
        )

    def read_in_batches(
        self, contract: Contract, *, day: date, rows: int = STREAM_ROWS, columns: Sequence[str] | None = None
    ) -> Iterator[pl.DataFrame]:
        """The rows of one day, at most so many at a time, in no particular order.

        Raises:
            StorageError: as `scan`.
        """
        self._require_health(contract)
        opened = self._open(contract.name)
        if opened is None:
            return
        dataset = opened.to_pyarrow_dataset()
        wanted = list(columns or (column.name for column in contract.columns))
        names = [name for name in wanted if name in dataset.schema.names]
        fragments = dataset.get_fragments(filter=pc.field(DAY_COLUMN) == pa.scalar(day))
        for fragment in fragments:
            scanner = fragment.scanner(
                schema=dataset.schema, columns=names, batch_size=rows, batch_readahead=1, fragment_readahead=1
            )
            for batch in scanner.to_batches():
                if batch.num_rows:
                    found = pl.DataFrame(pl.from_arrow(batch)).lazy()
                    yield (found if columns else _as_contracted(found, contract)).collect()

    def medians(self, contract: Contract, *, day: date, columns: Iterable[str]) -> dict[str, float | None]:
        """The median of each column of numbers over one day; one column is in memory at a time."""
        return {name: self._median(contract, day, name) for name in columns}

    def _median(self, contract: Contract, day: date, column: str) -> float | None:
        parts = list(self.read_in_batches(contract, day=day, columns=[column]))
        return pl.concat(parts)[column].median() if parts else None  # type: ignore[return-value]

    @property
    def folder(self) -> Path | None:
        """Where the root is on this machine; None for an object store."""
        return Path(self.root) if self._is_local else None

    def vacuum(self, table: str, *, keep_hours: int) -> int:
        """Removes files that no version of the last hours needs; how many. The table's rows stay as they are.

        Raises:
            StorageError: the table cannot be read or written, as when it is moved away meanwhile.
        """
        opened = self._open(table)
        if opened is None:
            return 0
        try:
            old = opened.vacuum(keep_hours, dry_run=True, enforce_retention_duration=False)
            there = [path for path in old if self.folder is None or (self.folder / table / unquote(path)).exists()]
            if there:  # the log names files long after they are gone, and a vacuum is a commit even of nothing
                opened.vacuum(keep_hours, dry_run=False, enforce_retention_duration=False)
        except (DeltaError, OSError) as error:
            raise StorageError(f"old files of {self._at(table)} were not removed: {first_line(error)}") from error
        return len(there)

    def names(self) -> list[str]:
        """The tables under a local root, in order."""
        folder = self.folder
        return sorted(path.parent.name for path in folder.glob("*/_delta_log")) if folder else []

    def files_by_day(self, table: str) -> dict[date, tuple[str, ...]]:
        """The files of each day that the table's log lists, each with the bytes that are there of it.

        A file is never changed once it was listed, so equal files hold equal rows.
        """
        opened = self._open(table)
        if opened is None:
            return {}
        found: dict[date, list[str]] = {}
        files = pl.DataFrame(opened.get_add_actions(flatten=True))
        for path, listed, day in files.select("path", "size_bytes", f"partition.{DAY_COLUMN}").iter_rows():
            size = _size(self.folder / table / unquote(path)) if self.folder else listed
            found.setdefault(day, []).append(f"{path} {size}")
        return {day: tuple(sorted(paths)) for day, paths in found.items()}

    def replace(self, contract: Contract, rows: pl.DataFrame) -> Written:
        """Makes the whole table hold exactly these rows, in one commit."""
        payload = to_contract(rows, contract)
        version = self._write(contract, lambda: payload, predicate=None)
        hashes: dict[date | None, str] = {None: content_hash(rows, contract)}
        counts: dict[date | None, int] = {None: rows.height}
        return Written(contract.name, self._at(contract.name), version, rows.height, hashes, counts)

    def _require_health(self, contract: Contract) -> None:
        for fault in self.health(contract.name).faults if self._is_local else ():
            raise StorageError(f"{contract.name} cannot be read: {fault.message}")

    @property
    def _is_local(self) -> bool:
        return is_local(self.root)

    def _at(self, table: str) -> str:
        return table_uri(self.root, table)

    def _open(self, table: str) -> DeltaTable | None:
        """The table, None where it was never written.

        Raises:
            StorageError: its log cannot be read.
        """
        return open_table(self._at(table), self.storage_options)

    def _prepared(self, contract: Contract, predicate: str | None) -> tuple[bool, Literal["merge", "overwrite"] | None]:
        """Whether the table exists, and delta-rs's schema mode for the write.

        A table whose log is damaged, or into which rows of the contract do not fit, is set aside and begins anew: the
        days that are not written now are then missing from storage, and are made again from the landing zone.
        """
        if self._is_local and any(fault.day is None for fault in self.health(contract.name).faults):
            set_aside(Path(self.root), contract.name, why="damaged")
        opened = self._open(contract.name)
        if opened is None:
            return False, None
        change = schema_change(opened, contract.schema)
        if change is Change.NONE:
            return True, None
        if predicate is None and opened.metadata().partition_columns == _partitions(contract):
            return True, "overwrite"
        if predicate is not None and change is Change.ADDED:
            return True, "merge"
        if not self._is_local:
            raise StorageError(
                f"{self._at(contract.name)} has other columns or types than {contract.name} has now; move the table "
                "away, it is made anew"
            )
        set_aside(Path(self.root), contract.name, why="other_schema")
        return False, None

    def _write(
        self, contract: Contract, payload: Callable[[], pa.Table | pa.RecordBatchReader], *, predicate: str | None
    ) -> int:
        if self._is_local:
            require_readable(Path(self.root))
            Path(self.root).mkdir(parents=True, exist_ok=True)
        met: CommitFailedError | None = None
        for wait_s in _waits():
            before_commit()
            exists, schema_mode = self._prepared(contract, predicate)
            rows = payload()
            is_stream = isinstance(rows, pa.RecordBatchReader)
            try:
                write_deltalake(
                    self._at(contract.name),
                    rows,
                    mode="overwrite",
                    schema_mode=schema_mode,
                    partition_by=_partitions(contract) or None,
                    predicate=predicate if exists else None,
                    storage_options=dict(self.storage_options) or None,
                    target_file_size=FILE_BYTES if is_stream else None,
                    writer_properties=STREAMED if is_stream else AT_ONCE,
                )
                break
            except CommitFailedError as error:
                met = error
                time.sleep(wait_s)  # another writer was first: read its commit and try on top of it
            except (DeltaError, OSError) as error:
                raise StorageError(_explain(self._at(contract.name), error)) from error
        else:
            raise StorageError(
                f"{ATTEMPTS} writes of {contract.name} met another's; end that writer and try again"
            ) from met
        return DeltaTable(self._at(contract.name), storage_options=dict(self.storage_options) or None).version()


def _size(path: Path) -> int | None:
    """Bytes of a file, None where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return None


def _partitions(contract: Contract) -> list[str]:
    return [column.name for column in contract.columns if column.name == DAY_COLUMN]


def _as_contracted(frame: pl.LazyFrame, contract: Contract) -> pl.LazyFrame:
    """The frame with the contract's columns: added nullable ones are null, those it has no more are left out."""
    there = frame.collect_schema().names()
    names = [column.name for column in contract.columns]
    if there == names:
        return frame
    types = empty(contract).schema
    added = [c.name for c in contract.columns if c.nullable and c.name not in there]
    return frame.select(
        pl.lit(None, types[name]).alias(name) if name in added else pl.col(name)
        for name in names
        if name in there or name in added
    )


def _waits() -> Iterator[float]:
    generator = np.random.default_rng()
    for attempt in range(ATTEMPTS):
        yield 0.02 * 2**attempt * generator.uniform(0.5, 1.5)


def _explain(uri: str, error: Exception) -> str:
    text = str(error)
    full = getattr(error, "errno", None) == errno.ENOSPC or "No space left" in text or "os error 28" in text
    if full:
        return f"no space is left for {uri}: nothing of this write was kept; free space and run again, it goes on there"
    return f"{uri} could not be written: {first_line(error)}; nothing of this write was kept"


def empty(contract: Contract) -> pl.DataFrame:
    """A frame with the contract's columns and no rows."""
    return pl.DataFrame(schema=pl.Schema(contract.schema))


def to_contract(rows: pl.DataFrame, contract: Contract) -> pa.Table:
    """The rows as an Arrow table with exactly the contract's columns, order and types.

    Raises:
        StorageError: a column of the contract is missing, or its values are no values of its type.
    """
    missing = [c.name for c in contract.columns if c.name not in rows.columns]
    if missing:
        raise StorageError(f"{contract.name} lacks {', '.join(missing)}; give all {len(contract.columns)} columns")
    try:
        return rows.select(c.name for c in contract.columns).rechunk().to_arrow().cast(contract.schema)
    except (pa.ArrowException, ValueError) as error:
        raise StorageError(f"rows of {contract.name} are not of its contract's types: {error}") from error
