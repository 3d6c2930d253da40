"""Rows of a streamed write: checked, counted and hashed while the writer reads them."""

from collections.abc import Callable, Iterator
from datetime import date

import polars as pl
import pyarrow as pa

from sinet_pipelines.errors import SinetError, StorageError
from sinet_pipelines.schemas.contract import Contract
from sinet_pipelines.storage.content import ContentHash
from sinet_pipelines.storage.contracted import DAY_COLUMN
from sinet_pipelines.storage.spill import as_reader

STREAM_ROWS = 1 << 14  # of one batch of a streamed write


class StreamedRows:
    """The rows of one write in batches, which are read again after a conflict with another writer.

    Attributes:
        content: hash and number of the rows that were read last.
        failure: the error of the batches, which the writer hides; None without one.
    """

    def __init__(self, contract: Contract, batches: Callable[[], Iterator[pl.DataFrame]], day: date | None) -> None:
        self._contract, self._batches, self._day = contract, batches, day
        self.content = ContentHash(contract)
        self.failure: Exception | None = None

    def payload(self) -> pa.RecordBatchReader:
        """All rows from the beginning, in the contract's columns and types."""
        self.content = ContentHash(self._contract)
        return as_reader(self._checked(self._batches()), self._contract.schema, rows=STREAM_ROWS)

    def _checked(self, batches: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        contract, day = self._contract, self._day
        try:
            for rows in batches:
                if day is not None and not (rows[DAY_COLUMN] == day).all():
                    raise StorageError(f"rows of {contract.name} are of other days than {day}; give only its rows")
                self.content.take(rows)
                yield rows.select(column.name for column in contract.columns)
        except (SinetError, pl.exceptions.PolarsError, pa.ArrowException, OSError) as error:
            self.failure = self.failure or error
            raise
