"""Decides whether a challenger may replace the champion.

Both have predicted the same rows, of groups that are held out from every fit. A challenger may be as good as the
champion, since new data alone justify a new model. It must not be clearly worse, every prediction must be finite, and
its intervals must not be too narrow.
"""

from dataclasses import dataclass, field

import numpy as np
import polars as pl

from sinet_pipelines.errors import ContractError
from sinet_pipelines.metrics.coverage import covered_band
from sinet_pipelines.metrics.failure import log_losses
from sinet_pipelines.models.model import Floats
from sinet_pipelines.models.task import Task

MAX_T = 1.645  # one-sided 5 % of the normal distribution, which t approaches from thirty groups on
MAX_GROWTH = 0.10  # relative growth of the error that is still accepted, with any number of groups


@dataclass(frozen=True)
class Verdict:
    """A decision with its reason.

    Attributes:
        passed: whether the challenger may become champion.
        reason: one sentence.
        numbers: the figures behind the decision, by name.
    """

    passed: bool
    reason: str
    numbers: dict[str, float] = field(default_factory=dict)


def is_not_worse(challenger: pl.DataFrame, champion: pl.DataFrame | None, *, task: Task) -> Verdict:
    """Whether a challenger is not clearly worse than the champion.

    The mean loss of each group is one observation: the squared error of a regression (truth clipped to the range), the
    log loss of a classification. The paired differences are tested for a mean above zero (one-sided paired t, Student
    1908). An RMSE or log loss more than 10 % above the champion's is rejected, whatever the test shows.

    Args:
        challenger: its predictions: columns of the task's group, order, target (the truth) and prediction.
        champion: the champion's predictions of the same rows; None where there is no champion.
        task: the task.

    Raises:
        ContractError: when the challenger has no predictions, or the two predicted different rows.
    """
    if challenger.is_empty():
        raise ContractError("the challenger has no predictions (at least one row is needed); evaluate it first")
    broken = _not_numbers(challenger, task)
    if broken:
        return Verdict(False, f"{broken} of {len(challenger)} predictions are not finite", {"not_numbers": broken})
    if champion is None:
        error = _error(_losses(challenger, task), task)
        return Verdict(True, "there was no champion before it", {f"{task.loss_name}_challenger": error})
    if odd := _not_numbers(champion, task):
        return Verdict(True, "the champion has predictions that are not finite", {"champion_not_numbers": odd})
    return _compare(_paired(challenger, champion, task), task)


def has_nominal_coverage(covered: int, intervals: int, *, groups: str = "groups") -> Verdict:
    """Whether 90 % intervals contain the truth in 90 % of cases, within a two-sided 95 % binomial band.

    Args:
        covered: number of intervals that contain the truth.
        intervals: number of intervals, one for each group whose truth is known.
        groups: the word for several groups.
    """
    least, most = covered_band(intervals)
    numbers = {"covered": float(covered), groups: float(intervals), "least": float(least), "most": float(most)}
    if not intervals:
        return Verdict(True, f"no truth of {groups} has arrived to compare the intervals with", numbers)
    found = f"{covered} of {intervals} intervals of 90 % contain the truth (chance allows {least} to {most})"
    if covered < least:
        return Verdict(False, f"over-confident: {found}", numbers)
    if covered > most:
        return Verdict(False, f"wider than they need to be: {found}", numbers)
    return Verdict(True, found, numbers)


def may_serve(not_worse: Verdict, coverage: Verdict, *, has_champion: bool) -> Verdict:
    """Whether a challenger gets the alias champion: it is not clearly worse, and its intervals are not too narrow.

    Intervals that are too wide are accepted. Where no model serves yet, intervals that are too narrow are accepted too:
    without this model there would be no predictions, and the check of its coverage still fails.

    Args:
        not_worse: result of `is_not_worse`.
        coverage: result of `has_nominal_coverage`.
        has_champion: whether another version has the alias.
    """
    over_confident = coverage.numbers["covered"] < coverage.numbers["least"]
    if not not_worse.passed or not over_confident:
        return not_worse
    if has_champion:
        return Verdict(False, coverage.reason, coverage.numbers)
    return Verdict(True, f"{not_worse.reason}; {coverage.reason}", not_worse.numbers)


def _not_numbers(predictions: pl.DataFrame, task: Task) -> int:
    return int((~np.isfinite(predictions[task.predicted].to_numpy())).sum())


def _losses(predictions: pl.DataFrame, task: Task) -> Floats:
    """(n_groups,) mean loss of each group, sorted by the group's name."""
    if task.is_regression:
        truth = pl.col(task.target) if task.range is None else pl.col(task.target).clip(*task.range)
        error = pl.col(task.predicted) - truth
        rows = predictions.select(task.group, loss=error * error)
    else:
        loss_B = log_losses(predictions[task.predicted].to_numpy(), predictions[task.target].to_numpy() == 1)
        rows = predictions.select(task.group, loss=pl.Series(loss_B))
    return rows.group_by(task.group).agg(pl.col("loss").mean()).sort(task.group)["loss"].to_numpy()


def _error(losses: Floats, task: Task) -> float:
    """The error over all groups: RMSE, or mean log loss."""
    return float(np.sqrt(losses.mean())) if task.is_regression else float(losses.mean())


def _paired(challenger: pl.DataFrame, champion: pl.DataFrame, task: Task) -> tuple[Floats, Floats]:
    rows = [task.group, task.order, task.target]
    if not challenger.select(rows).sort(rows).equals(champion.select(rows).sort(rows)):
        raise ContractError(
            f"challenger and champion have predictions for different rows ({len(challenger)} and {len(champion)}; they "
            "must be the same); predict the present evaluation set with the champion"
        )
    return _losses(challenger, task), _losses(champion, task)


def _compare(losses: tuple[Floats, Floats], task: Task) -> Verdict:
    challenger, champion = losses
    own, other = (_error(values, task) for values in losses)
    growth, t = _growth(own, other), _paired_t(challenger - champion)
    numbers = {
        task.groups: float(len(champion)),
        f"{task.loss_name}_challenger": own,
        f"{task.loss_name}_champion": other,
        f"{task.loss_name}_growth": growth,
        "t": t,
    }
    word, digits = ("RMSE", 2) if task.is_regression else ("log loss", 4)
    both = f"{own:.{digits}f} against the champion's {other:.{digits}f}"
    found = f"{word} {both} on {len(champion)} {task.groups}"
    if growth > MAX_GROWTH:
        return Verdict(False, f"clearly worse: {found}, {growth:.0%} more (allowed: {MAX_GROWTH:.0%})", numbers)
    if t > MAX_T:
        return Verdict(False, f"clearly worse: {found}, t = {t:.2f} (allowed: {MAX_T})", numbers)
    return Verdict(True, f"not worse: {found}", numbers)


def _growth(challenger: float, champion: float) -> float:
    """The relative growth of the error; infinite where only the champion's error is 0."""
    if champion == 0.0:
        return 0.0 if challenger == 0.0 else float("inf")
    return challenger / champion - 1.0


def _paired_t(differences: Floats) -> float:
    """Student's t for a mean above zero; 0 for one group, or where all differences are equal."""
    spread = float(differences.std(ddof=1)) if len(differences) > 1 else 0.0
    return float(differences.mean()) / (spread / np.sqrt(len(differences))) if spread > 0 else 0.0
