"""Delta tables of one region: read some days of one, replace exactly some days, or replace it whole.

A write is one commit: it is there whole or not at all, and a writer that meets another tries again. The version of
what was written is a hash of its content, so equal rows have equal versions wherever and whenever they were written.
"""

import errno
import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from sinet_pipelines.errors import StorageError, first_line
from sinet_pipelines.schemas.contract import Contract
from sinet_pipelines.storage.aside import set_aside
from sinet_pipelines.storage.delta import open_table, scan_table
from sinet_pipelines.storage.evolution import Change, schema_change
from sinet_pipelines.storage.health import TableHealth, look_at_table
from sinet_pipelines.storage.layout import is_local, require_readable, table_uri

DAY_COLUMN = "event_date"
ATTEMPTS = 8  # a day's commit takes about 10 ms; eight tries outlast any queue of writers seen in tests
UNVERSIONED = ("ingested_at",)  # when a row was rebuilt is no part of what it says


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
        for fault in self.health(contract.name).faults if self._is_local else ():
            raise StorageError(f"{contract.name} cannot be read: {fault.message}")
        opened = self._open(contract.name)
        if opened is None:
            return empty(contract).lazy()
        return _as_contracted(scan_table(opened, self._at(contract.name)), contract)

    def read(
        self, contract: Contract, *, days: tuple[date, date] | None = None, columns: Sequence[str] | None = None
    ) -> pl.DataFrame:
        """The rows of some days, both ends included; all of them where `days` is None."""
        frame = self.scan(contract)
        if days is not None:
            frame = frame.filter(pl.col(DAY_COLUMN).is_between(*days))
        return (frame.select(columns) if columns is not None else frame).collect()

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
        version = self._write(contract, rows, predicate=f"{DAY_COLUMN} IN ({listed})")
        parts = {part[DAY_COLUMN][0]: part for part in rows.partition_by(DAY_COLUMN)} if rows.height else {}
        hashes: dict[date | None, str] = {day: content_hash(parts.get(day, rows.clear()), contract) for day in wanted}
        counts: dict[date | None, int] = {day: parts[day].height if day in parts else 0 for day in wanted}
        return Written(contract.name, self._at(contract.name), version, rows.height, hashes, counts)

    def replace(self, contract: Contract, rows: pl.DataFrame) -> Written:
        """Makes the whole table hold exactly these rows, in one commit."""
        version = self._write(contract, rows, predicate=None)
        hashes: dict[date | None, str] = {None: content_hash(rows, contract)}
        counts: dict[date | None, int] = {None: rows.height}
        return Written(contract.name, self._at(contract.name), version, rows.height, hashes, counts)

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

    def _prepared(self, contract: Contract, predicate: str | None) -> tuple[bool, str | None]:
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

    def _write(self, contract: Contract, rows: pl.DataFrame, *, predicate: str | None) -> int:
        payload = to_contract(rows, contract)
        if self._is_local:
            require_readable(Path(self.root))
            Path(self.root).mkdir(parents=True, exist_ok=True)
        met: CommitFailedError | None = None
        for wait_s in _waits():
            exists, schema_mode = self._prepared(contract, predicate)
            try:
                write_deltalake(
                    self._at(contract.name),
                    payload,
                    mode="overwrite",
                    schema_mode=schema_mode,  # type: ignore[arg-type]
                    partition_by=_partitions(contract) or None,
                    predicate=predicate if exists else None,
                    storage_options=dict(self.storage_options) or None,
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
    return pl.DataFrame(pl.from_arrow(contract.schema.empty_table()))


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


def content_hash(rows: pl.DataFrame, contract: Contract) -> str:
    """Hash of what the rows say, whatever their order, chunks, widths and ingest times: 16 hex digits of a SHA-256.

    >>> from sinet_pipelines.schemas.events import TRUTH_EVENTS
    >>> content_hash(empty(TRUTH_EVENTS), TRUTH_EVENTS)
    'e3b0c44298fc1c14'
    """
    digest = hashlib.sha256()
    if rows.height:
        ordered = rows.sort(contract.key)
        for name, dtype in _versioned(contract):
            for part in _canonical(ordered[name].cast(dtype)):  # to the width that it is kept in
                digest.update(part)
    return digest.hexdigest()[:16]


@lru_cache
def _versioned(contract: Contract) -> tuple[tuple[str, pl.DataType], ...]:
    """Columns that count, with their types; kept, since making a frame of 200 columns takes as long as hashing it."""
    return tuple((name, dtype) for name, dtype in empty(contract).schema.items() if name not in UNVERSIONED)


def _canonical(series: pl.Series) -> Iterator[bytes]:
    """The bytes of a column, the same for equal values: nulls apart, texts with their lengths."""
    if isinstance(series.dtype, pl.List):
        yield series.list.len().fill_null(0).to_numpy().tobytes()
        series = series.explode(empty_as_null=False)
    full = not series.null_count()
    yield bytes(len(series)) if full else series.is_null().to_numpy().tobytes()  # a column of tables is full, as a rule
    if series.dtype == pl.String:
        texts = series if full else series.fill_null("")
        yield texts.str.len_bytes().to_numpy().tobytes()
        yield "".join(texts.to_list()).encode()
    elif series.dtype.is_float():
        values = series if full else series.fill_null(0.0)
        yield (values.to_numpy() + 0.0).tobytes()  # -0.0 + 0.0 is 0.0: one zero; in numpy, since polars passes it over
    else:
        whole = series.to_physical()
        yield (whole if full else whole.fill_null(0)).to_numpy().tobytes()
