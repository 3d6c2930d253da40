"""Frames with exactly the columns and types of a table's contract."""

import polars as pl
import pyarrow as pa

from sinet_pipelines.errors import StorageError
from sinet_pipelines.schemas.contract import Contract

DAY_COLUMN = "event_date"  # the folders of a table's files are named by it


def empty(contract: Contract) -> pl.DataFrame:
    """A frame with the contract's columns and no rows."""
    return pl.DataFrame(schema=pl.Schema(contract.schema))


def to_contract(rows: pl.DataFrame, contract: Contract) -> pa.Table:
    """The rows as an Arrow table with exactly the contract's columns, order and types.

    Raises:
        StorageError: a column of the contract is missing, or has values of another type.
    """
    missing = [c.name for c in contract.columns if c.name not in rows.columns]
    if missing:
        raise StorageError(f"{contract.name} lacks {', '.join(missing)}; give all {len(contract.columns)} columns")
    try:
        return rows.select(c.name for c in contract.columns).rechunk().to_arrow().cast(contract.schema)
    except (pa.ArrowException, ValueError) as error:
        raise StorageError(f"rows of {contract.name} are not of its contract's types: {error}") from error


def partitions_of(contract: Contract) -> list[str]:
    """The columns by which the table's files lie in folders: the day, or none."""
    return [column.name for column in contract.columns if column.name == DAY_COLUMN]


def as_contracted(frame: pl.LazyFrame, contract: Contract) -> pl.LazyFrame:
    """The frame with the contract's columns: new nullable columns are null, other columns are left out."""
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
