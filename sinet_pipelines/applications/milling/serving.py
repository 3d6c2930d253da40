"""Requests to milling models: products of a table or of a file in the form of the endpoint."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sinet_pipelines.applications.milling.reader import read_products
from sinet_pipelines.applications.milling.served import INPUTS, graph_rows_of
from sinet_pipelines.applications.milling.tables import LIVE_RECORDS
from sinet_pipelines.applications.milling.task import FAILURE
from sinet_pipelines.deployment.served_model import Requests, ServedModel

#: A product with typical values of the published table.
_SAMPLE = (1.0, 300.0, 310.0, 1500.0, 40.0, 100.0)


def of_table(rows: pl.DataFrame) -> Requests:
    """Rows of `live_records` as requests, in their order."""
    return Requests(tuple(rows["product_id"]), graph_rows_of(rows).tensors, (None,) * rows.height)


def of_file(path: Path) -> Requests:
    """The products of a file in the published format, sorted by product.

    Raises:
        SourceError: the file cannot be read, lacks a column or a value, or has a value that is not allowed.
    """
    return of_table(read_products(path).sort("product_id"))


def sample() -> Mapping[str, NDArray]:
    """The inputs of a typical product."""
    return {name: np.array([[value]], dtype=np.float32) for name, value in zip(INPUTS, _SAMPLE, strict=True)}


SERVED = ServedModel(
    task=FAILURE,
    table=LIVE_RECORDS,
    noun="product",
    needed="all six process values",
    cure="land the product with all of its values",
    headings=("probability of failure", "warned"),
    of_table=of_table,
    of_file=of_file,
    digits=3,
)
