"""The published protocol of C-MAPSS: fit on the run-to-failure file, predict the last row of every test engine.

The test file is used for no fit and no choice: regimes, scaling, candidates and their settings come only from training
engines, and the candidate is chosen by its out-of-fold error on them, predicted at random cuts of each engine's life.
Errors are reported against truth capped at 125 and uncapped, since papers on the six-regime subsets use either.
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

from sinet_pipelines.applications.turbofan.cmapss import CmapssSubset, read_cmapss
from sinet_pipelines.applications.turbofan.cmapss import find_subsets as find_subsets
from sinet_pipelines.applications.turbofan.cuts import CUTS, cut_times
from sinet_pipelines.applications.turbofan.families import BASELINES as RUL_BASELINES
from sinet_pipelines.applications.turbofan.families import NETWORK
from sinet_pipelines.applications.turbofan.features.regimes import OperatingRegimes, find_regimes, setting_cells
from sinet_pipelines.applications.turbofan.features.scaled import scale_telemetry, scaled_sequences
from sinet_pipelines.applications.turbofan.features.windows import features_by_row
from sinet_pipelines.applications.turbofan.schemas.features import (
    FEATURE_NAMES,
    FIRST_CYCLES,
    MAX_RUL_CYCLES,
    WINDOW_CYCLES,
)
from sinet_pipelines.applications.turbofan.schemas.telemetry import CHANNELS
from sinet_pipelines.applications.turbofan.task import RUL, errors
from sinet_pipelines.errors import SourceError
from sinet_pipelines.evaluation.choice import choose
from sinet_pipelines.features.splits import group_folds
from sinet_pipelines.metrics.regression import rmse
from sinet_pipelines.models.blend import stacked_weights
from sinet_pipelines.models.gradient_boosting import GradientBoosting
from sinet_pipelines.models.model import Examples, Family, Floats, Inputs
from sinet_pipelines.models.perceptron import Perceptron
from sinet_pipelines.training.fit import FOLDS, cross_validate

#: Candidates by name. They compete with each other and with two combinations of them: a plain average, and a
#: stack by non-negative least squares on their out-of-fold predictions.
CANDIDATES: Mapping[str, Family] = {
    "gradient_boosting": GradientBoosting(),
    "perceptron": Perceptron(),
    "temporal_convolution": NETWORK,
}
AVERAGE, STACK = "average", "stack"
#: Baselines for comparison; never chosen.
BASELINES: Mapping[str, Family] = {family.name: family for family in RUL_BASELINES}

FIGURES = ("rmse_capped", "rmse_uncapped", "score_capped", "score_uncapped", "rmse_out_of_fold", "seconds")
FITS = FOLDS + 1  # of each family for one subset and seed: one for each fold, one on all engines

Report = Callable[[str], None]


@dataclass(frozen=True)
class Subset:
    """One subset, prepared.

    Attributes:
        subset: its name.
        regimes: found on the training engines.
        examples: every row of every training engine.
        cut_B: (B,) whether an example is predicted out of fold.
        tested: the last row of every test engine.
        true_rul: (n_engines,) cycles left after that row.
    """

    subset: str
    regimes: OperatingRegimes
    examples: Examples
    cut_B: NDArray[np.bool_]
    tested: Inputs
    true_rul: Floats


def benchmark_rul(folder: Path, *, subsets: list[str], seeds: int, report: Report = lambda _: None) -> dict[str, Any]:
    """The figures of every subset and seed, in the form that `sinet benchmark rul --json` prints.

    Args:
        folder: folder in C-MAPSS format.
        subsets: `FD001`, ...
        seeds: number of seeds, at least 1; seed s of a subset shuffles folds and bagging.
        report: called after each fit with its name, `n_fits` times in total.

    Raises:
        SourceError: a file is missing or has a value that is not a number.
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
    """The number of fits of a benchmark."""
    return subsets * seeds * FITS * (len(CANDIDATES) + len(BASELINES))


def prepare(source: CmapssSubset) -> Subset:
    """The training examples and the test rows of a subset.

    Raises:
        SourceError: a value is not a number.
    """
    train = _engines(source.train, subset=source.name, role="history")
    test = _engines(source.test, subset=source.name, role="live")
    regimes = find_regimes(setting_cells(train))
    known = features_by_row(train, first_cycles=train, regimes=regimes)
    tested = features_by_row(test, first_cycles=test, regimes=regimes)
    last = tested.rows.select(pl.col("cycle") == pl.col("cycle").max().over("unit"))["cycle"].to_numpy()
    # every engine in the file runs to failure
    life = known.rows.select(pl.col("cycle").max().over("unit"))["cycle"].to_numpy()
    cycle_B = known.rows["cycle"].to_numpy()
    unit_B = known.rows["unit"].to_numpy().astype(np.str_)
    inputs = Inputs(known.values_BF, FEATURE_NAMES, scaled_sequences(scale_telemetry(train, regimes), at=known.rows))
    last_rows = tested.rows.filter(pl.Series(last))
    return Subset(
        subset=source.name,
        regimes=regimes,
        examples=Examples(inputs, unit_B, cycle_B, (life - cycle_B).astype(np.float64), RUL),
        cut_B=_cuts(unit_B, cycle_B, life),
        tested=Inputs(
            tested.values_BF[last], FEATURE_NAMES, scaled_sequences(scale_telemetry(test, regimes), at=last_rows)
        ),
        true_rul=source.rul.sort("unit")["rul_cycles"].to_numpy().astype(np.float64),
    )


def _engines(rows: pl.DataFrame, *, subset: str, role: str) -> pl.DataFrame:
    """The rows with the platform's engine names; text in a number column is an error, as figures need every row."""
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
    """(B,) whether the engine's life is cut at this row."""
    cuts = {
        (unit, int(cycle))
        for unit, life in sorted(set(zip(unit_B.tolist(), life_B.tolist(), strict=True)))
        for cycle in cut_times(unit, life=life)
    }
    return np.fromiter(
        ((unit, cycle) in cuts for unit, cycle in zip(unit_B.tolist(), cycle_B.tolist(), strict=True)), bool
    )


@dataclass(frozen=True)
class Answers:
    """The predictions of one predictor.

    Attributes:
        known_B: for every training example, by a model that was fitted without its engine.
        tested_B: for the last row of every test engine.
        seconds: duration including all fits.
        weights: weight of each candidate in a combination; empty for a single candidate.
    """

    known_B: Floats
    tested_B: Floats
    seconds: float
    weights: Mapping[str, float] = field(default_factory=dict)


def run_seed(task: Subset, *, seed: int, report: Report = lambda _: None) -> list[dict[str, Any]]:
    """The figures of every predictor for one seed; `chosen` marks the predictor that was chosen out of fold.

    The `seconds` of the chosen predictor are those of the whole seed, since choosing is part of its cost.
    """
    started = time.perf_counter()
    singles = {
        name: _answers(task, family, seed=seed, report=report) for name, family in {**CANDIDATES, **BASELINES}.items()
    }
    members = {name: singles[name] for name in CANDIDATES}
    found = {**members, AVERAGE: _averaged(members), STACK: _stacked(task, members, seed=seed)}
    found |= {name: singles[name] for name in BASELINES}
    rows = [_row(task, name, answers, seed=seed) for name, answers in found.items()]
    answering = predictor({name: _squares(task, one) for name, one in found.items() if name not in BASELINES})
    chosen = next(row for row in rows if row["family"] == answering)
    chosen["seconds"] = round(time.perf_counter() - started, 2)
    return [{**row, "chosen": row is chosen} for row in rows]


def predictor(squares_by_name: Mapping[str, Floats]) -> str:
    """The chosen predictor: the average, else the stack, if within one standard error of the least; else the least.

    Which of several near-equal candidates has the least out-of-fold error is mostly chance; a combination varies less
    (the one-standard-error rule of Breiman, Friedman, Olshen, Stone 1984, section 3.4.3, engines as observations).

    Args:
        squares_by_name: (n_engines,) mean squared error of each training engine, out of fold, by predictor.

    >>> one, two = np.array([1.0, 9.0, 4.0]), np.array([9.0, 1.0, 4.5])
    >>> predictor({"trees": one, "average": two}), predictor({"trees": one, "average": one + 3.0})
    ('average', 'trees')
    """
    best = choose({name: float(np.sqrt(squares.mean())) for name, squares in squares_by_name.items()}, RUL.metric).name
    for name in (AVERAGE, STACK):
        if name in squares_by_name:
            behind = squares_by_name[name] - squares_by_name[best]
            if behind.mean() <= behind.std(ddof=1) / np.sqrt(len(behind)):
                return name
    return best


def _squares(task: Subset, answers: Answers) -> Floats:
    """(n_engines,) mean squared error over the cuts of each training engine, with capped truth."""
    cut_B = task.cut_B
    squares = (answers.known_B[cut_B] - task.examples.target_B[cut_B]) ** 2
    _, number = np.unique(task.examples.group_B[cut_B], return_inverse=True)
    return np.bincount(number, weights=squares) / np.bincount(number)


def _answers(task: Subset, family: Family, *, seed: int, report: Report) -> Answers:
    """Predictions of one family: out of fold for the training engines; fitted on all of them for the test engines."""
    started = time.perf_counter()
    label = f"{task.subset} seed {seed}: {family.name}"
    validated = cross_validate(task.examples, family=family, seed=seed, report=lambda: report(label))
    model = validated.family.fit(task.examples, seed=seed)
    report(label)
    return Answers(validated.predicted_B, model.predict(task.tested), time.perf_counter() - started)


def _averaged(members: Mapping[str, Answers]) -> Answers:
    """The plain average of the candidates."""
    return _blended(members, dict.fromkeys(members, 1.0 / len(members)))


def _stacked(task: Subset, members: Mapping[str, Answers], *, seed: int) -> Answers:
    """The weighted candidates, with weights fitted on out-of-fold predictions; for a fold, fitted on the others."""
    fold_B = group_folds(task.examples.group_B, folds=FOLDS, seed=seed)
    stacked = _blended(members, _weights(task, members, np.ones(len(fold_B), dtype=bool)))
    known_B = np.empty(len(fold_B))
    for fold in range(FOLDS):
        inside = fold_B == fold
        known_B[inside] = _blended(members, _weights(task, members, ~inside)).known_B[inside]
    return replace(stacked, known_B=known_B)


def _weights(task: Subset, members: Mapping[str, Answers], rows: NDArray[np.bool_]) -> dict[str, float]:
    target_B, weight_B = task.examples.target_B[rows], task.examples.weight_B[rows]
    found = stacked_weights([answers.known_B[rows] for answers in members.values()], target_B, weight_B)
    return dict(zip(members, found, strict=True))


def _blended(members: Mapping[str, Answers], weights: Mapping[str, float]) -> Answers:
    counted = np.asarray([weights[name] for name in members])
    return Answers(
        known_B=RUL.within_range(counted @ np.stack([one.known_B for one in members.values()])),
        tested_B=RUL.within_range(counted @ np.stack([one.tested_B for one in members.values()])),
        seconds=sum(one.seconds for one in members.values()),
        weights=weights,
    )


def _row(task: Subset, name: str, answers: Answers, *, seed: int) -> dict[str, Any]:
    inside = rmse(answers.known_B[task.cut_B], task.examples.target_B[task.cut_B])
    row = {"family": name, "subset": task.subset, "seed": seed, **errors(answers.tested_B, task.true_rul)}
    row |= {"rmse_out_of_fold": inside, "seconds": round(answers.seconds, 2)}
    return {**row, "weights": {member: round(weight, 4) for member, weight in answers.weights.items()}}


def summary(subset: str, results: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and sample standard deviation of each figure over a subset's seeds; with one seed the deviation is None."""
    rows = [row for row in results if row["subset"] == subset]
    figures: dict[str, Any] = {"subset": subset, "seeds": len(rows)}
    for name in FIGURES:
        values = [row[name] for row in rows]
        figures[f"{name}_mean"] = fmean(values)
        figures[f"{name}_sd"] = stdev(values) if len(values) > 1 else None
    return figures


def protocol(tasks: list[Subset], *, seeds: int) -> dict[str, Any]:
    """The method of the benchmark, in words and numbers."""
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
                "train_engines": len(np.unique(task.examples.group_B)),
                "train_rows": len(task.examples),
                "test_engines": len(task.true_rul),
            }
            for task in tasks
        ],
    }
