"""Holds predictions against truth that arrived since: error, bias and interval coverage, each beside its limit."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from sinet_pipelines.evaluation.cuts import newest_truths
from sinet_pipelines.metrics.coverage import covered_band
from sinet_pipelines.metrics.rul import bias, rmse
from sinet_pipelines.schemas.features import MAX_RUL_CYCLES
from sinet_pipelines.schemas.monitoring import PREDICTION_QUALITY

MIN_ENGINES = 5  # of fewer an RMSE may be half or twice what it is of many
RMSE_LIMIT_CYCLES = 25.0  # support and relevance vector regression reach 21 to 24 on FD001 (Babu, Zhao, Li 2016)
BIAS_LIMIT_CYCLES = 10.0  # so late costs e times as much (the PHM08 score of Saxena et al. 2008)


@dataclass(frozen=True)
class Quality:
    """How right predictions were.

    Attributes:
        engines: predictions whose truth has arrived.
        waiting: predictions whose truth has not.
        rmse_cycles: truth capped at 125; None without truth.
        bias_cycles: mean of predicted less true, above 0 too late; None without truth.
        intervals: of the engines, those predicted with an interval.
        covered: of the intervals, those that hold the truth.
        faults: the limits that are broken, in words with numbers.
    """

    engines: int
    waiting: int
    rmse_cycles: float | None
    bias_cycles: float | None
    intervals: int
    covered: int
    faults: tuple[str, ...] = ()

    @property
    def coverage(self) -> float | None:
        """Share of the intervals that hold the truth; None where the model gives none."""
        return self.covered / self.intervals if self.intervals else None


def with_truth(predictions: pl.DataFrame, truth: pl.DataFrame) -> pl.DataFrame:
    """The predictions whose truth has arrived, in the columns of `prediction_quality`.

    Of two truths about one engine the one known later counts: the other was revised. A truth is about one cycle and
    holds for every other: what was left at the cycle of the prediction follows from it.

    Args:
        predictions: rows of `fleet_predictions`.
        truth: rows of `truth_events`, revised ones among them.
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
    """Error, bias and coverage of predictions, and the limits they break.

    Args:
        matched: what `with_truth` gives.
        predicted: all predictions, those whose truth has not arrived among them.
    """
    waiting = predicted - matched.height
    said, true = (matched[name].to_numpy() for name in ("predicted_cycles", "true_cycles"))
    if not matched.height:
        return Quality(0, waiting, None, None, 0, 0)
    if not np.isfinite(said).all():
        silent = matched.filter(~pl.col("predicted_cycles").is_finite())["unit"].to_list()
        return Quality(matched.height, waiting, None, None, 0, 0, (f"no number was predicted for {', '.join(silent)}",))
    whole = matched.filter(pl.col("lower_cycles").is_finite() & pl.col("upper_cycles").is_finite())
    inside = pl.col("true_cycles").is_between("lower_cycles", "upper_cycles")
    measured = Quality(
        matched.height, waiting, rmse(said, true), bias(said, true), whole.height, whole.filter(inside).height
    )
    faults = _faults(measured) if matched.height >= MIN_ENGINES else ()
    return Quality(**{**vars(measured), "faults": faults})


def _faults(measured: Quality) -> tuple[str, ...]:
    faults = []
    if measured.rmse_cycles is not None and measured.rmse_cycles > RMSE_LIMIT_CYCLES:
        faults.append(f"RMSE {measured.rmse_cycles:.1f} cycles (allowed: {RMSE_LIMIT_CYCLES:g})")
    if measured.bias_cycles is not None and abs(measured.bias_cycles) > BIAS_LIMIT_CYCLES:
        faults.append(f"bias {measured.bias_cycles:+.1f} cycles (allowed: {BIAS_LIMIT_CYCLES:g} either way)")
    least, most = covered_band(measured.intervals)
    if measured.intervals >= MIN_ENGINES and not least <= measured.covered <= most:
        faults.append(f"{measured.covered} of {measured.intervals} intervals cover (allowed: {least} to {most})")
    return tuple(faults)
