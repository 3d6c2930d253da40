"""Compares predictions with truth that arrived since: figures of the task's kind, each with its limit.

For a regression error, bias and coverage of intervals; for a classification PR-AUC, recall and precision of the
warnings.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from sinet_pipelines.metrics.coverage import covered_band
from sinet_pipelines.metrics.failure import failure_errors
from sinet_pipelines.metrics.regression import bias, rmse
from sinet_pipelines.models.task import Task

MIN_GROUPS = 5  # with fewer groups an RMSE varies by a factor of two
MIN_EVENTS = 5  # with fewer events one event changes a share by a fifth or more


@dataclass(frozen=True)
class Limits:
    """Limits of the figures; a figure whose limit is None is not checked.

    Attributes:
        rmse: most, in the target's unit.
        bias: most either way, in the target's unit.
        pr_auc: least.
        recall: least.
        precision: least.
    """

    rmse: float | None = None
    bias: float | None = None
    pr_auc: float | None = None
    recall: float | None = None
    precision: float | None = None


@dataclass(frozen=True)
class Matched:
    """Names of columns of predictions and their truth.

    Attributes:
        predicted: the prediction: a number, or a probability.
        true: the truth within the task's range.
        lower: lower end of the interval; empty without intervals.
        upper: upper end.
        warned: whether there was a warning; empty for a regression.
    """

    predicted: str
    true: str
    lower: str = ""
    upper: str = ""
    warned: str = ""


@dataclass(frozen=True)
class Quality:
    """The quality of predictions.

    Attributes:
        groups: predictions whose truth has arrived.
        waiting: predictions whose truth has not.
        figures: by name: `rmse` and `bias`, or `pr_auc`, `recall`, `precision`; empty without truth.
        intervals: number of predictions with an interval.
        covered: number of intervals that contain the truth.
        faults: the exceeded limits, as text with numbers.
    """

    groups: int
    waiting: int
    figures: Mapping[str, float]
    intervals: int = 0
    covered: int = 0
    faults: tuple[str, ...] = ()

    @property
    def coverage(self) -> float | None:
        """Share of the intervals that contain the truth; None where the model has none."""
        return self.covered / self.intervals if self.intervals else None


def quality_of(matched: pl.DataFrame, columns: Matched, *, predicted: int, task: Task, limits: Limits) -> Quality:
    """The figures of predictions, and the limits that they exceed.

    Args:
        matched: one row for each prediction whose truth has arrived: the task's group and the columns.
        columns: the names of the columns.
        predicted: number of predictions, also those without truth.
        task: the task.
        limits: of the figures.
    """
    waiting = predicted - matched.height
    if not matched.height:
        return Quality(0, waiting, {})
    predicted_B = matched[columns.predicted].to_numpy()
    if not np.isfinite(predicted_B).all():
        silent = matched.filter(~pl.col(columns.predicted).is_finite())[task.group].to_list()
        fault = f"no number was predicted for {', '.join(map(str, silent))}"
        return Quality(matched.height, waiting, {}, faults=(fault,))
    if not task.is_regression:
        return _of_warnings(matched, columns, waiting=waiting, limits=limits)
    return _of_numbers(matched, columns, waiting=waiting, task=task, limits=limits)


def _of_numbers(matched: pl.DataFrame, columns: Matched, *, waiting: int, task: Task, limits: Limits) -> Quality:
    predicted, true = (matched[name].to_numpy() for name in (columns.predicted, columns.true))
    found = Quality(matched.height, waiting, {"rmse": rmse(predicted, true), "bias": bias(predicted, true)})
    if columns.lower:
        whole = matched.filter(pl.col(columns.lower).is_finite() & pl.col(columns.upper).is_finite())
        inside = pl.col(columns.true).is_between(columns.lower, columns.upper)
        found = replace(found, intervals=whole.height, covered=whole.filter(inside).height)
    if matched.height < MIN_GROUPS:
        return found
    faults, figures = [], found.figures
    if limits.rmse is not None and figures["rmse"] > limits.rmse:
        faults.append(f"RMSE {figures['rmse']:.1f} {task.unit} (allowed: {limits.rmse:g})")
    if limits.bias is not None and abs(figures["bias"]) > limits.bias:
        faults.append(f"bias {figures['bias']:+.1f} {task.unit} (allowed: {limits.bias:g} either way)")
    least, most = covered_band(found.intervals)
    if found.intervals >= MIN_GROUPS and not least <= found.covered <= most:
        faults.append(f"{found.covered} of {found.intervals} intervals cover (allowed: {least} to {most})")
    return replace(found, faults=tuple(faults))


def _of_warnings(matched: pl.DataFrame, columns: Matched, *, waiting: int, limits: Limits) -> Quality:
    happened = matched[columns.true].to_numpy() == 1
    errors = failure_errors(matched[columns.predicted].to_numpy(), matched[columns.warned].to_numpy() == 1, happened)
    figures = {"pr_auc": errors.pr_auc, "recall": errors.recall, "precision": errors.precision}
    found = Quality(matched.height, waiting, figures)
    if int(happened.sum()) < MIN_EVENTS:
        return found
    allowed = {"PR-AUC": ("pr_auc", limits.pr_auc), "recall": ("recall", limits.recall)}
    allowed["precision"] = ("precision", limits.precision)
    faults = [
        f"{word} {figures[name]:.3f} (allowed: {least:g} or more)"
        for word, (name, least) in allowed.items()
        if least is not None and figures[name] < least
    ]
    return replace(found, faults=tuple(faults))
