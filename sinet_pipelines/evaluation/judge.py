"""Judges predictions slice by slice: the model and its yardsticks over all, each region, each origin."""

from collections.abc import Mapping
from dataclasses import asdict

import polars as pl

from sinet_pipelines.errors import ContractError
from sinet_pipelines.metrics.rul import rul_errors
from sinet_pipelines.models.model import Floats
from sinet_pipelines.schemas.features import EVALUATION_RESULTS

SLICES = ("region", "origin")


def judge(evaluation_set: pl.DataFrame, predictions: Mapping[str, Floats]) -> pl.DataFrame:
    """Errors of each predictor over each slice (contract `evaluation_results`).

    Args:
        evaluation_set: n rows with `unit`, `region`, `origin`, `rul_cycles`.
        predictions: predictor's name (`model`, `constant`, `ridge`) to (n,) cycles in the same order.

    Returns:
        One row a slice and predictor; all first, then regions, then origins.

    Raises:
        ContractError: when there is no row to judge by.
    """
    if evaluation_set.is_empty():
        raise ContractError("no row to evaluate on (at least one held-out engine or live truth); land more engines")
    rows = evaluation_set.select("unit", *SLICES, "rul_cycles").with_columns(
        pl.Series(f"predicted_{name}", values) for name, values in predictions.items()
    )
    slices = [("all", "all", rows)]
    for name in SLICES:
        slices += [(name, str(value), rows.filter(pl.col(name) == value)) for value in rows[name].unique().sort()]
    results = [
        {"slice": name, "value": value, "predictor": predictor, **_errors(part, predictor)}
        for name, value, part in slices
        for predictor in predictions
    ]
    return pl.DataFrame(results).select(EVALUATION_RESULTS.schema.names)


def _errors(part: pl.DataFrame, predictor: str) -> dict[str, float]:
    errors = rul_errors(part[f"predicted_{predictor}"].to_numpy(), part["rul_cycles"].to_numpy())
    return {"engines": part["unit"].n_unique(), **asdict(errors)}
