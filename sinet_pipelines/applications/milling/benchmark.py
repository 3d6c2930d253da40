"""The benchmark of failure prediction: stratified 5-fold cross-validation of AI4I 2020, repeated with several seeds.

Every figure is of out-of-fold predictions; calibration, threshold and choice of the model are made inside the training
folds (`training.py`). Failure modes are part of the label: they are read to count recall by mode, and for nothing else.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import polars as pl

from sinet_pipelines.applications.milling.calibration import calibration_table
from sinet_pipelines.applications.milling.families import AVERAGE, BASELINES, CANDIDATES, Family
from sinet_pipelines.applications.milling.features import Examples, examples
from sinet_pipelines.applications.milling.folds import FOLDS, require_both_classes, stratified_folds
from sinet_pipelines.applications.milling.reader import LICENCE, SOURCE, SUBSET, read_records
from sinet_pipelines.applications.milling.schemas import FEATURE_NAMES, MODE_NAMES, PRODUCT_TYPES
from sinet_pipelines.applications.milling.training import (
    FITS,
    Predictions,
    choose_by_fold,
    cross_validate,
)
from sinet_pipelines.metrics.failure import failure_errors

FIGURES = ("f1", "pr_auc", "precision", "recall", "seconds")
#: The published rules reach 0.92 and the rest is drawn at random: a larger PR-AUC is a leak until shown otherwise.
SUSPECT_PR_AUC = 0.93

Report = Callable[[str], None]


def benchmark_failure(folder: Path, *, seeds: int, report: Report = lambda _: None) -> dict[str, Any]:
    """The figures of every seed, as `sinet benchmark failure --json` prints them.

    Args:
        folder: with the AI4I 2020 table.
        seeds: how many, from 1; seed s shuffles folds and bagging.
        report: called with what was just fitted, `n_fits` times in all.

    Raises:
        SourceError: when the table is missing, is not as its contract says, or has too few products of a class.
    """
    records = read_records(folder)
    known = examples(records.rows)
    require_both_classes(known.failed_B)
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
    """How many fits a benchmark makes."""
    return seeds * FITS * (len(CANDIDATES) + len(BASELINES))


def run_seed(rows: pl.DataFrame, known: Examples, *, seed: int, report: Report = lambda _: None) -> dict[str, Any]:
    """The figures of one seed: of the predictor chosen in each fold, and of each predictor alone.

    Args:
        rows: of the contract `PROCESS_RECORDS`; the modes alone are read.
        known: the same products as examples.
        seed: shuffles folds and bagging.
        report: called with what was just fitted.
    """
    started = time.perf_counter()
    families: dict[str, Family] = {**CANDIDATES, **BASELINES}
    found = cross_validate(
        known,
        families=families,
        averaged=tuple(CANDIDATES),
        seed=seed,
        report=lambda name: report(f"{SUBSET} seed {seed}: {name}"),
    )
    fold_B = stratified_folds(known.failed_B, known.product_B, seed=seed)
    chosen, names = choose_by_fold({name: found[name] for name in (AVERAGE, *CANDIDATES)}, fold_B)
    mark = {"subset": SUBSET, "seed": seed}
    seconds = round(time.perf_counter() - started, 2)
    return {
        "result": {**mark, **_figures(chosen, known), "seconds": seconds, "chosen_in_fold": list(names)},
        "families": [
            {"family": name, **mark, **_figures(one, known), "chosen_folds": names.count(name)}
            for name, one in found.items()
        ],
        "by_type": [{**mark, **row} for row in _by_type(chosen, known)],
        "recall_by_mode": [{**mark, **row} for row in _recall_by_mode(chosen, rows)],
        "calibration": [{**mark, **row} for row in calibration_table(chosen.probability_B, known.failed_B)],
    }


def _figures(predictions: Predictions, known: Examples) -> dict[str, Any]:
    errors = failure_errors(predictions.probability_B, predictions.warned_B, known.failed_B)
    brier = float(np.mean((predictions.probability_B - known.failed_B) ** 2))
    return {**asdict(errors), "brier": brier, "thresholds": [round(value, 4) for value in predictions.thresholds]}


def _by_type(predictions: Predictions, known: Examples) -> list[dict[str, Any]]:
    """The figures of each type of product that is there."""
    found = []
    for kind in PRODUCT_TYPES:
        rows = known.type_B == kind
        if rows.any():
            failed = known.failed_B[rows]
            errors = failure_errors(predictions.probability_B[rows], predictions.warned_B[rows], failed)
            found.append({"type": kind, "products": int(rows.sum()), "failures": int(failed.sum()), **asdict(errors)})
    return found


def _recall_by_mode(predictions: Predictions, rows: pl.DataFrame) -> list[dict[str, Any]]:
    """Of the failures with a mode, and of those without any, the share that was warned of."""
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
    """Mean and sample standard deviation of each figure over the seeds; no deviation (None) of one seed."""
    figures: dict[str, Any] = {"subset": SUBSET, "seeds": len(results)}
    for name in FIGURES:
        values = [row[name] for row in results]
        figures[f"{name}_mean"] = fmean(values)
        figures[f"{name}_sd"] = stdev(values) if len(values) > 1 else None
    return figures


def leak_warnings(results: list[Mapping[str, Any]]) -> list[str]:
    """A sentence for each seed whose PR-AUC is too good to be true."""
    return [
        f"seed {row['seed']}: PR-AUC {row['pr_auc']:.3f} is above {SUSPECT_PR_AUC}; look for a leak of the label"
        for row in results
        if row["pr_auc"] > SUSPECT_PR_AUC
    ]


def protocol(known: Examples, *, seeds: int, digest: str) -> dict[str, Any]:
    """How the figures were made, in words and numbers."""
    return {
        "source": SOURCE,
        "licence": LICENCE,
        "sha256": digest,
        "folds": f"stratified {FOLDS}-fold by label, shuffled by the seed; all records of a product in one fold",
        "predictions": "pooled out-of-fold predictions of all products",
        "threshold": f"greatest F1 on {FOLDS} stratified folds inside the training folds",
        "probabilities": "Platt scaling fitted on the same inner out-of-fold scores",
        "choice": "in each fold the candidate, or the average of the candidates' probabilities, with the greatest "
        "PR-AUC on the inner folds",
        "test_rows_in_any_fit_or_choice": 0,
        "pr_auc": "average precision, nothing interpolated",
        "never_features": ["record_id", "product_id", "machine_failure", *MODE_NAMES],
        "features": list(FEATURE_NAMES),
        "seeds": list(range(seeds)),
        "products": len(known),
        "failures": int(known.failed_B.sum()),
        "candidates": {name: _settings(family) for name, family in CANDIDATES.items()},
        "baselines": {name: _settings(family) for name, family in BASELINES.items()},
    }


def _settings(family: Family) -> dict[str, Any]:
    return {"family": type(family).__name__, **asdict(family)}  # type: ignore[call-overload]
