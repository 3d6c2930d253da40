"""Reads the published AI4I 2020 table strictly: a table that violates its contract is an error.

The header is the published one, in upper or lower case. A column in another unit has another header, so it is missing.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa

from sinet_pipelines.applications.milling.schemas import INPUT_NAMES, PROCESS_RECORDS
from sinet_pipelines.errors import SourceError
from sinet_pipelines.ingestion.casting import UNPARSED, cast_table
from sinet_pipelines.ingestion.text_tables import MAX_BYTES, decode, read_csv
from sinet_pipelines.schemas.contract import Column

FILE = "ai4i2020.csv"
SUBSET = "ai4i2020"
SOURCE = (
    'AI4I 2020 predictive maintenance data set (synthetic): S. Matzka, "Explainable Artificial Intelligence for '
    'Predictive Maintenance Applications", AI4I 2020; UCI data set 601'
)
LICENCE = "CC BY 4.0"

#: Column of the contract by header of the published table.
HEADERS = dict(
    zip(
        (
            "UDI",
            "Product ID",
            "Type",
            "Air temperature [K]",
            "Process temperature [K]",
            "Rotational speed [rpm]",
            "Torque [Nm]",
            "Tool wear [min]",
            "Machine failure",
            "TWF",
            "HDF",
            "PWF",
            "OSF",
            "RNF",
        ),
        PROCESS_RECORDS.columns,
        strict=True,
    )
)
_COLUMNS = {header.lower(): column for header, column in HEADERS.items()}
_BEFORE = ("record_id", "product_id", *INPUT_NAMES)  # known before the outcome
_HEADER_OF = {column.name: header for header, column in HEADERS.items()}


@dataclass(frozen=True)
class ProcessRecords:
    """A table that fulfils the contract.

    Attributes:
        rows: the columns of `PROCESS_RECORDS`, sorted by record.
        digest: SHA-256 of the file.
    """

    rows: pl.DataFrame
    digest: str


def read_records(folder: Path) -> ProcessRecords:
    """The records in `ai4i2020.csv` of a folder.

    Raises:
        SourceError: the file is missing or unreadable, lacks a column, has a value that its column's contract does not
            allow, has a record twice, or has no rows.
    """
    path = _find(folder)
    content = _content(path)
    try:
        rows = _checked(_contract_columns(_table(content), PROCESS_RECORDS.columns), PROCESS_RECORDS.columns)
    except SourceError as error:
        raise SourceError(f"{path}: {error}") from error
    return ProcessRecords(rows.sort("record_id"), hashlib.sha256(content).hexdigest())


def read_products(path: Path) -> pl.DataFrame:
    """The products of one file in the published format; columns of the outcome are optional and are not read.

    Raises:
        SourceError: as of `read_records`.
    """
    columns = tuple(column for column in PROCESS_RECORDS.columns if column.name in _BEFORE)
    content = _content(path)
    try:
        return _checked(_contract_columns(_table(content), columns), columns)
    except SourceError as error:
        raise SourceError(f"{path}: {error}") from error


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path} cannot be read ({error.strerror}); make it a readable file") from error


def _find(folder: Path) -> Path:
    if not folder.is_dir():
        raise SourceError(f"no folder {folder}; name one with {FILE}, the table of the AI4I 2020 data set")
    path = folder / FILE
    if not path.is_file():
        there = sorted(entry.name for entry in folder.iterdir())
        listed = ", ".join(there[:5]) + (", ..." if len(there) > 5 else "") or "nothing"
        raise SourceError(f"{folder} has no {FILE} (there: {listed}); name a folder with the AI4I 2020 table")
    return path


def _table(content: bytes) -> pa.Table:
    if len(content) > MAX_BYTES:
        raise SourceError(f"it has more than {MAX_BYTES >> 20} MiB (the published table has half a MiB); split it")
    text = decode(content)
    if not text.strip():
        raise SourceError("it is empty; take the file from the data set again")
    return read_csv(text, known=list(_COLUMNS))


def _contract_columns(table: pa.Table, columns: Sequence[Column]) -> pa.Table:
    """The columns of the contract under their own names; other columns are ignored."""
    wanted = {_HEADER_OF[column.name].lower(): column for column in columns}
    headers = [header for header in HEADERS if header.lower() in wanted]
    places: dict[str, list[int]] = {name: [] for name in wanted}
    for place, name in enumerate(table.column_names):
        places.get(name.strip().lower(), []).append(place)
    missing = [header for header in headers if not places[header.lower()]]
    if len(missing) == len(headers):
        raise SourceError(f"it has none of the columns of AI4I 2020 ({', '.join(HEADERS)}); is it another data set?")
    if missing:
        raise SourceError(f"it lacks {_listed(missing)} (columns are named with their unit); take the published table")
    twice = [header for header in headers if len(places[header.lower()]) > 1]
    if twice:
        raise SourceError(f"it has {_listed(twice)} twice; give each column once")
    return pa.table({column.name: table.column(places[name][0]) for name, column in wanted.items()})


def _listed(headers: list[str]) -> str:
    return ("column " if len(headers) == 1 else "columns ") + ", ".join(headers)


def _checked(table: pa.Table, columns: Sequence[Column]) -> pl.DataFrame:
    """The rows in the contract's types; the error for a value that is not allowed names its row."""
    rows = cast_table(table, columns).with_row_index("row", offset=1)
    if rows.is_empty():
        raise SourceError("it has a header and no rows; take the file from the data set again")
    _check_types(rows)
    for column in columns:
        _check_values(rows, column)
    twice = rows.filter(pl.col("record_id").is_duplicated())
    if not twice.is_empty():
        raise SourceError(f"record {twice['record_id'][0]} (UDI) is there twice; keep one row for each record")
    return rows.drop("row", UNPARSED)


def _check_types(rows: pl.DataFrame) -> None:
    failed = rows.filter(pl.col(UNPARSED).is_not_null())
    if failed.is_empty():
        return
    name, text = next(iter(json.loads(failed[UNPARSED][0]).items()))
    column = PROCESS_RECORDS.column(name)
    if not text.strip():
        raise _no_value(failed, name)
    kind = "names" if pa.types.is_string(column.dtype) else "numbers"
    kind = "whole numbers" if pa.types.is_integer(column.dtype) else kind
    raise SourceError(
        f"row {failed['row'][0]} has {_HEADER_OF[name]} {text!r} ({failed.height} such rows; allowed: {kind}); "
        "mend or remove the row"
    )


def _check_values(rows: pl.DataFrame, column: Column) -> None:
    value, header = pl.col(column.name), _HEADER_OF[column.name]
    empty = rows.filter(value.is_null())
    if not empty.is_empty():
        raise _no_value(empty, column.name)
    if column.allowed:
        odd, allowed = rows.filter(~value.is_in(column.allowed)), ", ".join(column.allowed)
    elif column.minimum is not None and column.maximum is not None:
        odd = rows.filter(~value.is_between(column.minimum, column.maximum))
        allowed = f"{column.minimum:g} to {column.maximum:g}" + (f" {column.unit}" if column.unit != "1" else "")
    else:
        return
    if not odd.is_empty():
        cure = "is it in another unit?" if column.unit not in ("", "1") else "mend or remove the row"
        raise SourceError(
            f"row {odd['row'][0]} has {header} {odd[column.name][0]!r} ({odd.height} such rows; allowed: {allowed}); "
            f"{cure}"
        )


def _no_value(rows: pl.DataFrame, name: str) -> SourceError:
    return SourceError(
        f"row {rows['row'][0]} has no {_HEADER_OF[name]} ({rows.height} such rows; allowed: a value in every row); "
        "fill or remove the row"
    )
