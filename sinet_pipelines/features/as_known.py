"""Rows as they were known at the moment of prediction: a value that arrived after this moment is not used.

The moment of a row is the end of its day. A row that had not arrived by then is predicted when it arrives: its moment
is the first instant after the end of its day at which any version of it is known.
"""

from collections.abc import Sequence

import polars as pl

from sinet_pipelines.schemas.arrival import KNOWN_AT, KNOWN_FROM, KNOWN_UNTIL, arrivals_of, history_of
from sinet_pipelines.schemas.contract import Contract
from sinet_pipelines.storage.beside import scan_sound
from sinet_pipelines.storage.tables import DAY_COLUMN, TableStore
from sinet_pipelines.storage.versions import INSTANT, ROW, end_of_day

IS_FORMER = "is_former"
_PLACE, _MOMENT, _PRESENT = "__place", "__moment", "__present"


def as_known(rows: pl.DataFrame, arrivals: pl.DataFrame, history: pl.DataFrame, *, key: Sequence[str]) -> pl.DataFrame:
    """The rows in their order, each with the values known at its moment, with `as_known_at` and `is_former`.

    Args:
        rows: present rows of a table, with its key, `event_date`, `row_hash` and any other of its columns.
        arrivals: rows of its `arrivals_of`.
        history: rows of its `history_of`, with at least the columns of `rows`.
        key: columns that identify a row of the table.

    Returns:
        (n, columns + 2); `as_known_at` is the moment, `is_former` whether the values were corrected afterwards.
    """
    names = [*key, DAY_COLUMN, ROW]
    noted = rows.with_row_index(_PLACE).join(
        arrivals.select(*dict.fromkeys(names), pl.col(KNOWN_FROM).alias(_PRESENT)),
        on=list(dict.fromkeys(names)),
        how="left",
        maintain_order="left",
    )
    noted = noted.with_columns(pl.col(_PRESENT).fill_null(end_of_day()), end_of_day().alias(_MOMENT))
    former = history.select(*rows.columns, KNOWN_FROM, KNOWN_UNTIL).join(
        noted.select(*key, _PLACE, _MOMENT, _PRESENT), on=list(key), how="inner"
    )
    after = former.filter(pl.col(KNOWN_UNTIL) > pl.col(_MOMENT)).group_by(_PLACE).agg(pl.col(KNOWN_FROM).min())
    moments = noted.join(after, on=_PLACE, how="left", maintain_order="left").with_columns(
        pl.max_horizontal(_MOMENT, pl.min_horizontal(_PRESENT, KNOWN_FROM)).cast(INSTANT).alias(KNOWN_AT)
    )
    used = former.join(moments.select(_PLACE, KNOWN_AT), on=_PLACE).filter(
        (pl.col(_PRESENT) > pl.col(KNOWN_AT))
        & (pl.col(KNOWN_FROM) <= pl.col(KNOWN_AT))
        & (pl.col(KNOWN_UNTIL) > pl.col(KNOWN_AT))
    )
    used = used.unique(_PLACE, keep="first", maintain_order=True)
    still = moments.join(used, on=_PLACE, how="anti")
    columns = [*rows.columns, KNOWN_AT, _PLACE]
    parts = [
        part.select(columns).with_columns(pl.lit(is_former).alias(IS_FORMER))
        for part, is_former in ((used, True), (still, False))
    ]
    return pl.concat(parts).sort(_PLACE).drop(_PLACE)


def read_as_known(tables: TableStore, contract: Contract, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows of a region's table as known at their moments; columns and order as of `as_known`.

    Args:
        tables: of the region.
        contract: of a table that keeps its versions.
        rows: present rows of the table, as for `as_known`.

    Raises:
        StorageError: a store does not respond, or denies access.
    """
    keys = rows.select(contract.key).unique().lazy()
    beside = [scan_sound(tables, one) for one in (arrivals_of(contract), history_of(contract))]
    arrivals, history = (one.join(keys, on=list(contract.key), how="semi").collect() for one in beside)
    return as_known(rows, arrivals, history, key=contract.key)
