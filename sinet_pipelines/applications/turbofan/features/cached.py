"""Reads the scaled sequences of all regions by way of a cache: arranged once for each content and code."""

import inspect
import sys
from collections.abc import Mapping

import numpy as np
import polars as pl

from sinet_pipelines.applications.turbofan.features.scaled import ScaledSequences, scaled_sequences
from sinet_pipelines.applications.turbofan.features.sequences import timeline
from sinet_pipelines.applications.turbofan.features.settled import settled
from sinet_pipelines.applications.turbofan.schemas.features import TRAINING_SEQUENCES
from sinet_pipelines.storage.fingerprint import fingerprint
from sinet_pipelines.storage.tables import TableStore
from sinet_pipelines.training.array_cache import ArrayCache

_MAPPED = ("z_LS", "present_L")  # large, and only read; the others are copied, so that they can be changed
_CODE = (scaled_sequences, timeline, settled)  # functions whose modules decide the arrays


def read_sequences(stores: Mapping[str, TableStore], *, at: pl.DataFrame, cache: ArrayCache | None) -> ScaledSequences:
    """The scaled sequences of some rows.

    Args:
        stores: the tables of each region.
        at: columns `unit` and `cycle` of the rows.
        cache: where arranged sequences are kept; None for no cache.

    Raises:
        ContractError: a row of `at` is in no region's table.
        StorageError: a table cannot be read.
    """

    def make() -> ScaledSequences:
        parts = (store.read(TRAINING_SEQUENCES) for store in stores.values())
        return scaled_sequences(settled(pl.concat(parts)), at=at)

    if cache is None:
        return make()
    arrays = cache.arrays(_key(stores, at), lambda: vars(make()))
    return ScaledSequences(**{name: one if name in _MAPPED else np.array(one) for name, one in arrays.items()})


def _key(stores: Mapping[str, TableStore], at: pl.DataFrame) -> str:
    """A hash of the code, of the data files of each table, which never change, and of the rows."""
    tables = {name: sorted(store.active_files(TRAINING_SEQUENCES)) for name, store in stores.items()}
    files = (f"{name} {path}" for name, paths in tables.items() for path in paths)
    code = (inspect.getsource(sys.modules[function.__module__]) for function in _CODE)
    return fingerprint(*code, *files, *at["unit"], *at["cycle"])
