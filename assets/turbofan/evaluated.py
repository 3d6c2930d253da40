"""The rows of the evaluation, and their sequences as inputs of models and graphs."""

from typing import TYPE_CHECKING

import dagster as dg
import polars as pl

from assets.framework.regional import here, regions_of
from assets.turbofan.candidates import regimes_of
from sinet_pipelines.applications.turbofan.features.sequences import Sequences, sequences_from_table
from sinet_pipelines.applications.turbofan.features.settled import settled
from sinet_pipelines.applications.turbofan.schemas.events import FAILURE_EVENTS, TRUTH_EVENTS
from sinet_pipelines.applications.turbofan.schemas.features import EVALUATION_SEQUENCES
from sinet_pipelines.errors import ContractError
from sinet_pipelines.inventory.names import EAST
from sinet_pipelines.inventory.regions import Region

if TYPE_CHECKING:
    from sinet_pipelines.models.model import Inputs
    from sinet_pipelines.training.candidate import Candidate


def evaluated_cycles(context: dg.AssetExecutionContext, region: Region) -> pl.DataFrame:
    """The rows of the evaluation, of engines that no model is trained on: `unit`, `cycle`, `rul_cycles`, `origin`."""
    from sinet_pipelines.applications.turbofan.cuts import held_out_cuts, newest_truths

    tables = here(context, region).tables
    cuts = held_out_cuts(tables.read(FAILURE_EVENTS)).with_columns(origin=pl.lit("history"))
    truth = newest_truths(tables.read(TRUTH_EVENTS)).select("unit", "cycle", "rul_cycles", origin=pl.lit("live"))
    return pl.concat([cuts, truth]).sort("unit", "cycle")


def evaluation_inputs(context: dg.AssetExecutionContext, rows: pl.DataFrame, candidate: "Candidate") -> "Inputs":
    """The inputs of models: the features of the evaluation set and its scaled sensors.

    Args:
        context: of the step.
        rows: of the evaluation set, sorted by unit and cycle.
        candidate: its regimes scale the sensors.
    """
    from sinet_pipelines.applications.turbofan.features.scaled import scaled_windows
    from sinet_pipelines.applications.turbofan.labels import inputs_of

    regimes = regimes_of(here(context, EAST).blobs, candidate)
    sequences = sequences_at(sequences_of_all(context), rows)
    return inputs_of(rows, sequences=scaled_windows(sequences, regimes))


def sequences_at(sequences: Sequences, rows: pl.DataFrame) -> Sequences:
    """The sequences of the rows, in their order.

    Raises:
        ContractError: when a row has none.
    """
    types = pl.Schema({"unit": pl.String(), "cycle": rows.schema["cycle"]})  # without sequences there are no types
    known = pl.DataFrame({"unit": sequences.unit, "cycle": sequences.cycle_B}, schema=types).with_row_index("place")
    places = rows.select("unit", "cycle").join(known, on=["unit", "cycle"], how="left", maintain_order="left")
    gone = places["place"].null_count()
    if gone:
        raise ContractError(
            f"{gone} of {rows.height} rows of the evaluation set have no sequence; materialise evaluation_sequences"
        )
    return sequences.take(places["place"].to_numpy())


def sequences_of_all(context: dg.AssetExecutionContext) -> Sequences:
    """The evaluation's sequences of all regions, sorted by unit and cycle."""
    parts = pl.concat(here(context, region).tables.read(EVALUATION_SEQUENCES) for region in regions_of(context))
    return sequences_from_table(settled(parts).sort("unit", "cycle").to_arrow())
