"""Tables and pictures of the evaluation's page."""

from typing import TYPE_CHECKING

import dagster as dg
import numpy as np
import polars as pl

from assets.framework.pictures import glance_of_bars
from sinet_pipelines.applications.turbofan.families import BASELINE_NAMES, CANDIDATE_NAMES
from sinet_pipelines.applications.turbofan.schemas.features import MAX_RUL_CYCLES
from sinet_pipelines.markdown import Markdown, table

if TYPE_CHECKING:
    from sinet_pipelines.training.candidate import Candidate


def error_by_slice(results: pl.DataFrame, *, challenger: str) -> Markdown:
    """Capped RMSE by slice: the challenger, its baselines, then the other candidates."""
    index = ["slice", "value", "engines", "n"]
    wide = results.pivot(on="predictor", index=index, values="rmse_capped", maintain_order=True)
    names = [challenger, *BASELINE_NAMES, *(name for name in CANDIDATE_NAMES if name != challenger)]
    rows = [
        (row["value"], row["engines"], row["n"], *(f"{row[name]:.2f}" for name in names))
        for row in wide.iter_rows(named=True)
    ]
    return table(("RMSE in cycles", "engines", "rows", *names), rows, numeric=range(1, 3 + len(names)))


def coverage_table(covered: pl.DataFrame) -> Markdown:
    """Truths inside their intervals by origin and region, with the numbers that chance allows."""
    rows = []
    for row in covered.iter_rows(named=True):
        band = "predicted eight times each" if row["least"] is None else f"{row['least']} to {row['most']}"
        rows.append((row["origin"], row["region"], row["n"], row["covered"], f"{row['share']:.1%}", band))
    return table(("engines", "region", "n", "inside", "share", "chance allows"), rows, numeric=(2, 3, 4))


def error_glance(rows: pl.DataFrame, predicted: np.ndarray) -> dg.MetadataValue:
    """Mean absolute error by true remaining cycles, in steps of ten cycles."""
    true = np.minimum(rows["rul_cycles"].to_numpy(), MAX_RUL_CYCLES)
    step = (true // 10).astype(np.int64)
    counts = np.bincount(step)
    means = np.divide(
        np.bincount(step, weights=np.abs(predicted - true)), counts, out=np.full(len(counts), np.nan), where=counts > 0
    )
    return glance_of_bars(means, label="mean error by true RUL, 0 to 125 in tens", unit="cycles")


def evaluation_charts(rows: pl.DataFrame, predicted: np.ndarray, candidate: "Candidate") -> dict[str, bytes]:
    """The challenger's predictions for the rows of the evaluation, as pictures by name."""
    from sinet_pipelines.pictures.charts import error_against_truth, predicted_against_true

    true = np.minimum(rows["rul_cycles"].to_numpy(), MAX_RUL_CYCLES)
    lower, upper = candidate.require_interval().around(predicted)
    return {
        "predicted_against_true": predicted_against_true(true, predicted, lower_B=lower, upper_B=upper),
        "error_against_truth": error_against_truth(true, predicted),
    }
