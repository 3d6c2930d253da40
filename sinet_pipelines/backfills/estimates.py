"""Estimates what planned runs take, with an interval learnt from how far past runs were from their own estimate.

The interval is the jackknife+ of Barber, Candes, Ramdas and Tibshirani, "Predictive inference with the jackknife+",
Annals of Statistics 49 (2021), eq. 1.2, on the logarithm: each past run is estimated without itself, and the ratio of
its truth to that estimate is one residual. For exchangeable runs it holds the truth with at least 1 - 2 alpha, in
practice about 1 - alpha. Runs of one backfill share the load of their machine, so their sum is treated as one run: the
interval is then too wide rather than too narrow. `tests/sinet_pipelines/backfills/test_coverage.py` measures it.

With fewer residuals than `(1 - alpha) / alpha` the interval would be infinite: there is none then.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sinet_pipelines.backfills.history import RUN, PastRun, Step
from sinet_pipelines.backfills.lines import CostLine, fit_line

NOMINAL = 0.8  # share of truths that the intervals should hold: with 0.9 a home needs nine runs before the first one
NEEDED_RUNS = math.ceil(NOMINAL / (1 - NOMINAL) - 1e-9)


@dataclass(frozen=True)
class Estimate:
    """An estimated amount.

    Attributes:
        value: the estimate; None where nothing is known.
        lower: of the interval; None where there are too few past runs.
        upper: of the interval; None where there are too few past runs.
        runs: the number of past runs that the interval is learnt from.
        unknown: planned assets that no past run made; the value does not count them.
    """

    value: float | None
    lower: float | None = None
    upper: float | None = None
    runs: int = 0
    unknown: tuple[str, ...] = ()

    @property
    def highest(self) -> float | None:
        """The end of the interval, or the value where there is no interval."""
        return self.value if self.upper is None else self.upper

    def holds(self, truth: float) -> bool | None:
        """Whether the interval holds the truth; None without an interval, and where it does not count every asset."""
        if self.lower is None or self.upper is None or self.unknown:
            return None
        return self.lower <= truth <= self.upper


@dataclass(frozen=True)
class CostModel:
    """What steps take of one amount, learnt from past runs.

    Attributes:
        history: past runs, the newest first.
        amount: name of the amount.
        nominal: share of truths that intervals should hold.
    """

    history: Sequence[PastRun]
    amount: str
    nominal: float = NOMINAL
    _samples: dict[str, list[tuple[str, int, float]]] = field(default_factory=dict, repr=False, compare=False)
    _lines: dict[tuple[str, str], CostLine | None] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        for run in self.history:
            for step in run.steps:
                if self.amount in step.amounts:
                    sample = run.run_id, step.days, step.amounts[self.amount]
                    self._samples.setdefault(step.asset, []).append(sample)

    def line(self, asset: str, *, without: str = "") -> CostLine | None:
        """The line of an asset, learnt without one run; None where no other run made the asset."""
        if (asset, without) not in self._lines:
            known = [(days, value) for run, days, value in self._samples.get(asset, ()) if run != without]
            self._lines[asset, without] = fit_line(known)
        return self._lines[asset, without]

    def separates_fixed(self, assets: Iterable[str]) -> bool:
        """Whether past runs of different sizes separated the fixed part of each known asset from its days."""
        lines = [line for asset in assets if (line := self.line(asset)) is not None]
        return bool(lines) and all(line.is_split for line in lines)

    def value(self, steps: Iterable[Step]) -> float:
        """The estimated amount of steps, without those whose asset is unknown."""
        return sum(line.at(step.days) for step in steps if (line := self.line(step.asset)) is not None)

    def estimate(self, steps: Sequence[Step]) -> Estimate:
        """The estimated amount of planned steps with its interval."""
        unknown = tuple(sorted({step.asset for step in steps if self.line(step.asset) is None}))
        if len(unknown) == len({step.asset for step in steps}):
            return Estimate(0.0 if not steps else None, unknown=unknown)
        known = _sizes(step for step in steps if step.asset not in unknown)
        ends = sorted(self._ends(known))
        lower, upper = self._quantiles([low for low, _ in ends], [high for _, high in ends])
        value = self.value(steps)
        if lower is None or upper is None:
            return Estimate(value, runs=len(ends), unknown=unknown)
        return Estimate(value, min(lower, value), max(upper, value), len(ends), unknown)

    def _ends(self, planned: dict[str, list[int]]) -> Iterable[tuple[float, float]]:
        """For each past run: the planned amount estimated without it, divided and multiplied by its residual."""
        for run in self.history:
            own = [step for step in run.steps if step.asset in planned and self.amount in step.amounts]
            lines = {step.asset: self.line(step.asset, without=run.run_id) for step in own}
            judged = [(step, line) for step in own if (line := lines[step.asset]) is not None]
            truth = sum(step.amounts[self.amount] for step, _ in judged)
            guess = sum(line.at(step.days) for step, line in judged)
            rest = {asset: self.line(asset, without=run.run_id) for asset in planned}
            is_of_plan = any(step.asset != RUN for step, _ in judged)
            if not is_of_plan or truth <= 0 or guess <= 0 or any(line is None for line in rest.values()):
                continue
            ratio = math.exp(abs(math.log(truth / guess)))
            total = sum(line.at(days) for asset, line in rest.items() if line is not None for days in planned[asset])
            yield total / ratio, total * ratio

    def _quantiles(self, lower: list[float], upper: list[float]) -> tuple[float | None, float | None]:
        """The ends of the jackknife+; None with too few residuals."""
        count = len(upper)
        rank = math.ceil(self.nominal * (count + 1) - 1e-9)
        if not count or rank > count:
            return None, None
        return sorted(lower)[count - rank], sorted(upper)[rank - 1]


def _sizes(steps: Iterable[Step]) -> dict[str, list[int]]:
    """The numbers of days of the planned steps of each asset."""
    found: dict[str, list[int]] = defaultdict(list)
    for step in steps:
        found[step.asset].append(step.days)
    return dict(found)
