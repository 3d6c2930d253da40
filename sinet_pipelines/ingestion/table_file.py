"""The source of an application whose data is one table in a folder: `<application>.csv` or `.parquet`.

Its rows have the columns of a drop and go to one region, each on the day of its `recorded_at`.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from sinet_pipelines.errors import FleetError, SourceError, first_line
from sinet_pipelines.ingestion.delivery import LandReport, Order, Source
from sinet_pipelines.ingestion.landed import LandedData
from sinet_pipelines.ingestion.landing import LandingZone
from sinet_pipelines.ingestion.record import Record, keep_copy, read_record
from sinet_pipelines.schemas.contract import RECORDED_AT, Contract
from sinet_pipelines.storage.files import write_whole
from sinet_pipelines.storage.layout import record_file

#: The function that reads a file, by suffix.
SUFFIXES: Mapping[str, Callable[[Path], pl.DataFrame]] = {
    ".csv": pl.read_csv,
    ".parquet": pl.read_parquet,
}


@dataclass(frozen=True)
class TableFile:
    """One table that lands in one region.

    Attributes:
        data: the landed data.
        region: name of the region.
    """

    data: LandedData
    region: str

    @property
    def file(self) -> str:
        """The name of the file without its suffix, and of the format."""
        return self.data.application

    def format_of(self, folder: Path) -> str | None:
        """The format if the folder has such a file, else None."""
        return self.file if self._path(folder) is not None else None

    def subsets(self, folder: Path) -> tuple[str, ...]:
        """The one subset of a folder.

        Raises:
            SourceError: the folder has no such file.
        """
        self._require(folder)
        return (self.file,)

    def deliver(self, order: Order) -> LandReport:
        """Lands the table of a folder; landing it again changes nothing.

        Raises:
            SourceError: the order has no folder, the table cannot be read, or it lacks rows or columns.
            FleetError: the home has the table of another folder.
        """
        if order.folder is None:
            raise SourceError(
                f"{self.file} has no simulated data (needed: a folder with {self._allowed}); give one with --data"
            )
        rows = read_rows(self._require(order.folder), self.data.drop)
        days = {day: part for (day,), part in rows.group_by(pl.col(RECORDED_AT).dt.date(), maintain_order=True)}
        name, known = order.folder.resolve().name, read_record(order.home, self.file, Record.of)
        if known is not None and known.name != name:
            raise FleetError(f"{order.home} has {self.file} of {known.name}, not of {name}; give another --home")
        self._write_record(order.home, name, min(days))
        zone = LandingZone(order.home, self.data, order.regions)
        files = [zone.drop_file(self.region, day, name=self.file, rows=part) for day, part in sorted(days.items())]
        new = [(file, content) for file, content in files if not file.exists() and (order.restore or known is None)]
        for file, content in new:
            file.keep(content)
        return LandReport(
            home=order.home,
            application=self.file,
            name=name,
            simulated=False,
            subsets=(self.file,),
            regions=(self.region,),
            first_day=min(days),
            last_day=max(days),
            rows=rows.height,
            drops=len(files),
            new_drops=len(new),
            days=len(days),
        )

    def _write_record(self, home: Path, name: str, first_day: date) -> None:
        record = {"name": name, "simulated": False, "first_day": str(first_day)}
        write_whole(record_file(home, self.file), json.dumps(record, indent=2).encode())
        keep_copy(home, self.file, Record.of)

    @property
    def _allowed(self) -> str:
        return " or ".join(f"{self.file}{suffix}" for suffix in SUFFIXES)

    def _path(self, folder: Path) -> Path | None:
        paths = (folder / f"{self.file}{suffix}" for suffix in SUFFIXES)
        return next((path for path in paths if path.is_file()), None)

    def _require(self, folder: Path) -> Path:
        if path := self._path(folder):
            return path
        raise SourceError(f"{folder} has no table of {self.file} (needed: {self._allowed}); add the file")


def read_table(path: Path, names: Iterable[str]) -> pl.DataFrame:
    """A CSV or Parquet file, which must have these columns.

    Raises:
        SourceError: the file does not exist, cannot be read, has another suffix, or lacks a column.
    """
    if path.suffix not in SUFFIXES or not path.is_file():
        raise SourceError(f"{path} is no table that is read (allowed: {', '.join(SUFFIXES)}); give one that is there")
    try:
        rows = SUFFIXES[path.suffix](path)
    except (PolarsError, OSError) as error:
        raise SourceError(f"{path} cannot be read: {first_line(error)}; give a whole {path.suffix} file") from error
    if missing := [name for name in names if name not in rows.columns]:
        raise SourceError(f"{path} lacks {', '.join(missing)} (has: {', '.join(rows.columns)}); add the columns")
    return rows


def cast_rows(rows: pl.DataFrame, schema: Mapping[str, pl.DataType], *, path: Path) -> pl.DataFrame:
    """The columns of a schema in its types.

    Raises:
        SourceError: a value has another type.
    """
    try:
        return rows.select(pl.col(name).cast(kind) for name, kind in schema.items())
    except PolarsError as error:
        raise SourceError(f"{path} has a value of another type: {first_line(error)}; correct the file") from error


def read_rows(path: Path, contract: Contract) -> pl.DataFrame:
    """The rows of a CSV or Parquet file in the columns and types of a contract; instants without a zone are UTC.

    Raises:
        SourceError: as in `read_table` and `cast_rows`, and for a table without rows or a row without an instant.
    """
    rows = read_table(path, [column.name for column in contract.columns])
    if rows.is_empty():
        raise SourceError(f"{path} has no row (needed: at least one); give a file with data")
    if rows.schema.get(RECORDED_AT) == pl.String:
        rows = rows.with_columns(pl.col(RECORDED_AT).str.to_datetime("%+", time_zone="UTC", strict=False))
    schema = pl.DataFrame(contract.schema.empty_table()).schema
    found = cast_rows(rows, schema, path=path)
    if without := found[RECORDED_AT].null_count():
        raise SourceError(
            f"{path} has {without} rows without an instant in {RECORDED_AT} (allowed: ISO 8601, as "
            "2026-03-01T10:00:00Z); correct them"
        )
    return found


def table_source(data: LandedData, *, region: str) -> Source:
    """The source that lands one table of a folder in a region.

    Args:
        data: the landed data.
        region: name of the region.
    """
    one = TableFile(data, region)
    words = f"one table with a header, in {' or '.join(data.application + suffix for suffix in SUFFIXES)}"
    return Source({one.file: words}, one.format_of, one.subsets, one.deliver)
