"""The task of an application's models: the target, how rows are grouped and weighted, and the metric.

Families, folds, intervals, gates, quantization, export, serving and monitoring read these facts from a task, so they
work for every application.

Letters: B rows.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from sinet_pipelines.errors import ContractError
from sinet_pipelines.metrics.failure import log_loss
from sinet_pipelines.metrics.regression import rmse

Floats = NDArray[np.float64]
PROBABILITY = (0.0, 1.0)  # the range of every classification
SEGMENTS = 5  # equal parts of the range between the knots of an interval: few enough that each has many groups


class Kind(StrEnum):
    """What is predicted: a number, or the probability of an event."""

    REGRESSION = "regression"
    CLASSIFICATION = "classification"


@dataclass(frozen=True)
class Metric:
    """The measure by which candidates are compared.

    Attributes:
        name: as shown in the UI: `RMSE`.
        unit: of its values; empty for a pure number.
        measure: computes it from (B,) predictions, (B,) truth clipped to the task's range, and (B,) weights.
        is_better_high: whether a larger value is better.
        digits: number of decimals in texts.
    """

    name: str
    unit: str
    measure: Callable[[Floats, Floats, Floats], float]
    is_better_high: bool = False
    digits: int = 2

    @property
    def best(self) -> str:
        """The word for the best value: `greatest` or `least`."""
        return "greatest" if self.is_better_high else "least"

    def cost(self, value: float) -> float:
        """The value as a cost: less is better."""
        return -value if self.is_better_high else value

    def text(self, value: float) -> str:
        """The value with its digits, without its unit."""
        return f"{value:.{self.digits}f}"

    def with_unit(self, text: str) -> str:
        """The text, followed by the unit where there is one."""
        return f"{text} {self.unit}" if self.unit else text


def no_errors(predicted_B: Floats, true_B: Floats) -> Mapping[str, float]:
    """No error figures, for a task that defines none."""
    del predicted_B, true_B
    return {}


@dataclass(frozen=True)
class Task:
    """The task of an application's models.

    Attributes:
        kind: regression or classification.
        target: column of the truth: `rul_cycles`; its values are 0 and 1 for a classification.
        unit: of the target: `cycles`; `1` for a probability.
        group: column of groups, which a split may not divide: `unit`.
        order: column that numbers the rows of a group: `cycle`.
        groups: the word for several groups: `engines`.
        feature_names: columns of the features, in the order in which models read them.
        metric: the measure for the choice among candidates, out of fold.
        outputs: of the endpoint, in order. Regression: the prediction, then the two ends of its interval.
            Classification: the probability, then whether it is at or above the threshold (1 or 0).
        range: least and greatest prediction; truth is clipped to it. None for a regression without bounds; always
            `(0, 1)` for a classification.
        resolution: the smallest half width of an interval, in the target's unit; 0 without a limit.
        weight: computes from (B,) order and (B,) truth the weight of each row, in any scale; None for equal weights.
        slices: columns of the evaluation set; errors are shown for each of their values.
        errors: computes error figures by name from (B,) predictions and (B,) truth, not clipped.
        predicted: column of predictions in tables that have them beside the truth.

    Raises:
        ContractError: the range of a classification is not 0 to 1, a range is empty or reversed, there are no outputs,
            or a name occurs twice among them.
    """

    kind: Kind
    target: str
    unit: str
    group: str
    order: str
    groups: str
    feature_names: tuple[str, ...]
    metric: Metric
    outputs: tuple[str, ...]
    range: tuple[float, float] | None = None
    resolution: float = 0.0
    weight: Callable[[NDArray, Floats], Floats] | None = None
    slices: tuple[str, ...] = ()
    errors: Callable[[Floats, Floats], Mapping[str, float]] = no_errors
    predicted: str = "predicted"

    def __post_init__(self) -> None:
        if self.kind is Kind.CLASSIFICATION and self.range is None:
            object.__setattr__(self, "range", PROBABILITY)
        if self.kind is Kind.CLASSIFICATION and self.range != PROBABILITY:
            raise ContractError(f"the range of a classification is {self.range} (allowed: 0 to 1); leave it out")
        if self.range is not None and not self.range[0] < self.range[1]:
            raise ContractError(
                f"the range of {self.target} is {self.range} (allowed: least, then greatest); correct them"
            )
        if not self.outputs or len(set(self.outputs)) != len(self.outputs):
            raise ContractError(
                f"the outputs for {self.target} are {self.outputs} (allowed: at least one, each name once); "
                "correct them"
            )

    @property
    def is_regression(self) -> bool:
        """Whether the task is a regression: it predicts a number, not a probability."""
        return self.kind is Kind.REGRESSION

    def within_range(self, values_B: Floats) -> Floats:
        """(B,) values clipped to the range; NaN stays NaN, so that the gates detect it."""
        return values_B if self.range is None else np.clip(values_B, *self.range)

    def weights(self, order_B: NDArray, truth_B: Floats) -> Floats:
        """(B,) weight of each row, 1 on average."""
        weight_B = np.ones(len(truth_B)) if self.weight is None else self.weight(order_B, truth_B)
        return weight_B / weight_B.mean()

    def loss(self, predicted_B: Floats, true_B: Floats) -> float:
        """RMSE of a regression, log loss of a classification; truth is clipped to the range."""
        target_B = self.within_range(true_B)
        return rmse(predicted_B, target_B) if self.is_regression else log_loss(predicted_B, target_B)

    def is_flag(self, output: str) -> bool:
        """Whether the output is the warning of a classification, with values 1 and 0."""
        return not self.is_regression and output in self.outputs[1:]

    @property
    def loss_name(self) -> str:
        """`rmse` or `log_loss`."""
        return "rmse" if self.is_regression else "log_loss"

    def knots(self, predicted_B: Floats) -> tuple[float, ...]:
        """The ends of equal segments of the range, or of the range of the predictions where the task has none."""
        low, high = self.range or (float(np.min(predicted_B)), float(np.max(predicted_B)))
        return tuple(np.linspace(low, high if high > low else low + 1.0, SEGMENTS + 1).tolist())


def weighted_rmse(predicted_B: Floats, true_B: Floats, weight_B: Floats) -> float:
    """Root of the weighted mean squared error: the metric of most regressions.

    >>> weighted_rmse(np.array([1.0, 3.0]), np.array([1.0, 1.0]), np.array([3.0, 1.0]))
    1.0
    """
    return float(np.sqrt(np.average((predicted_B - true_B) ** 2, weights=weight_B)))
