"""The published protocol of C-MAPSS: fit on the run-to-failure file, predict the last row of every test engine.

Nothing of the test file enters a fit or a choice: regimes, scaling, candidates and their settings come from training
engines alone, and which candidate answers is decided by its out-of-fold error on them, each asked at random cuts of its
life. Truth is reported capped at 125 and as it is, since papers on the six-regime subsets use either.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sinet_pipelines.errors import SourceError
from sinet_pipelines.evaluation.choice import choose
from sinet_pipelines.evaluation.cuts import CUTS, cut_times
from sinet_pipelines.features.regimes import OperatingRegimes, find_regimes, setting_cells
from sinet_pipelines.features.scaled import scale_telemetry, scaled_sequences
from sinet_pipelines.features.splits import engine_folds
from sinet_pipelines.features.windows import features_by_row
from sinet_pipelines.ingestion.cmapss import CmapssSubset, read_cmapss
from sinet_pipelines.metrics.rul import rmse, rul_errors
from sinet_pipelines.models.blend import stacked_weights
from sinet_pipelines.models.gradient_boosting import GradientBoosting
from sinet_pipelines.models.model import Examples, Family, Floats, Inputs, within_range
from sinet_pipelines.models.perceptron import Perceptron
from sinet_pipelines.models.temporal_convolution import TemporalConvolution
from sinet_pipelines.models.yardsticks import Constant, Ridge
from sinet_pipelines.schemas.features import FEATURE_NAMES, FIRST_CYCLES, MAX_RUL_CYCLES, WINDOW_CYCLES
from sinet_pipelines.schemas.telemetry import CHANNELS
from sinet_pipelines.training.fit import FOLDS, cross_validate

#: Candidates by name. They compete with each other and with two ways to put them together: a plain average, and a
#: stack by non-negative least squares on their out-of-fold answers.
CANDIDATES: Mapping[str, Family] = {
    "gradient_boosting": GradientBoosting(),
    "perceptron": Perceptron(),
    "temporal_convolution": TemporalConvolution(),
}
AVERAGE, STACK = "average", "stack"
#: Figures beside the candidates'; never chosen.
YARDSTICKS: Mapping[str, Family] = {"constant": Constant(), "ridge": Ridge()}

FIGURES = ("rmse_capped", "rmse_uncapped", "score_capped", "score_uncapped", "rmse_out_of_fold", "seconds")
FITS = FOLDS + 1  # of each family for one subset and seed: one a fold, one on all

Report = Callable[[str], None]


@dataclass(frozen=True)
class Task:
    """One subset, prepared.

    Attributes:
        subset: its name.
        regimes: found on the training engines.
        examples: every row of every training engine.
        cut_B: (B,) which examples are asked out of fold.
        asked: the last row of every test engine.
        true_rul: (n_engines,) cycles left after it.
    """

    subset: str
    regimes: OperatingRegimes
    examples: Examples
    cut_B: NDArray[np.bool_]
    asked: Inputs
    true_rul: Floats


def benchmark_rul(folder: Path, *, subsets: list[str], seeds: int, report: Report = lambda _: None) -> dict[str, Any]:
    """The figures of every subset and seed, as `sinet benchmark rul --json` prints them.

    Args:
        folder: in C-MAPSS format.
        subsets: `FD001`, ...
        seeds: how many, from 1; seed s of a subset shuffles folds and bagging.
        report: told what was just fitted, `n_fits` times in all.

    Raises:
        SourceError: when a file is missing or holds what is no number.
    """
    tasks = [prepare(read_cmapss(folder, subset)) for subset in subsets]
    families = [row for task in tasks for seed in range(seeds) for row in run_seed(task, seed=seed, report=report)]
    results = [row for row in families if row["chosen"]]
    return {
        "protocol": protocol(tasks, seeds=seeds),
        "results": results,
        "summary": [summary(task.subset, results) for task in tasks],
        "families": families,
    }


def n_fits(*, subsets: int, seeds: int) -> int:
    """How many fits a benchmark makes."""
    return subsets * seeds * FITS * (len(CANDIDATES) + len(YARDSTICKS))


def prepare(source: CmapssSubset) -> Task:
    """What is learnt from and what is asked.

    Raises:
        SourceError: when a value is no number.
    """
    train = _engines(source.train, subset=source.name, role="history")
    test = _engines(source.test, subset=source.name, role="live")
    regimes = find_regimes(setting_cells(train))
    known = features_by_row(train, first_cycles=train, regimes=regimes)
    asked = features_by_row(test, first_cycles=test, regimes=regimes)
    last = asked.rows.select(pl.col("cycle") == pl.col("cycle").max().over("unit"))["cycle"].to_numpy()
    # the file runs every engine to failure
    life = known.rows.select(pl.col("cycle").max().over("unit"))["cycle"].to_numpy()
    cycle_B = known.rows["cycle"].to_numpy()
    unit_B = known.rows["unit"].to_numpy().astype(np.str_)
    inputs = Inputs(known.values_BF, FEATURE_NAMES, scaled_sequences(scale_telemetry(train, regimes), at=known.rows))
    last_rows = asked.rows.filter(pl.Series(last))
    return Task(
        subset=source.name,
        regimes=regimes,
        examples=Examples(inputs, unit_B, cycle_B, (life - cycle_B).astype(np.float64)),
        cut_B=_cuts(unit_B, cycle_B, life),
        asked=Inputs(
            asked.values_BF[last], FEATURE_NAMES, scaled_sequences(scale_telemetry(test, regimes), at=last_rows)
        ),
        true_rul=source.rul.sort("unit")["rul_cycles"].to_numpy().astype(np.float64),
    )


def _engines(rows: pl.DataFrame, *, subset: str, role: str) -> pl.DataFrame:
    """The rows with the engines' names in the house; what is no number is refused, since figures would not compare."""
    words = [name for name in ("cycle", *CHANNELS) if not rows.schema[name].is_numeric()]
    if words:
        raise SourceError(
            f"{subset} has values that are no number in {', '.join(words)} (allowed: numbers); take the published "
            "file, or use `sinet run`, which sets such rows aside"
        )
    number = pl.col("unit").cast(pl.String).str.zfill(4)
    letter = "L" if role == "live" else ""
    return rows.with_columns(pl.format(f"{subset}-{letter}{{}}", number).alias("unit"), pl.lit(role).alias("role"))


def _cuts(unit_B: NDArray[np.str_], cycle_B: NDArray[np.int32], life_B: NDArray[np.int32]) -> NDArray[np.bool_]:
    """(B,) whether a row is one at which its engine's life is cut."""
    asked = {
        (unit, int(cycle))
        for unit, life in sorted(set(zip(unit_B.tolist(), life_B.tolist(), strict=True)))
        for cycle in cut_times(unit, life=life)
    }
    return np.fromiter(
        ((unit, cycle) in asked for unit, cycle in zip(unit_B.tolist(), cycle_B.tolist(), strict=True)), bool
    )


@dataclass(frozen=True)
class Answers:
    """What one predictor says.

    Attributes:
        known_B: to every training example, by a model that was fitted without its engine.
        asked: to the last row of every test engine.
        seconds: it took, fits and all.
        weights: of each candidate in it; empty for a single one.
    """

    known_B: Floats
    asked: Floats
    seconds: float
    weights: Mapping[str, float] = field(default_factory=dict)


def run_seed(task: Task, *, seed: int, report: Report = lambda _: None) -> list[dict[str, Any]]:
    """The figures of every predictor for one seed; `chosen` marks the one that answers, chosen out of fold.

    The chosen one's `seconds` are those of the whole seed: choosing is part of its price.
    """
    started = time.perf_counter()
    singles = {
        name: _answers(task, family, seed=seed, report=report) for name, family in {**CANDIDATES, **YARDSTICKS}.items()
    }
    members = {name: singles[name] for name in CANDIDATES}
    found = {**members, AVERAGE: _averaged(members), STACK: _stacked(task, members, seed=seed)}
    found |= {name: singles[name] for name in YARDSTICKS}
    rows = [_row(task, name, answers, seed=seed) for name, answers in found.items()]
    answering = predictor({name: _squares(task, one) for name, one in found.items() if name not in YARDSTICKS})
    chosen = next(row for row in rows if row["family"] == answering)
    chosen["seconds"] = round(time.perf_counter() - started, 2)
    return [{**row, "chosen": row is chosen} for row in rows]


def predictor(squares_by_name: Mapping[str, Floats]) -> str:
    """The one that answers: the average, else the stack, if within one standard error of the least; else the least.

    Which of several near-equal candidates errs least out of fold is mostly chance; what they say together varies less
    (the one-standard-error rule of Breiman, Friedman, Olshen, Stone 1984, section 3.4.3, engines as observations).

    Args:
        squares_by_name: (n_engines,) mean squared error of each training engine, out of fold, by predictor.

    >>> one, two = np.array([1.0, 9.0, 4.0]), np.array([9.0, 1.0, 4.5])
    >>> predictor({"trees": one, "average": two}), predictor({"trees": one, "average": one + 3.0})
    ('average', 'trees')
    """
    best = choose({name: float(np.sqrt(squares.mean())) for name, squares in squares_by_name.items()}).name
    for name in (AVERAGE, STACK):
        if name in squares_by_name:
            behind = squares_by_name[name] - squares_by_name[best]
            if behind.mean() <= behind.std(ddof=1) / np.sqrt(len(behind)):
                return name
    return best


def _squares(task: Task, answers: Answers) -> Floats:
    """(n_engines,) mean squared error, truth capped, over the cuts of each training engine."""
    asked = task.cut_B
    squares = (answers.known_B[asked] - task.examples.target_B[asked]) ** 2
    _, number = np.unique(task.examples.unit_B[asked], return_inverse=True)
    return np.bincount(number, weights=squares) / np.bincount(number)


def _answers(task: Task, family: Family, *, seed: int, report: Report) -> Answers:
    """One family: out of fold on the training engines, then fitted on all of them and asked about the test engines."""
    started = time.perf_counter()
    said = f"{task.subset} seed {seed}: {family.name}"
    validated = cross_validate(task.examples, family=family, seed=seed, report=lambda: report(said))
    model = validated.family.fit(task.examples, seed=seed)
    report(said)
    return Answers(validated.predicted_B, model.predict(task.asked), time.perf_counter() - started)


def _averaged(members: Mapping[str, Answers]) -> Answers:
    """The plain average of the candidates."""
    return _blended(members, dict.fromkeys(members, 1.0 / len(members)))


def _stacked(task: Task, members: Mapping[str, Answers], *, seed: int) -> Answers:
    """The candidates by weights learnt on out-of-fold answers; those to a fold by weights learnt on the others."""
    fold_B = engine_folds(task.examples.unit_B, folds=FOLDS, seed=seed)
    stacked = _blended(members, _weights(task, members, np.ones(len(fold_B), dtype=bool)))
    known_B = np.empty(len(fold_B))
    for fold in range(FOLDS):
        inside = fold_B == fold
        known_B[inside] = _blended(members, _weights(task, members, ~inside)).known_B[inside]
    return replace(stacked, known_B=known_B)


def _weights(task: Task, members: Mapping[str, Answers], rows: NDArray[np.bool_]) -> dict[str, float]:
    target_B, weight_B = task.examples.target_B[rows], task.examples.weight_B[rows]
    found = stacked_weights([answers.known_B[rows] for answers in members.values()], target_B, weight_B)
    return dict(zip(members, found, strict=True))


def _blended(members: Mapping[str, Answers], weights: Mapping[str, float]) -> Answers:
    counted = np.asarray([weights[name] for name in members])
    return Answers(
        known_B=within_range(counted @ np.stack([one.known_B for one in members.values()])),
        asked=within_range(counted @ np.stack([one.asked for one in members.values()])),
        seconds=sum(one.seconds for one in members.values()),
        weights=weights,
    )


def _row(task: Task, name: str, answers: Answers, *, seed: int) -> dict[str, Any]:
    inside = rmse(answers.known_B[task.cut_B], task.examples.target_B[task.cut_B])
    row = {"family": name, "subset": task.subset, "seed": seed, **asdict(rul_errors(answers.asked, task.true_rul))}
    row |= {"rmse_out_of_fold": inside, "seconds": round(answers.seconds, 2)}
    return {**row, "weights": {member: round(weight, 4) for member, weight in answers.weights.items()}}


def summary(subset: str, results: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and sample standard deviation of each figure over a subset's seeds; no deviation (None) of one seed."""
    rows = [row for row in results if row["subset"] == subset]
    figures: dict[str, Any] = {"subset": subset, "seeds": len(rows)}
    for name in FIGURES:
        values = [row[name] for row in rows]
        figures[f"{name}_mean"] = fmean(values)
        figures[f"{name}_sd"] = stdev(values) if len(values) > 1 else None
    return figures


def protocol(tasks: list[Task], *, seeds: int) -> dict[str, Any]:
    """How the figures came about, in words and numbers."""
    return {
        "fit": "every row of every engine of the train file",
        "asked": "last row of every engine of the test file",
        "target_cap_cycles": MAX_RUL_CYCLES,
        "score": "PHM08 (Saxena et al. 2008), sum over engines",
        "choice": "the average, else the stack, if within one standard error of the least squared error (truth capped) "
        f"over {FOLDS} engine-wise folds, {CUTS} random cuts a training engine; else the least",
        "test_rows_in_any_fit_or_choice": 0,
        "row_weight": "one over the engine's life",
        "window_cycles": WINDOW_CYCLES,
        "first_cycles": FIRST_CYCLES,
        "features": len(FEATURE_NAMES),
        "seeds": list(range(seeds)),
        "epochs": "of a network: the number with the least out-of-fold error, no more than its candidate's",
        "average": "plain average of the candidates",
        "stack": "non-negative least squares on out-of-fold answers; judged out of fold by the other folds' weights",
        "candidates": {name: {"family": family.name, **asdict(family)} for name, family in CANDIDATES.items()},  # type: ignore[call-overload]
        "subsets": [
            {
                "subset": task.subset,
                "regimes": len(task.regimes),
                "train_engines": len(np.unique(task.examples.unit_B)),
                "train_rows": len(task.examples),
                "test_engines": len(task.true_rul),
            }
            for task in tasks
        ],
    }
