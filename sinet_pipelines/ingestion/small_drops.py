"""Reads many small drops: the rows of files with the same columns and types are cast together.

A cast costs milliseconds, however few rows it has; a day of 1,000 files of one row would otherwise take seconds. The
value of a row does not depend on the rows beside it.
"""

from collections.abc import Iterable, Iterator

import polars as pl
import pyarrow as pa

from sinet_pipelines.ingestion.casting import cast_table
from sinet_pipelines.ingestion.drops import BATCH_ROWS
from sinet_pipelines.schemas.contract import Contract


def cast_together(
    tables: Iterable[tuple[str, pa.Table]], drop: Contract, *, rows: int = BATCH_ROWS
) -> Iterator[pl.DataFrame]:
    """The rows of drops in the contract's columns and types, in order, with `unparsed` and `drop_id`.

    Args:
        tables: the id of each drop with its rows as they were read.
        drop: the contract of a drop.
        rows: number of rows after which a frame is complete; one drop may exceed it.
    """
    waiting: list[tuple[str, pa.Table]] = []
    height = 0
    for key, table in tables:
        is_other = bool(waiting) and (not table.num_columns or not table.schema.equals(waiting[0][1].schema))
        if is_other or height >= rows:
            yield _cast(waiting, drop)
            waiting, height = [], 0
        waiting.append((key, table))
        height += table.num_rows
    if waiting:
        yield _cast(waiting, drop)


def _cast(tables: list[tuple[str, pa.Table]], drop: Contract) -> pl.DataFrame:
    ids = pl.Series("drop_id", [key for key, _ in tables], dtype=pl.String)
    heights = pl.Series([table.num_rows for _, table in tables], dtype=pl.UInt32)
    # a table without columns has rows, which its concatenation with others would lose
    whole = tables[0][1] if len(tables) == 1 else pa.concat_tables(table for _, table in tables)
    found = cast_table(whole, drop.columns)
    each = pl.select(pl.lit(ids).repeat_by(pl.lit(heights)).explode()).to_series()
    return found.with_columns(each.alias("drop_id"))
