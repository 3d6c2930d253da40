"""Decides on quantized graphs: which exceed a limit and block, which lose, and which graph is served.

A graph is broken when it exceeds a limit; this is a fault and blocks. It loses when another graph is at least as good
in error, size and time; this is a normal result.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sinet_pipelines.errors import ContractError
from sinet_pipelines.evaluation.gate import Verdict
from sinet_pipelines.models.model import Floats
from sinet_pipelines.models.task import Metric, Task
from sinet_pipelines.quantization.footprint import Footprint

MAX_GROWTH = 0.01  # of the error over all rows: a tenth of what a challenger may be worse (evaluation/gate.py)
MAX_GROWTH_IN_A_REGION = 0.03  # of a part of the rows, whose error varies more
# Of the bytes of the network's weights, of which INT8 is a quarter, with scales a little more. Not of the whole graph:
# the pre-processing of a raw window is the same in both, and is a third of a small network's graph.
MAX_WEIGHT_RATIO = 0.3
# A graph that is somewhat slower has more nodes than its integer kernels save, as small networks on a processor
# without VNNI, and loses. One that takes twice as long is not fused, or runs kernels made for another processor.
MAX_LATENCY_RATIO = 2.0
FASTER = 0.95  # of the time: a smaller saving is within measurement noise, and would change from run to run


@dataclass(frozen=True)
class Answers:
    """Rows and predictions of both graphs.

    Attributes:
        true_B: truth within the task's range.
        region_B: region of each row's group.
        fp32_B: predictions of the FP32 graph.
        int8_B: predictions of the INT8 graph.
    """

    true_B: Floats
    region_B: NDArray[np.str_]
    fp32_B: Floats
    int8_B: Floats


def judge_quantization(answers: Answers, *, task: Task, fp32: Footprint, int8: Footprint) -> Verdict:
    """Whether an INT8 graph is within every limit relative to its FP32 source; the numbers show by how much.

    Args:
        answers: predictions of both for the same rows, on which neither was fitted or calibrated.
        task: its loss is compared: RMSE, or log loss.
        fp32: cost of the FP32 graph.
        int8: cost of the INT8 graph, timed in turns with the other.

    Raises:
        ContractError: there is no row, or no weight in FP32.
    """
    if not len(answers.true_B) or not fp32.weight_bytes:
        raise ContractError(
            f"{len(answers.true_B)} rows and {fp32.weight_bytes} bytes of weights (at least one of each is needed); "
            "evaluate a network on its evaluation set"
        )
    broken = {name: int((~np.isfinite(values)).sum()) for name, values in _both(answers).items()}
    if any(broken.values()):
        found = ", ".join(f"{count} in {name}" for name, count in broken.items())
        return Verdict(False, f"predictions of {len(answers.true_B)} rows that are not finite: {found} (allowed: none)")
    numbers = _numbers(answers, task, fp32, int8)
    worst = max(np.unique(answers.region_B), key=lambda region: numbers[f"growth_{region}"])
    rules = (
        ("error", "error_growth", MAX_GROWTH),
        (f"error in {worst}", f"growth_{worst}", MAX_GROWTH_IN_A_REGION),
        ("bytes of weights", "weight_ratio", MAX_WEIGHT_RATIO),
        ("time of a prediction", "latency_ratio", MAX_LATENCY_RATIO),
    )
    found = "; ".join(
        f"{what} {_shown(name, numbers[name])} (allowed: {_shown(name, most)})" for what, name, most in rules
    )
    missed = [what for what, name, most in rules if not numbers[name] <= most]
    if missed:
        return Verdict(False, f"INT8 exceeds its limit of {' and '.join(missed)}: {found}", numbers)
    return Verdict(True, f"INT8 is within its limits: {found}", numbers)


def _both(answers: Answers) -> dict[str, Floats]:
    return {"fp32": answers.fp32_B, "int8": answers.int8_B}


def _numbers(answers: Answers, task: Task, fp32: Footprint, int8: Footprint) -> dict[str, float]:
    errors = {name: task.loss(values, answers.true_B) for name, values in _both(answers).items()}
    numbers = {
        "rows": float(len(answers.true_B)),
        f"{task.loss_name}_fp32": errors["fp32"],
        f"{task.loss_name}_int8": errors["int8"],
        "error_growth": _growth(errors["int8"], errors["fp32"]),
        "max_abs_difference": float(np.abs(answers.int8_B - answers.fp32_B).max()),
        "weight_ratio": int8.weight_bytes / fp32.weight_bytes,
        "size_ratio": int8.n_bytes / fp32.n_bytes,
        "latency_ratio": int8.p50_us / fp32.p50_us,
    }
    for region in np.unique(answers.region_B):
        inside = answers.region_B == region
        parts = (task.loss(values[inside], answers.true_B[inside]) for values in _both(answers).values())
        of_fp32, of_int8 = parts
        numbers[f"growth_{region}"] = _growth(of_int8, of_fp32)
    return numbers


def _growth(quantized: float, source: float) -> float:
    """The relative growth of an error; infinite where the source has no error and the other has."""
    if source == 0.0:
        return 0.0 if quantized == 0.0 else float("inf")
    return quantized / source - 1.0


def _shown(name: str, value: float) -> str:
    return f"{value:+.1%}" if "growth" in name else f"{value:.2f}"


@dataclass(frozen=True)
class Entrant:
    """A graph that may be served.

    Attributes:
        name: of the graph.
        score: the metric of its model out of fold; of an INT8 graph that of its FP32 source, worse by the growth of
            its error.
        metric: the metric.
        footprint: its cost.
        source: name of its FP32 source; empty for an FP32 graph.
        verdict: result of its limits; None for an FP32 graph, which has none.
    """

    name: str
    score: float
    metric: Metric
    footprint: Footprint
    source: str = ""
    verdict: Verdict | None = None

    @property
    def is_broken(self) -> bool:
        """Whether it must not be served: it exceeds a limit, or is an INT8 graph without a check of its limits."""
        passed = self.verdict.passed if self.verdict else not self.source
        return not (passed and np.isfinite(self.score))

    @property
    def costs(self) -> tuple[float, float, float]:
        """Error, bytes and time: less is better in each."""
        return self.metric.cost(self.score), float(self.footprint.n_bytes), self.footprint.p50_us

    @property
    def text(self) -> str:
        """Its score with the unit."""
        return self.metric.with_unit(self.metric.text(self.score))


@dataclass(frozen=True)
class Competition:
    """The graph to serve, and the result of every entrant.

    Attributes:
        chosen: name of the graph to serve.
        front: names of graphs that no other beats in error, size and time at once, by error.
        reasons: of every entrant, in a sentence.
    """

    chosen: str
    front: tuple[str, ...]
    reasons: Mapping[str, str]


def compete(entrants: Sequence[Entrant]) -> Competition:
    """The graph to serve: that with the least out-of-fold error, or its INT8 form if within its limits and faster.

    Size and time decide only between the two forms of one model: a smaller model with more error is no substitute.

    Raises:
        ContractError: there is no FP32 graph with an error, names are not unique, or a source is missing.
    """
    by_name = {entrant.name: entrant for entrant in entrants}
    orphans = [entrant.name for entrant in entrants if entrant.source and entrant.source not in by_name]
    whole = [entrant for entrant in entrants if not entrant.is_broken]
    sources = sorted((entrant for entrant in whole if not entrant.source), key=lambda one: (*one.costs, one.name))
    if len(by_name) != len(entrants) or orphans or not sources:
        raise ContractError(
            f"{len(entrants)} entrants, {len(sources)} of them whole and FP32, {len(orphans)} without their source "
            "(needed: unique names, at least one whole FP32 graph, every source among them); enter them again"
        )
    best = sources[0]
    enough_us = FASTER * best.footprint.p50_us
    twins = [one for one in whole if one.source == best.name and one.footprint.p50_us <= enough_us]
    chosen = min(twins, key=lambda one: (one.footprint.p50_us, one.name)) if twins else best
    front = [one for one in whole if not _beaten_by(one, whole)]
    return Competition(
        chosen=chosen.name,
        front=tuple(one.name for one in sorted(front, key=lambda one: (*one.costs, one.name))),
        reasons={one.name: _reason(one, best=best, chosen=chosen, whole=whole) for one in entrants},
    )


def _beaten_by(entrant: Entrant, others: Sequence[Entrant]) -> list[Entrant]:
    """Entrants that are at least as good in everything and better in something."""
    return [
        other
        for other in others
        if all(a <= b for a, b in zip(other.costs, entrant.costs, strict=True)) and other.costs != entrant.costs
    ]


def _reason(entrant: Entrant, *, best: Entrant, chosen: Entrant, whole: Sequence[Entrant]) -> str:
    word = "error" if not entrant.metric.is_better_high else entrant.metric.name
    if entrant.is_broken:
        unjudged = "its limits were not checked" if entrant.source else "its error is NaN"
        return f"broken: {entrant.verdict.reason if entrant.verdict else unjudged}"
    if entrant is chosen and entrant is best:
        return f"served: {entrant.metric.best} out-of-fold {word}, {entrant.text}"
    if entrant is chosen:
        front = f"served for {best.name}, the {best.metric.best} out-of-fold {word}"
        return f"{front}: is within its limits and {_against(entrant, best)}"
    if entrant is best:
        return f"{entrant.metric.best} out-of-fold {word}, {entrant.text}, but {chosen.name} is served for it"
    if entrant.source == best.name:
        return f"loses to {best.name}: {_against(entrant, best)}"
    beaten_by = _beaten_by(entrant, whole)
    if beaten_by:
        return f"loses to {beaten_by[0].name}, which is no worse in error, size or time"
    return f"loses to {best.name}: {entrant.text} of {word} against {best.metric.text(best.score)}"


def _against(entrant: Entrant, other: Entrant) -> str:
    size = entrant.footprint.n_bytes / other.footprint.n_bytes
    time = entrant.footprint.p50_us / other.footprint.p50_us
    return f"takes {size:.2f} of its bytes and {time:.2f} of its time"
