"""Evaluates predictions of failures by slice: the candidates and their baselines, each with its own threshold."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sinet_pipelines.applications.milling.tables import EVALUATION_RESULTS
from sinet_pipelines.applications.milling.task import FAILURE
from sinet_pipelines.errors import ContractError
from sinet_pipelines.metrics.failure import failure_errors
from sinet_pipelines.models.model import Floats
from sinet_pipelines.models.probability import Decision


@dataclass(frozen=True)
class Judged:
    """The predictions of one predictor.

    Attributes:
        probability_B: (B,) probability of failure.
        is_warned_B: (B,) whether the probability is at or above the threshold.
    """

    probability_B: Floats
    is_warned_B: NDArray[np.bool_]


def judged(score_B: Floats, decision: Decision) -> Judged:
    """The predictions that a decision makes from scores."""
    return Judged(decision.probability(score_B), decision.is_warned(score_B))


def results_of(rows: pl.DataFrame, predictions: Mapping[str, Judged]) -> pl.DataFrame:
    """The figures of each predictor over each slice, in the columns of `EVALUATION_RESULTS`.

    Args:
        rows: B rows of the evaluation set.
        predictions: by name of the predictor, in the order of the rows.

    Raises:
        ContractError: there are no rows.
    """
    if rows.is_empty():
        raise ContractError("no product to evaluate on (needed: products with an outcome); land more records")
    slices = [("all", "all", np.ones(rows.height, dtype=bool))]
    for name in FAILURE.slices:
        slices += [(name, str(value), (rows[name] == value).to_numpy()) for value in rows[name].unique().sort()]
    failed_B = rows[FAILURE.target].to_numpy() == 1
    found = [
        {"slice": name, "value": value, "predictor": predictor, **_figures(one, failed_B, inside_B)}
        for name, value, inside_B in slices
        for predictor, one in predictions.items()
    ]
    return pl.DataFrame(found).select(EVALUATION_RESULTS.schema.names)


def _figures(one: Judged, failed_B: NDArray[np.bool_], inside_B: NDArray[np.bool_]) -> dict[str, float | int]:
    probability_B, failed = one.probability_B[inside_B], failed_B[inside_B]
    return {
        "products": int(inside_B.sum()),
        "failures": int(failed.sum()),
        **asdict(failure_errors(probability_B, one.is_warned_B[inside_B], failed)),
        "brier": float(np.mean((probability_B - failed) ** 2)),
    }
