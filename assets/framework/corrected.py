"""The difference that the rule "as known at the moment of prediction" makes to the figures of an evaluation.

The evaluation set has the values known then. The rows that were corrected afterwards are kept beside it with their
present values, so that the evaluation can show its figures with both.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from resources.markdown import shown
from sinet_pipelines.features.as_known import IS_FORMER
from sinet_pipelines.markdown import table
from sinet_pipelines.schemas.arrival import corrected_of
from sinet_pipelines.schemas.contract import Contract
from sinet_pipelines.storage.tables import TableStore

CORRECTED_LATER = "rows_corrected_later"  # entries of an evaluation
WITH_PRESENT_VALUES = "with_present_values"


def keep_corrected(tables: TableStore, contract: Contract, *, known: pl.DataFrame, present: pl.DataFrame) -> None:
    """Stores the present values of the rows of a set that were corrected after the moment of prediction.

    Args:
        tables: of the region of the set.
        contract: of the set.
        known: its rows, with `is_former`.
        present: the same rows with their present values.

    Raises:
        StorageError: the table cannot be written.
    """
    rows = present.join(known.filter(IS_FORMER), on=list(contract.key), how="semi")
    if rows.height or tables.exists(corrected_of(contract)):
        tables.replace(corrected_of(contract), rows)


def with_present_values(tables: TableStore, contract: Contract, rows: pl.DataFrame) -> pl.DataFrame | None:
    """The rows of a set in their order, with present values; None where none was corrected.

    Args:
        tables: of the region of the set.
        contract: of the set.
        rows: its rows.
    """
    corrected = tables.read(corrected_of(contract)).join(rows, on=list(contract.key), how="semi")
    if not corrected.height:
        return None
    key = list(contract.key)
    order = rows.select(key).with_row_index("place")
    still = rows.join(corrected, on=key, how="anti").select(corrected.columns)
    return pl.concat([corrected, still]).join(order, on=key).sort("place").drop("place")


def difference_entries(
    corrected: int,
    known: Mapping[str, Sequence[float]],
    present: Mapping[str, Sequence[float]],
    *,
    figures: Sequence[str],
) -> dict[str, Any]:
    """Metadata of an evaluation: how many rows were corrected later, and its figures with the values of both times.

    Args:
        corrected: number of rows with other values at present.
        known: figures of each predictor with the values known at the moment of prediction.
        present: the same with present values; predictors that are not in it are left out.
        figures: names of the figures, with their units.
    """
    if not present:
        return {CORRECTED_LATER: corrected}
    names = [name for one in figures for name in (f"{one}, as known", f"{one}, present values")]
    rows = [
        (name, *(f"{value:.4g}" for pair in zip(known[name], present[name], strict=True) for value in pair))
        for name in known
        if name in present
    ]
    cells = shown(table(("predictor", *names), rows, numeric=range(1, 1 + len(names))))
    return {CORRECTED_LATER: corrected, WITH_PRESENT_VALUES: cells}
