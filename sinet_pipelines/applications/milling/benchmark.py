"""The benchmark of failure prediction: stratified 5-fold cross-validation of AI4I 2020, repeated with several seeds.

Every figure is computed from out-of-fold predictions; calibration, threshold and choice of the model use the training
folds only (`training.py`). Failure modes are part of the label: they are read only to count recall by mode.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import polars as pl

from sinet_pipelines.applications.milling.families import AVERAGE, BASELINES, BOOSTED_TREES, FOREST
from sinet_pipelines.applications.milling.features import examples_of_records
from sinet_pipelines.applications.milling.reader import LICENCE, SOURCE, SUBSET, read_records
from sinet_pipelines.applications.milling.schemas import FEATURE_NAMES, MODE_NAMES, PRODUCT_TYPES
from sinet_pipelines.applications.milling.training import (
    FITS,
    Predictions,
    choose_by_fold,
    cross_validate,
    require_both_classes,
)
from sinet_pipelines.metrics.failure import failure_errors
from sinet_pipelines.models.model import Examples, Family
from sinet_pipelines.training.calibration import calibration_table
from sinet_pipelines.training.fit import FOLDS, folds_of

#: Each is fitted; the average needs no fit of its own.
MEMBERS: tuple[Family, ...] = (BOOSTED_TREES, FOREST)

FIGURES = ("f1", "pr_auc", "precision", "recall", "seconds")
#: The published rules reach 0.92 and the other failures are random: a larger PR-AUC is treated as a leak.
SUSPECT_PR_AUC = 0.93

Report = Callable[[str], None]


def benchmark_failure(folder: Path, *, seeds: int, report: Report = lambda _: None) -> dict[str, Any]:
    """The figures of every seed, in the form that `sinet benchmark failure --json` prints.

    Args:
        folder: folder with the AI4I 2020 table.
        seeds: number of seeds, at least 1; seed s shuffles folds and bagging.
        report: called after each fit with its name, `n_fits` times in total.

    Raises:
        SourceError: the table is missing, violates its contract, or has too few products of a class.
    """
    records = read_records(folder)
    known = examples_of_records(records.rows)
    require_both_classes(known.truth_B == 1.0)
    runs = [run_seed(records.rows, known, seed=seed, report=report) for seed in range(seeds)]
    results = [run["result"] for run in runs]
    return {
        "protocol": protocol(known, seeds=seeds, digest=records.digest),
        "results": results,
        "summary": [summary(results)],
        "families": [row for run in runs for row in run["families"]],
        "by_type": [row for run in runs for row in run["by_type"]],
        "recall_by_mode": [row for run in runs for row in run["recall_by_mode"]],
        "calibration": [row for run in runs for row in run["calibration"]],
        "warnings": leak_warnings(results),
    }


def n_fits(*, seeds: int) -> int:
    """The number of fits of a benchmark."""
    return seeds * FITS * (len(MEMBERS) + len(BASELINES))


def run_seed(rows: pl.DataFrame, known: Examples, *, seed: int, report: Report = lambda _: None) -> dict[str, Any]:
    """The figures of one seed: of the predictor chosen in each fold, and of each predictor alone.

    Args:
        rows: of the contract `PROCESS_RECORDS`; types, modes and label are read only to group the figures.
        known: the same products as examples.
        seed: shuffles folds and bagging.
        report: called after each fit with its name.
    """
    started = time.perf_counter()
    found = cross_validate(
        known,
        families={family.name: family for family in (*MEMBERS, *BASELINES)},
        averaged=tuple(family.name for family in MEMBERS),
        seed=seed,
        report=lambda name: report(f"{SUBSET} seed {seed}: {name}"),
    )
    fold_B = folds_of(known, folds=FOLDS, seed=seed)
    candidates = (AVERAGE.name, *(family.name for family in MEMBERS))
    chosen, names = choose_by_fold({name: found[name] for name in candidates}, fold_B)
    mark = {"subset": SUBSET, "seed": seed}
    seconds = round(time.perf_counter() - started, 2)
    return {
        "result": {**mark, **_figures(chosen, known), "seconds": seconds, "chosen_in_fold": list(names)},
        "families": [
            {"family": name, **mark, **_figures(one, known), "chosen_folds": names.count(name)}
            for name, one in found.items()
        ],
        "by_type": [{**mark, **row} for row in _by_type(chosen, rows)],
        "recall_by_mode": [{**mark, **row} for row in _recall_by_mode(chosen, rows)],
        "calibration": [{**mark, **row} for row in _calibration(chosen, known)],
    }


def _figures(predictions: Predictions, known: Examples) -> dict[str, Any]:
    errors = failure_errors(predictions.probability_B, predictions.warned_B, known.truth_B == 1.0)
    brier = float(np.mean((predictions.probability_B - known.truth_B) ** 2))
    return {**asdict(errors), "brier": brier, "thresholds": [round(value, 4) for value in predictions.thresholds]}


def _calibration(predictions: Predictions, known: Examples) -> list[dict[str, Any]]:
    """Mean probability and share of failures of the products in each bin of probability."""
    rows = calibration_table(predictions.probability_B, known.truth_B == 1.0)
    return [{("products" if name == "rows" else name): value for name, value in row.items()} for row in rows]


def _by_type(predictions: Predictions, rows: pl.DataFrame) -> list[dict[str, Any]]:
    """The figures of each type of product in the rows."""
    found = []
    for kind in PRODUCT_TYPES:
        own_B = rows["product_type"].to_numpy() == kind
        if own_B.any():
            failed_B = rows["machine_failure"].to_numpy()[own_B] == 1
            errors = failure_errors(predictions.probability_B[own_B], predictions.warned_B[own_B], failed_B)
            counts = {"products": int(own_B.sum()), "failures": int(failed_B.sum())}
            found.append({"type": kind, **counts, **asdict(errors)})
    return found


def _recall_by_mode(predictions: Predictions, rows: pl.DataFrame) -> list[dict[str, Any]]:
    """The share of failures with a warning, for each mode and for failures without a mode."""
    failed = rows["machine_failure"].to_numpy() == 1
    modes = {name: rows[name].to_numpy() == 1 for name in MODE_NAMES}
    modes["no_mode"] = ~np.logical_or.reduce(list(modes.values()))
    found = []
    for name, has_mode in modes.items():
        wanted = has_mode & failed
        if wanted.any():
            recall = float(predictions.warned_B[wanted].mean())
            found.append({"mode": name, "failures": int(wanted.sum()), "recall": recall})
    return found


def summary(results: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean and sample standard deviation of each figure over the seeds; with one seed the deviation is None."""
    figures: dict[str, Any] = {"subset": SUBSET, "seeds": len(results)}
    for name in FIGURES:
        values = [row[name] for row in results]
        figures[f"{name}_mean"] = fmean(values)
        figures[f"{name}_sd"] = stdev(values) if len(values) > 1 else None
    return figures


def leak_warnings(results: list[Mapping[str, Any]]) -> list[str]:
    """One sentence for each seed whose PR-AUC is above the plausible limit."""
    return [
        f"seed {row['seed']}: PR-AUC {row['pr_auc']:.3f} is above {SUSPECT_PR_AUC}; look for a leak of the label"
        for row in results
        if row["pr_auc"] > SUSPECT_PR_AUC
    ]


def protocol(known: Examples, *, seeds: int, digest: str) -> dict[str, Any]:
    """The method of the benchmark, in words and numbers."""
    return {
        "source": SOURCE,
        "licence": LICENCE,
        "sha256": digest,
        "folds": f"stratified {FOLDS}-fold by label, shuffled by the seed; all records of a product in one fold",
        "predictions": "pooled out-of-fold predictions of all products",
        "threshold": f"greatest F1 on {FOLDS} stratified folds inside the training folds",
        "probabilities": "Platt scaling fitted on the same inner out-of-fold scores",
        "choice": "in each fold the candidate, or the average of the candidates' scores, with the greatest "
        "PR-AUC on the inner folds",
        "test_rows_in_any_fit_or_choice": 0,
        "pr_auc": "average precision, nothing interpolated",
        "never_features": ["record_id", "product_id", "machine_failure", *MODE_NAMES],
        "features": list(FEATURE_NAMES),
        "seeds": list(range(seeds)),
        "products": len(known),
        "failures": int(known.truth_B.sum()),
        "candidates": {family.name: _settings(family) for family in MEMBERS},
        "baselines": {family.name: _settings(family) for family in BASELINES},
    }


def _settings(family: Family) -> dict[str, Any]:
    return {"family": type(family).__name__, **asdict(family)}  # type: ignore[call-overload]
