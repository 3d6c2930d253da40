"""Quality of predictions of remaining useful life: truth from truth events, and the limits of the figures."""

import polars as pl

from sinet_pipelines.applications.turbofan.cuts import newest_truths
from sinet_pipelines.applications.turbofan.schemas.features import MAX_RUL_CYCLES
from sinet_pipelines.applications.turbofan.schemas.monitoring import PREDICTION_QUALITY
from sinet_pipelines.applications.turbofan.task import RUL
from sinet_pipelines.monitoring import performance
from sinet_pipelines.monitoring.performance import Limits, Matched, Quality

LIMITS = Limits(
    rmse=25.0,  # cycles: support and relevance vector regression reach 21 to 24 on FD001 (Babu, Zhao, Li 2016)
    bias=10.0,  # cycles: for 10 cycles too late, the cost is e times as high (PHM08 score, Saxena et al. 2008)
)
MATCHED = Matched("predicted_cycles", "true_cycles", "lower_cycles", "upper_cycles")


def with_truth(predictions: pl.DataFrame, truth: pl.DataFrame) -> pl.DataFrame:
    """The predictions whose truth has arrived, in the columns of `prediction_quality`.

    Of two truths about one engine the later known one is used, since it revises the other. A truth is about one cycle;
    the remaining cycles at the cycle of the prediction are computed from it.

    Args:
        predictions: rows of `fleet_predictions`.
        truth: rows of `truth_events`, including revised ones.
    """
    newest = newest_truths(truth)
    fails_at = (pl.col("cycle") + pl.col("rul_cycles")).alias("fails_at")
    left = (pl.col("fails_at") - pl.col("cycle")).cast(pl.Float64).clip(upper_bound=MAX_RUL_CYCLES)
    return (
        predictions.rename({"rul_cycles": "predicted_cycles"})
        .join(newest.select("unit", "known_at", fails_at), on="unit")
        .filter(pl.col("fails_at") >= pl.col("cycle"))
        .with_columns(left.alias("true_cycles"), pl.col("lower_cycles", "upper_cycles").cast(pl.Float64))
        .with_columns(late_cycles=pl.col("predicted_cycles") - pl.col("true_cycles"))
        .select(PREDICTION_QUALITY.schema.names)
        .sort("unit")
    )


def quality_of(matched: pl.DataFrame, *, predicted: int) -> Quality:
    """Error, bias and coverage of predictions, and the limits that they violate.

    Args:
        matched: result of `with_truth`.
        predicted: number of all predictions, including those without truth.
    """
    return performance.quality_of(matched, MATCHED, predicted=predicted, task=RUL, limits=LIMITS)
