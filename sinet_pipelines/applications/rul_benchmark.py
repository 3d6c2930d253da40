"""The published protocol of C-MAPSS: fit on the run-to-failure file, predict the last row of every test engine.

Nothing of the test file enters a fit or a choice: regimes, scaling, candidates and their settings come from training
engines alone, and which candidate answers is decided by its out-of-fold error on them, each asked at random cuts of its
life. Truth is reported capped at 125 and as it is, since papers on the six-regime subsets use either.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sinet_pipelines.errors import SourceError
from sinet_pipelines.evaluation.cuts import CUTS, cut_times
from sinet_pipelines.features.regimes import OperatingRegimes, find_regimes, setting_cells
from sinet_pipelines.features.windows import features_by_row
from sinet_pipelines.ingestion.cmapss import CmapssSubset, read_cmapss
from sinet_pipelines.metrics.rul import rmse, rul_errors
from sinet_pipelines.models.gradient_boosting import GradientBoosting
from sinet_pipelines.models.model import Examples, Family, Floats, Inputs
from sinet_pipelines.models.yardsticks import Constant, Ridge
from sinet_pipelines.schemas.features import FEATURE_NAMES, FIRST_CYCLES, MAX_RUL_CYCLES, WINDOW_CYCLES
from sinet_pipelines.schemas.telemetry import CHANNELS
from sinet_pipelines.training.fit import FOLDS, out_of_fold

#: Candidates by name: the one with the least out-of-fold error is the predictor whose figures are the result.
CANDIDATES: Mapping[str, Family] = {
    "gradient_boosting": GradientBoosting(),
    "shallow_boosting": GradientBoosting(trees=300, learning_rate=0.05, leaves=8, rows_in_leaf=200),
}
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
    """The figures of every subset and seed (DESIGN.md, `benchmark`).

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
    return Task(
        subset=source.name,
        regimes=regimes,
        examples=Examples(Inputs(known.values_BF, FEATURE_NAMES), unit_B, cycle_B, (life - cycle_B).astype(np.float64)),
        cut_B=_cuts(unit_B, cycle_B, life),
        asked=Inputs(asked.values_BF[last], FEATURE_NAMES),
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


def run_seed(task: Task, *, seed: int, report: Report = lambda _: None) -> list[dict[str, Any]]:
    """The figures of every family for one seed; `chosen` marks the candidate with the least out-of-fold error.

    The chosen one's `seconds` are those of the whole seed: choosing is part of its price.
    """
    started = time.perf_counter()
    rows: list[dict[str, Any]] = [
        {"family": name, "subset": task.subset, "seed": seed, **_figures(task, family, seed=seed, report=report)}
        for name, family in {**CANDIDATES, **YARDSTICKS}.items()
    ]
    chosen = min((row for row in rows if row["family"] in CANDIDATES), key=lambda row: row["rmse_out_of_fold"])
    chosen["seconds"] = round(time.perf_counter() - started, 2)
    return [{**row, "chosen": row is chosen} for row in rows]


def _figures(task: Task, family: Family, *, seed: int, report: Report) -> dict[str, float]:
    """One family's errors: out of fold on the training engines, then on the test engines."""
    started = time.perf_counter()
    said = f"{task.subset} seed {seed}: {family.name}"
    predicted_B = out_of_fold(task.examples, family=family, seed=seed, report=lambda: report(said))
    asked = task.cut_B
    inside = rmse(predicted_B[asked], task.examples.target_B[asked])
    model = family.fit(task.examples, seed=seed)
    report(said)
    errors = asdict(rul_errors(model.predict(task.asked), task.true_rul))
    return {**errors, "rmse_out_of_fold": inside, "seconds": round(time.perf_counter() - started, 2)}


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
        "choice": f"least RMSE (capped) over {FOLDS} engine-wise folds, {CUTS} random cuts a training engine",
        "test_rows_in_any_fit_or_choice": 0,
        "row_weight": "one over the engine's life",
        "window_cycles": WINDOW_CYCLES,
        "first_cycles": FIRST_CYCLES,
        "features": len(FEATURE_NAMES),
        "seeds": list(range(seeds)),
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
