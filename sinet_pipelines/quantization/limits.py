"""Judges quantized graphs: which are broken and blocked, which merely lose, and which graph goes out.

A graph is broken when it breaks a limit; it loses when another is at least as good in error, size and time. The first
is a fault that must not go further, the second is news.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sinet_pipelines.errors import ContractError
from sinet_pipelines.evaluation.gate import Verdict
from sinet_pipelines.metrics.rul import rmse
from sinet_pipelines.models.model import Floats
from sinet_pipelines.quantization.footprint import Footprint

MAX_GROWTH = 0.01  # of the error over all rows: a tenth of what a challenger may be worse (evaluation/gate.py)
MAX_GROWTH_IN_A_REGION = 0.03  # of a part of the rows, whose error varies more
# Of the bytes of the network's weights, of which INT8 is a quarter and scales a little more. Not of the whole graph:
# what makes signals of a raw window is the same in both, and of a small network's graph it is a third.
MAX_WEIGHT_RATIO = 0.3
# A graph that is somewhat slower has more nodes than its integer kernels save, as small networks do on a processor
# without VNNI, and loses; one that takes twice as long has been left unfused, or runs kernels made for others.
MAX_LATENCY_RATIO = 2.0
FASTER = 0.95  # of the time: less than a twentieth saved is the noise of a measurement, and would flip from run to run


@dataclass(frozen=True)
class Answers:
    """What was asked and answered, row by row.

    Attributes:
        true_B: cycles left, capped at 125.
        region_B: where each row's engine is.
        fp32_B: what the graph answers in FP32, cycles.
        int8_B: what it answers in INT8, cycles.
    """

    true_B: Floats
    region_B: NDArray[np.str_]
    fp32_B: Floats
    int8_B: Floats


def judge_quantization(answers: Answers, *, fp32: Footprint, int8: Footprint) -> Verdict:
    """Whether an INT8 graph keeps every limit against the FP32 graph it was made from; the numbers say by how much.

    Args:
        answers: of both to the same rows, none of which either was fitted or calibrated on.
        fp32: what the FP32 graph costs.
        int8: what the INT8 graph costs, timed in turns with the other.

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
        said = ", ".join(f"{count} in {name}" for name, count in broken.items())
        return Verdict(False, f"answers of {len(answers.true_B)} rows that are no number: {said} (allowed: none)")
    numbers = _numbers(answers, fp32, int8)
    worst = max(np.unique(answers.region_B), key=lambda region: numbers[f"growth_{region}"])
    rules = (
        ("error", "error_growth", MAX_GROWTH),
        (f"error in {worst}", f"growth_{worst}", MAX_GROWTH_IN_A_REGION),
        ("bytes of weights", "weight_ratio", MAX_WEIGHT_RATIO),
        ("time of an answer", "latency_ratio", MAX_LATENCY_RATIO),
    )
    said = "; ".join(
        f"{what} {_said(name, numbers[name])} (allowed: {_said(name, most)})" for what, name, most in rules
    )
    missed = [what for what, name, most in rules if not numbers[name] <= most]
    if missed:
        return Verdict(False, f"INT8 breaks its limit of {' and '.join(missed)}: {said}", numbers)
    return Verdict(True, f"INT8 keeps its limits: {said}", numbers)


def _both(answers: Answers) -> dict[str, Floats]:
    return {"fp32": answers.fp32_B, "int8": answers.int8_B}


def _numbers(answers: Answers, fp32: Footprint, int8: Footprint) -> dict[str, float]:
    errors = {name: rmse(values, answers.true_B) for name, values in _both(answers).items()}
    numbers = {
        "rows": float(len(answers.true_B)),
        "rmse_fp32": errors["fp32"],
        "rmse_int8": errors["int8"],
        "error_growth": _growth(errors["int8"], errors["fp32"]),
        "max_abs_difference_cycles": float(np.abs(answers.int8_B - answers.fp32_B).max()),
        "weight_ratio": int8.weight_bytes / fp32.weight_bytes,
        "size_ratio": int8.n_bytes / fp32.n_bytes,
        "latency_ratio": int8.p50_us / fp32.p50_us,
    }
    for region in np.unique(answers.region_B):
        inside = answers.region_B == region
        parts = (rmse(values[inside], answers.true_B[inside]) for values in _both(answers).values())
        of_fp32, of_int8 = parts
        numbers[f"growth_{region}"] = _growth(of_int8, of_fp32)
    return numbers


def _growth(quantized: float, source: float) -> float:
    """How much larger an error is, as a share of the source's; any error is infinitely more than none."""
    if source == 0.0:
        return 0.0 if quantized == 0.0 else float("inf")
    return quantized / source - 1.0


def _said(name: str, value: float) -> str:
    return f"{value:+.1%}" if "growth" in name else f"{value:.2f}"


@dataclass(frozen=True)
class Entrant:
    """A graph that might go out.

    Attributes:
        name: of the graph.
        rmse_cycles: out-of-fold error of its model; of an INT8 graph that of its FP32 source, grown by as much as its
            error grew.
        footprint: what it costs.
        source: name of the FP32 graph that it was made from; empty for an FP32 graph.
        verdict: of its limits; None for an FP32 graph, to which none apply.
    """

    name: str
    rmse_cycles: float
    footprint: Footprint
    source: str = ""
    verdict: Verdict | None = None

    @property
    def is_broken(self) -> bool:
        """Whether it must not go out, whatever else there is; an INT8 graph that nobody judged must not either."""
        passed = self.verdict.passed if self.verdict else not self.source
        return not (passed and np.isfinite(self.rmse_cycles))

    @property
    def costs(self) -> tuple[float, float, float]:
        """Error, bytes and time: less is better in each."""
        return self.rmse_cycles, float(self.footprint.n_bytes), self.footprint.p50_us


@dataclass(frozen=True)
class Competition:
    """Who goes out, and what became of everyone.

    Attributes:
        chosen: name of the graph that goes out.
        front: names of those that no other beats in error, size and time at once, by error.
        reasons: of every entrant, in a sentence.
    """

    chosen: str
    front: tuple[str, ...]
    reasons: Mapping[str, str]


def compete(entrants: Sequence[Entrant]) -> Competition:
    """The graph that goes out: of the least out-of-fold error, or its INT8 form if that keeps the limits and is faster.

    Size and time decide between the two forms of one model alone: a smaller model with more error is no substitute.

    Raises:
        ContractError: no FP32 graph with an error is among them, names are not unique, or a source is not there.
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
    """Those at least as good in everything and better in something."""
    return [
        other
        for other in others
        if all(a <= b for a, b in zip(other.costs, entrant.costs, strict=True)) and other.costs != entrant.costs
    ]


def _reason(entrant: Entrant, *, best: Entrant, chosen: Entrant, whole: Sequence[Entrant]) -> str:
    if entrant.is_broken:
        unjudged = "it was held against no limits" if entrant.source else "its error is no number"
        return f"broken: {entrant.verdict.reason if entrant.verdict else unjudged}"
    if entrant is chosen and entrant is best:
        return f"goes out: least out-of-fold error, {entrant.rmse_cycles:.2f} cycles"
    if entrant is chosen:
        return f"goes out for {best.name}, the least out-of-fold error: keeps the limits and {_against(entrant, best)}"
    if entrant is best:
        return f"least out-of-fold error, {entrant.rmse_cycles:.2f} cycles, but {chosen.name} answers for it"
    if entrant.source == best.name:
        return f"loses to {best.name}: {_against(entrant, best)}"
    beaten_by = _beaten_by(entrant, whole)
    if beaten_by:
        return f"loses to {beaten_by[0].name}, which is no worse in error, size or time"
    return f"loses to {best.name}: {entrant.rmse_cycles:.2f} cycles of error against {best.rmse_cycles:.2f}"


def _against(entrant: Entrant, other: Entrant) -> str:
    size = entrant.footprint.n_bytes / other.footprint.n_bytes
    time = entrant.footprint.p50_us / other.footprint.p50_us
    return f"takes {size:.2f} of its bytes and {time:.2f} of its time"
