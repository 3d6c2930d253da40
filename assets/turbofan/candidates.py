"""Validates, fits, calibrates, logs and stores candidates for the assets that make them.

This is separate from `training.py`, since experiments make their challengers in the same way.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import numpy as np

from assets.framework.candidates import Fitted, Uncertainty, log_and_keep, validate_and_fit
from assets.framework.pictures import keep_pictures
from assets.framework.regional import here, regions_of
from assets.framework.reports import made
from assets.turbofan.features import newest_regimes
from resources.code_versions import code_of
from resources.reads import this_step
from sinet_pipelines.applications.turbofan.schemas.features import TRAINING_SEQUENCES, TRAINING_SET
from sinet_pipelines.applications.turbofan.task import RUL
from sinet_pipelines.inventory.names import EAST

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    from sinet_pipelines.applications.turbofan.features.regimes import OperatingRegimes
    from sinet_pipelines.applications.turbofan.features.scaled import ScaledSequences
    from sinet_pipelines.models.interval import Interval
    from sinet_pipelines.models.model import Examples, Family
    from sinet_pipelines.storage.blobs import BlobStore
    from sinet_pipelines.training.array_cache import ArrayCache
    from sinet_pipelines.training.candidate import Candidate

SEED = 0
RUN_FOLDS = 3  # five folds improve the error by 0.1 cycles and take two thirds longer
EXPERIMENT = "turbofan"
SHOWN_EVERY = 10  # cycles; neighbouring points would overlap


def fit_candidate(context: dg.AssetExecutionContext, family: "Family", examples: "Examples") -> Fitted:
    """Cross-validates the family, then fits it on all training engines; the log records each fit."""
    return validate_and_fit(context, family, examples, folds=RUN_FOLDS, seed=SEED)


def kept_candidate(
    context: dg.AssetExecutionContext,
    fitted: Fitted,
    *,
    rows: "pl.DataFrame",
    params: Mapping[str, object],
    entries: Mapping[str, object] | None = None,
) -> dg.MaterializeResult:
    """Calibrates the candidate's intervals, logs it to MLflow, stores it, and reports the result on its page.

    Args:
        context: of the step.
        fitted: the candidate.
        rows: the training set.
        params: parameters of the fit, for MLflow.
        entries: further metadata of its page.
    """
    from sinet_pipelines.registry.runs import RunRecord
    from sinet_pipelines.storage.tables import content_hash

    place, validated = here(context, EAST), fitted.validated
    name, regimes, engines = validated.family.name, newest_regimes(place), rows["unit"].n_unique()
    measured = _measure(fitted, engines=engines)
    plots = _plots(fitted, measured.interval, measured.covered_B)
    record = RunRecord(
        experiment=EXPERIMENT,
        name=name,
        params=params,
        metrics={
            "oof_rmse_capped": measured.rmse,
            "oof_score_capped": measured.score_capped,
            "oof_coverage": measured.coverage,
            "oof_rmse_by_epoch": validated.score_by_epoch,
        },
        artifacts={f"plots/{picture}.png": png for picture, png in plots.items()},
        data_versions={"training_set": content_hash(rows, TRAINING_SET), "operating_regimes": regimes.version},
        code_version=code_of(context),
    )
    kept = log_and_keep(
        context,
        place.blobs,
        fitted,
        record,
        seed=SEED,
        score=measured.rmse,
        training_set="training_set",
        uncertainty=Uncertainty(measured.interval, measured.coverage),
        parts={"regimes": place.blobs.put(regimes.to_json().encode())},
    )
    interval = measured.interval
    return made(
        context,
        kept.version,
        entries={
            "rmse_capped_cycles": round(measured.rmse, 3),
            **(entries or {}),
            "coverage_of_90_pct_intervals": round(100 * measured.coverage, 1),
            "half_widths_cycles": ", ".join(
                f"{half:.0f} at {knot:.0f}" for knot, half in zip(interval.knots, interval.half_widths, strict=True)
            ),
            **keep_pictures(place.blobs, name, plots),
            "folds": RUN_FOLDS,
            "rows": rows.height,
            "engines": engines,
            "mlflow_run": dg.MetadataValue.url(kept.run_url),
        },
    )


@dataclass(frozen=True)
class _Measured:
    """A candidate's figures out of fold: errors in cycles, the interval, and where it covers the truth.

    Attributes:
        rmse: of the truth capped at 125 cycles.
        score_capped: PHM08 score.
        interval: calibrated on all out-of-fold predictions.
        covered_B: whether an interval calibrated without the row's fold contains the truth.
        coverage: share of such rows, each engine counted once.
    """

    rmse: float
    score_capped: float
    interval: "Interval"
    covered_B: "NDArray[np.bool_]"
    coverage: float


def _measure(fitted: Fitted, *, engines: int) -> _Measured:
    from sinet_pipelines.training.conformal import conformal_interval, covered_out_of_fold, weighted_coverage
    from sinet_pipelines.training.fit import score_of

    examples, predicted_B = fitted.examples, fitted.validated.predicted_B
    covered_B = covered_out_of_fold(predicted_B, examples, folds=RUN_FOLDS, seed=SEED)
    return _Measured(
        rmse=score_of(predicted_B, examples),
        score_capped=examples.task.errors(predicted_B, examples.truth_B)["score_capped"],
        interval=conformal_interval(
            predicted_B, examples.truth_B, examples.weight_B, task=examples.task, groups=engines
        ),
        covered_B=covered_B,
        coverage=weighted_coverage(covered_B, examples),
    )


def _plots(fitted: Fitted, interval: "Interval", covered_B: "NDArray[np.bool_]") -> dict[str, bytes]:
    """Pictures of out-of-fold predictions by name."""
    from sinet_pipelines.pictures.charts import (
        calibration,
        coverage_by_predicted,
        learning_curves,
        predicted_against_true,
    )
    from sinet_pipelines.training.conformal import coverage_by_level

    examples, predicted_B = fitted.examples, fitted.validated.predicted_B
    shares = coverage_by_level(predicted_B, examples, folds=RUN_FOLDS, seed=SEED)
    shown_B = examples.order_B % SHOWN_EVERY == 0
    lower_B, upper_B = interval.around(predicted_B[shown_B])
    plots = {
        "calibration": calibration(
            list(shares),
            list(shares.values()),
            n=len(np.unique(examples.group_B)),
            title="Out of fold: nominal and measured coverage",
        ),
        "predicted_against_true": predicted_against_true(
            examples.target_B[shown_B],
            predicted_B[shown_B],
            lower_B=lower_B,
            upper_B=upper_B,
            title="Out of fold: predicted against true RUL",
        ),
        "coverage_by_predicted": coverage_by_predicted(
            predicted_B[shown_B],
            covered_B[shown_B],
            level=interval.level,
            title="Out of fold: coverage by predicted RUL",
        ),
    }
    curve = fitted.validated.score_by_epoch
    if len(curve) > 1:
        plots["learning_curves"] = learning_curves([], curve, chosen_epoch=fitted.validated.epochs)
    return plots


def regimes_of(blobs: "BlobStore", candidate: "Candidate") -> "OperatingRegimes":
    """The regimes by which the candidate's features are standardised."""
    from sinet_pipelines.applications.turbofan.features.regimes import OperatingRegimes

    return OperatingRegimes.from_json(blobs.get(candidate.parts["regimes"]).decode())


def training_rows(context: dg.AssetExecutionContext) -> "pl.DataFrame":
    """The training set in the order of training."""
    from sinet_pipelines.training.fit import require_not_held_out

    return require_not_held_out(here(context, EAST).tables.read(TRAINING_SET), RUL).sort("unit", "cycle")


def training_sequences_of(context: dg.AssetExecutionContext, rows: "pl.DataFrame") -> "ScaledSequences":
    """The scaled sensors for the rows of the training set, from all regions, or from the cache of the step's region.

    A step that may not read the sequences today was rejected before this. Where the region's root is a store, nothing
    is cached.
    """
    from sinet_pipelines.applications.turbofan.features.cached import read_sequences

    stores = {region.name: here(context, region).tables for region in regions_of(context)}
    cache = _cache_of(context)
    found = read_sequences(stores, at=rows.select("unit", "cycle"), cache=cache)
    if cache is not None:
        context.log.info(cache.summary)
    return found


def _cache_of(context: dg.AssetExecutionContext) -> "ArrayCache | None":
    """The cache of sequences in the step's region, beside its tables of class `sequence`; None for a store."""
    from sinet_pipelines.storage.layout import is_local
    from sinet_pipelines.training.array_cache import ArrayCache

    step = this_step()
    if step is None:
        return None
    place = here(context, step.region)
    folder = Path(place.root, TRAINING_SEQUENCES.data_class, place.tables.application, ".training", "cache")
    return ArrayCache(folder) if is_local(place.root) else None
