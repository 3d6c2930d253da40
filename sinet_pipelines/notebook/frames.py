"""Rows that were read, in the kinds of frames that notebooks use."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


@dataclass(frozen=True, kw_only=True)
class ReadRows:
    """Rows in memory.

    Attributes:
        rows: the rows.
    """

    rows: pl.DataFrame

    def to_polars(self) -> pl.DataFrame:
        """The rows as a polars frame."""
        return self.rows

    def to_arrow(self) -> "pa.Table":
        """The rows as an Arrow table."""
        return self.rows.to_arrow()

    def to_pandas(self) -> "pd.DataFrame":
        """The rows as a pandas frame."""
        return self.rows.to_arrow().to_pandas()
