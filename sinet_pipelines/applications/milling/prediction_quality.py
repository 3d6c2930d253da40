"""Compares predictions of products with their outcomes when these are known."""

import polars as pl

from sinet_pipelines.applications.milling.tables import PREDICTION_QUALITY
from sinet_pipelines.applications.milling.task import FAILURE
from sinet_pipelines.monitoring import performance
from sinet_pipelines.monitoring.performance import Limits, Matched, Quality

#: Two thirds of the figures of held-out products (0.85 and 1.0): only about twenty failures are known at a time.
LIMITS = Limits(recall=0.55, precision=0.65)
_COLUMNS = Matched(predicted="failure_probability", true="machine_failure", warned="is_warned")


def with_outcome(predictions: pl.DataFrame, outcomes: pl.DataFrame) -> pl.DataFrame:
    """The predictions whose outcome is known, in the columns of `PREDICTION_QUALITY`.

    Args:
        predictions: of the contract `failure_predictions`.
        outcomes: of the contract `outcome_events`.
    """
    known = outcomes.select("product_id", "machine_failure", "inspected_at")
    return predictions.join(known, on="product_id").select(PREDICTION_QUALITY.schema.names).sort("product_id")


def quality_of(matched: pl.DataFrame, *, predicted: int) -> Quality:
    """The figures of predictions, and the limits that they violate.

    Args:
        matched: result of `with_outcome`.
        predicted: number of all predictions, including those without an outcome.
    """
    return performance.quality_of(matched, _COLUMNS, predicted=predicted, task=FAILURE, limits=LIMITS)
