"""Delta tables of one region: reads some days of a table, replaces exactly some days, or replaces all rows.

A write is one atomic commit, and a writer with a conflict tries again. The data version of a write is a hash of its
content, so equal rows have equal versions, independent of place and time.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from urllib.parse import unquote

import polars as pl
from deltalake import DeltaTable

from sinet_pipelines.errors import StorageError, first_line
from sinet_pipelines.schemas.contract import AnyTable, Contract, DataClass
from sinet_pipelines.storage.content import content_hash as content_hash
from sinet_pipelines.storage.contracted import DAY_COLUMN as DAY_COLUMN
from sinet_pipelines.storage.contracted import as_contracted
from sinet_pipelines.storage.contracted import empty as empty
from sinet_pipelines.storage.contracted import to_contract as to_contract
from sinet_pipelines.storage.delta import open_table, scan_day_in_batches, scan_table, store_error
from sinet_pipelines.storage.health import TableHealth, look_at_table
from sinet_pipelines.storage.layout import is_local, require_readable, table_uri
from sinet_pipelines.storage.roots import access_options, root_of
from sinet_pipelines.storage.stored_health import look_at_stored_table
from sinet_pipelines.storage.streamed import STREAM_ROWS, StreamedRows
from sinet_pipelines.storage.table_writes import Payload, TableWriter


@dataclass(frozen=True)
class Written:
    """The result of a write to a table.

    Attributes:
        table: name of the table.
        uri: place of the table.
        version: the version of this commit, whatever other writers committed since.
        rows: number of written rows.
        data_versions: content hash of each replaced day; with the key None for a table without days.
        rows_per_day: number of rows of each replaced day; with the key None for a table without days.
    """

    table: str
    uri: str
    version: int
    rows: int
    data_versions: Mapping[date | None, str]
    rows_per_day: Mapping[date | None, int]


@dataclass(frozen=True)
class TableStore:
    """An application's tables under the root of a region, a folder or an object store's prefix.

    Attributes:
        root: folder or `s3://bucket/prefix`.
        application: application of the tables; its folder is below that of the table's data class.
        storage_options: connection options of the object store, never logged.
    """

    root: str
    application: str = ""
    storage_options: Mapping[str, str] = field(default_factory=dict, repr=False)

    def uri(self, table: AnyTable) -> str:
        """The place of the table."""
        return self._at(table)

    def extent(self, table: AnyTable) -> tuple[int, int]:
        """Rows and bytes of the table according to its log, without reading rows; zeros if it was never written."""
        opened = self._open(table)
        if opened is None:
            return 0, 0
        files = opened.get_add_actions(flatten=True)
        return sum(files["num_records"].to_pylist()), sum(files["size_bytes"].to_pylist())

    def version(self, table: AnyTable) -> int | None:
        """The newest Delta version of the table; None where it was never written."""
        opened = self._open(table)
        return None if opened is None else opened.version()

    def active_files(self, table: AnyTable) -> dict[str, int]:
        """The data files of the newest version, relative to the table, each with its size in bytes."""
        opened = self._open(table)
        if opened is None:
            return {}
        files = opened.get_add_actions(flatten=True)
        paths = map(unquote, files["path"].to_pylist())
        return dict(zip(paths, files["size_bytes"].to_pylist(), strict=True))

    def days(self, table: AnyTable) -> frozenset[date]:
        """The days with rows in the table according to its log, without reading rows; empty for a table without days.

        A local table with a damaged log returns no days; its next write creates it again.
        """
        if self._is_local:
            return frozenset(date.fromisoformat(day) for day, rows in self.health(table).rows.items() if day and rows)
        opened = self._open(table)
        if opened is None or DAY_COLUMN not in opened.metadata().partition_columns:
            return frozenset()
        return frozenset(opened.get_add_actions(flatten=True)[f"partition.{DAY_COLUMN}"].to_pylist())

    def exists(self, table: AnyTable) -> bool:
        """Whether the table was ever written."""
        return self._open(table) is not None

    def health(self, table: AnyTable) -> TableHealth:
        """The state and the faults of the table, according to its log and a listing of its files.

        Raises:
            StorageError: a store does not respond, or denies access.
        """
        if not self._is_local:
            return look_at_stored_table(self._at(table), self.storage_options)
        return look_at_table(Path(self._at(table)))

    def scan(self, contract: Contract) -> pl.LazyFrame:
        """The table as a lazy frame; empty, with the contract's columns, where it was never written.

        A nullable column that is new in the contract is null in older rows; a column that it no longer has is left out.

        Raises:
            StorageError: a log entry or a data file is missing or damaged.
        """
        self._require_health(contract)
        opened = self._open(contract)
        if opened is None:
            return empty(contract).lazy()
        return as_contracted(scan_table(opened, self._at(contract), self.storage_options), contract)

    def read(
        self, contract: Contract, *, days: tuple[date, date] | None = None, columns: Sequence[str] | None = None
    ) -> pl.DataFrame:
        """The rows of a range of days, including both ends; all rows where `days` is None.

        Raises:
            StorageError: the table is damaged.
        """
        frame = self.scan(contract)
        if days is not None:
            frame = frame.filter(pl.col(DAY_COLUMN).is_between(*days))
        try:
            return (frame.select(columns) if columns is not None else frame).collect()
        except (pl.exceptions.ComputeError, OSError) as error:
            if not self._is_local:
                raise store_error(self._at(contract), error) from error
            raise StorageError(
                f"{self._at(contract)} cannot be read: {first_line(error)}; `sinet doctor --deep` names the file"
            ) from error

    def replace_days(self, contract: Contract, rows: pl.DataFrame, *, days: Iterable[date]) -> Written:
        """Replaces the given days of the table with exactly these rows, in one commit.

        Args:
            contract: contract of the table; the rows are cast to its columns and types.
            rows: (n, columns) rows whose day is one of `days`; a day without rows becomes empty.
            days: the days to replace.

        Raises:
            StorageError: there are rows of another day, or the write failed.
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
        return Written(contract.name, self._at(contract), version, rows.height, hashes, counts)

    def replace_day_from(
        self, contract: Contract, batches: Callable[[], Iterator[pl.DataFrame]], *, day: date
    ) -> Written:
        """Replaces one day of the table with exactly the rows of these batches, in one commit.

        Only some batches are in memory at once. An error of the iterator is raised here, and nothing is written.

        Args:
            contract: contract of the table; the rows are cast to its columns and types.
            batches: returns all batches, of only that day and in the contract's order; called again after a conflict
                with another writer.
            day: the day to replace.

        Raises:
            StorageError: there are rows of another day, or the write failed.
        """
        return self._replace_from(contract, batches, day=day)

    def replace_from(self, contract: Contract, batches: Callable[[], Iterator[pl.DataFrame]]) -> Written:
        """Replaces all rows of the table with exactly the rows of these batches, in one commit; as `replace_day_from`.

        The function is called before the writer opens the table, its iterator is read after that. A commit of another
        writer in between is no conflict: if the rows depend on the table, the iterator must find it and raise.

        Raises:
            StorageError: the write failed.
        """
        return self._replace_from(contract, batches, day=None)

    def _replace_from(
        self, contract: Contract, batches: Callable[[], Iterator[pl.DataFrame]], *, day: date | None
    ) -> Written:
        stream = StreamedRows(contract, batches, day)
        predicate = None if day is None else f"{DAY_COLUMN} IN ('{day.isoformat()}')"
        try:
            version = self._write(contract, stream.payload, predicate=predicate)
        except StorageError as error:
            raise stream.failure or error from error
        content = stream.content
        return Written(
            contract.name, self._at(contract), version, content.rows, {day: content.value}, {day: content.rows}
        )

    def read_in_batches(
        self, contract: Contract, *, day: date, rows: int = STREAM_ROWS, columns: Sequence[str] | None = None
    ) -> Iterator[pl.DataFrame]:
        """The rows of one day in batches of limited size, in no particular order.

        Raises:
            StorageError: as in `scan`.
        """
        self._require_health(contract)
        opened = self._open(contract)
        if opened is None:
            return
        wanted = list(columns or (column.name for column in contract.columns))
        for found in scan_day_in_batches(opened, day, columns=wanted, rows=rows):
            yield found if columns else as_contracted(found.lazy(), contract).collect()

    def medians(self, contract: Contract, *, day: date, columns: Iterable[str]) -> dict[str, float | None]:
        """The median of each numeric column over one day; one column is in memory at a time."""
        return {name: self._median(contract, day, name) for name in columns}

    def _median(self, contract: Contract, day: date, column: str) -> float | None:
        parts = list(self.read_in_batches(contract, day=day, columns=[column]))
        return pl.concat(parts)[column].median() if parts else None  # type: ignore[return-value]

    @property
    def scratch(self) -> Path | None:
        """A folder on the disk of the raw rows, for data that do not fit in memory; None for an object store."""
        return Path(self.root, DataClass.RAW, self.application) if self._is_local else None

    def files_by_day(self, table: AnyTable) -> dict[date, tuple[str, ...]]:
        """The files of each day in the table's log, each with its present size in bytes.

        A listed file never changes, so equal files have equal rows.
        """
        opened = self._open(table)
        if opened is None:
            return {}
        found: dict[date, list[str]] = {}
        files = pl.DataFrame(opened.get_add_actions(flatten=True))
        for path, listed, day in files.select("path", "size_bytes", f"partition.{DAY_COLUMN}").iter_rows():
            size = _size(Path(self._at(table), unquote(path))) if self._is_local else listed
            found.setdefault(day, []).append(f"{path} {size}")
        return {day: tuple(sorted(paths)) for day, paths in found.items()}

    def replace(self, contract: Contract, rows: pl.DataFrame) -> Written:
        """Replaces all rows of the table with exactly these rows, in one commit."""
        payload = to_contract(rows, contract)
        version = self._write(contract, lambda: payload, predicate=None)
        hashes: dict[date | None, str] = {None: content_hash(rows, contract)}
        counts: dict[date | None, int] = {None: rows.height}
        return Written(contract.name, self._at(contract), version, rows.height, hashes, counts)

    def _write(self, contract: Contract, payload: Callable[[], Payload], *, predicate: str | None) -> int:
        if self._is_local:
            require_readable(Path(self.root))
        return TableWriter(self._at(contract), contract, self.storage_options).write(payload, predicate=predicate)

    def _require_health(self, contract: Contract) -> None:
        for fault in self.health(contract).faults if self._is_local else ():
            raise StorageError(f"{contract.name} cannot be read: {fault.message}")

    @property
    def _is_local(self) -> bool:
        return is_local(self.root)

    def _at(self, table: AnyTable) -> str:
        return table_uri(self.root, self.application, table)

    def _open(self, table: AnyTable) -> DeltaTable | None:
        """The table, None where it was never written.

        Raises:
            StorageError: its log cannot be read.
        """
        return open_table(self._at(table), self.storage_options)


def tables_of(home: Path, region: str, application: str, *, reader: str | None = None) -> TableStore:
    """An application's tables in a region of a home, in a folder or on a store.

    Args:
        home: home of the region.
        region: region of the tables.
        application: application of the tables.
        reader: region whose credentials open a store; None for the region itself.

    Raises:
        StorageError: the reader has no credentials at the region's store.
    """
    return TableStore(root_of(home, region).uri, application, access_options(home, region, reader=reader))


def _size(path: Path) -> int | None:
    """Size of a file in bytes, None where there is no file."""
    try:
        return path.stat().st_size
    except OSError:
        return None
