"""Requests to turbofan models: windows of live engines, or of engines in a file, in the form of the endpoint."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl
from numpy.typing import NDArray

from sinet_pipelines.applications.turbofan.features.completeness import NEEDED, shortfalls
from sinet_pipelines.applications.turbofan.features.regimes import OperatingRegimes
from sinet_pipelines.applications.turbofan.features.sample import mean_engine
from sinet_pipelines.applications.turbofan.features.sequences import Sequences, latest_sequences, sequences_from_table
from sinet_pipelines.applications.turbofan.graph.window_graph import tensors_of
from sinet_pipelines.applications.turbofan.schemas.features import LIVE_SEQUENCES
from sinet_pipelines.applications.turbofan.task import RUL
from sinet_pipelines.applications.turbofan.telemetry_file import read_telemetry_file
from sinet_pipelines.deployment.served_model import Requests, ServedModel
from sinet_pipelines.storage.tables import to_contract
from sinet_pipelines.words import counted


def requests_of(sequences: Sequences, *, notes: tuple[str, ...] = ()) -> Requests:
    """The sequences as requests."""
    return Requests(tuple(sequences.unit), tensors_of(sequences), shortfalls(sequences), notes)


def of_table(rows: pl.DataFrame) -> Requests:
    """Rows of `live_sequences` as requests, in their order."""
    return requests_of(sequences_from_table(to_contract(rows, LIVE_SEQUENCES)))


def of_file(path: Path) -> Requests:
    """The windows of the engines of a telemetry file, each at its last cycle, sorted by unit.

    Raises:
        SourceError: the file cannot be read, lacks a column or a value, or has no rows.
    """
    found = read_telemetry_file(path)
    copies = counted(found.copies, "copy of a row is", "copies of rows are")
    return requests_of(latest_sequences(found.rows), notes=(f"{path}: {copies} left out",) if found.copies else ())


def sample_of(regimes: OperatingRegimes) -> Mapping[str, NDArray]:
    """The inputs of an engine with its regime's mean, for which any model predicts a plausible number."""
    return tensors_of(mean_engine(regimes))


SERVED = ServedModel(
    task=RUL,
    table=LIVE_SEQUENCES,
    noun="engine",
    needed=NEEDED,
    cure="land these cycles",
    headings=("remaining cycles", "from", "to"),
    of_table=of_table,
    of_file=of_file,
)
