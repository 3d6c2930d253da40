"""Says yes or no: whether a challenger may take the champion's place.

Both have answered the same questions about engines that neither has seen. A challenger need not be better, since new
data alone is worth a new model; it must not be clearly worse, nor may it ever answer with something that is no number,
nor promise more than its intervals keep.
"""

from dataclasses import dataclass, field

import numpy as np
import polars as pl

from sinet_pipelines.errors import ContractError
from sinet_pipelines.metrics.coverage import covered_band
from sinet_pipelines.models.model import Floats
from sinet_pipelines.schemas.features import MAX_RUL_CYCLES

MAX_T = 1.645  # 5 % of the normal, which t nears from thirty engines on; of fewer it refuses sooner
MAX_GROWTH = 0.10  # of the RMSE: so much is worse however few the engines


@dataclass(frozen=True)
class Verdict:
    """A decision with its reason.

    Attributes:
        passed: whether the challenger may become champion.
        reason: one sentence.
        numbers: what it was decided by.
    """

    passed: bool
    reason: str
    numbers: dict[str, float] = field(default_factory=dict)


def is_not_worse(challenger: pl.DataFrame, champion: pl.DataFrame | None) -> Verdict:
    """Whether a challenger may take the champion's place.

    The mean squared error (truth capped at 125) of each engine is one observation; the differences of the pairs are
    tested for a mean above zero (one-sided paired t, Student 1908), and a growth of the RMSE beyond 10 % is refused
    whatever the test says.

    Args:
        challenger: its answers: `unit`, `cycle`, `rul_cycles` (true), `predicted_cycles`.
        champion: the champion's answers to the same questions; None where there is none yet.

    Raises:
        ContractError: when the two were asked different questions, or nothing.
    """
    if challenger.is_empty():
        raise ContractError("the challenger was asked nothing (at least one row is needed); evaluate it first")
    broken = _not_numbers(challenger)
    if broken:
        return Verdict(False, f"{broken} of {len(challenger)} answers are no number", {"not_numbers": broken})
    if champion is None:
        return Verdict(True, "there was no champion before it", {"rmse_challenger": _rmse(_squares(challenger))})
    if odd := _not_numbers(champion):
        return Verdict(True, "the champion answers with something that is no number", {"champion_not_numbers": odd})
    return _compare(_paired(challenger, champion))


def covers_as_promised(covered: int, intervals: int) -> Verdict:
    """Whether intervals cover the truth as often as they say, but for chance (two-sided 95 % binomial band of 90 %).

    Args:
        covered: truths inside.
        intervals: engines whose truth is known, each asked once.
    """
    least, most = covered_band(intervals)
    numbers = {"covered": float(covered), "engines": float(intervals), "least": float(least), "most": float(most)}
    if not intervals:
        return Verdict(True, "no truth of a live engine has arrived to hold the intervals against", numbers)
    said = f"{covered} of {intervals} intervals of 90 % hold the truth (chance allows {least} to {most})"
    if covered < least:
        return Verdict(False, f"over-confident: {said}", numbers)
    if covered > most:
        return Verdict(False, f"wider than they need to be: {said}", numbers)
    return Verdict(True, said, numbers)


def may_serve(not_worse: Verdict, coverage: Verdict, *, has_champion: bool) -> Verdict:
    """Whether a challenger gets the champion's alias: it is not worse, and not over-confident.

    Intervals that are too wide mislead nobody and cost the challenger nothing. Where nothing serves yet, an
    over-confident model is taken: its check stays red, and no answer at all would help nobody.

    Args:
        not_worse: of `is_not_worse`.
        coverage: of `covers_as_promised`.
        has_champion: whether another model serves.
    """
    over_confident = coverage.numbers["covered"] < coverage.numbers["least"]
    if not not_worse.passed or not over_confident:
        return not_worse
    if has_champion:
        return Verdict(False, coverage.reason, coverage.numbers)
    return Verdict(True, f"{not_worse.reason}; {coverage.reason}", not_worse.numbers)


def _not_numbers(answers: pl.DataFrame) -> int:
    return int((~np.isfinite(answers["predicted_cycles"].to_numpy())).sum())


def _squares(answers: pl.DataFrame) -> Floats:
    """(n_engines,) mean squared error of each engine, in the order of its name."""
    error = pl.col("predicted_cycles") - pl.col("rul_cycles").clip(upper_bound=MAX_RUL_CYCLES)
    by_unit = answers.group_by("unit").agg((error * error).mean().alias("mse")).sort("unit")
    return by_unit["mse"].to_numpy()


def _rmse(squares: Floats) -> float:
    return float(np.sqrt(squares.mean()))


def _paired(challenger: pl.DataFrame, champion: pl.DataFrame) -> tuple[Floats, Floats]:
    questions = ["unit", "cycle", "rul_cycles"]
    if not challenger.select(questions).sort(questions).equals(champion.select(questions).sort(questions)):
        raise ContractError(
            f"challenger and champion answered different questions ({len(challenger)} and {len(champion)} rows; they "
            "must be the same); ask the champion those of today's evaluation set"
        )
    return _squares(challenger), _squares(champion)


def _compare(squares: tuple[Floats, Floats]) -> Verdict:
    challenger, champion = squares
    growth = _growth(_rmse(challenger), _rmse(champion))
    t = _paired_t(challenger - champion)
    numbers = {
        "engines": float(len(champion)),
        "rmse_challenger": _rmse(challenger),
        "rmse_champion": _rmse(champion),
        "rmse_growth": growth,
        "t": t,
    }
    both = f"{_rmse(challenger):.2f} against the champion's {_rmse(champion):.2f}"
    said = f"engine-wise RMSE {both} on {len(champion)} engines"
    if growth > MAX_GROWTH:
        return Verdict(False, f"clearly worse: {said}, {growth:.0%} more (allowed: {MAX_GROWTH:.0%})", numbers)
    if t > MAX_T:
        return Verdict(False, f"clearly worse: {said}, t = {t:.2f} (allowed: {MAX_T})", numbers)
    return Verdict(True, f"not worse: {said}", numbers)


def _growth(challenger: float, champion: float) -> float:
    """How much larger the challenger's error is, as a share of the champion's; any error is worse than none."""
    if champion == 0.0:
        return 0.0 if challenger == 0.0 else float("inf")
    return challenger / champion - 1.0


def _paired_t(differences: Floats) -> float:
    """Student's t of a mean above zero; 0 where one engine, or equal differences, leave nothing to judge by."""
    spread = float(differences.std(ddof=1)) if len(differences) > 1 else 0.0
    return float(differences.mean()) / (spread / np.sqrt(len(differences))) if spread > 0 else 0.0
