"""Candidates as assets make them: validated on the walk's folds, fitted, calibrated, told to MLflow and kept.

Here and not in `training.py` since experiments make their challengers in the same way.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dagster as dg
import numpy as np

from assets.features import newest_regimes
from assets.pictures import keep_pictures
from assets.regional import here
from assets.reports import made
from resources.code_versions import code_of
from sinet_pipelines.regions import EAST, REGIONS
from sinet_pipelines.schemas.features import TRAINING_SEQUENCES, TRAINING_SET

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    from sinet_pipelines.features.scaled import ScaledSequences
    from sinet_pipelines.models.interval import Interval
    from sinet_pipelines.models.model import Examples, Family, Model
    from sinet_pipelines.training.fit import CrossValidation

SEED = 0
WALK_FOLDS = 3  # five are a tenth of a cycle better and take two thirds longer; `sinet benchmark rul` has five
EXPERIMENT = "predictive_maintenance"
SHOWN_EVERY = 10  # cycles; neighbouring ones would only hide each other


@dataclass(frozen=True)
class Fitted:
    """A family fitted on the training set, and what it says of engines it was fitted without."""

    examples: "Examples"
    validated: "CrossValidation"
    model: "Model"


def fit_candidate(context: dg.AssetExecutionContext, family: "Family", examples: "Examples") -> Fitted:
    """The family validated on the walk's folds, then fitted on all training engines; each fit is told in the log."""
    from sinet_pipelines.training.fit import cross_validate

    fits = itertools.count(1)

    def report() -> None:
        context.log.info(f"{family.name}: fold {next(fits)} of {WALK_FOLDS} fitted")

    validated = cross_validate(examples, family=family, seed=SEED, folds=WALK_FOLDS, report=report)
    return Fitted(examples, validated, validated.family.fit(examples, seed=SEED))


def kept_candidate(
    context: dg.AssetExecutionContext,
    fitted: Fitted,
    *,
    rows: "pl.DataFrame",
    params: Mapping[str, object],
    entries: Mapping[str, object] | None = None,
) -> dg.MaterializeResult:
    """Calibrates the candidate's intervals, tells MLflow of it, keeps it, and says so on its page.

    Args:
        context: of the step.
        fitted: the candidate.
        rows: the training set.
        params: what it was fitted with, for MLflow.
        entries: what else its page says.
    """
    from sinet_pipelines.metrics.rul import rul_errors
    from sinet_pipelines.registry.runs import RunRecord, content_key
    from sinet_pipelines.storage.tables import content_hash
    from sinet_pipelines.training.candidate import Candidate, keep_answers, keep_candidate
    from sinet_pipelines.training.conformal import conformal_interval, covered_out_of_fold, weighted_coverage
    from sinet_pipelines.training.fit import weighted_rmse

    place, examples, validated = here(context, EAST), fitted.examples, fitted.validated
    regimes, data_version = newest_regimes(place), content_hash(rows, TRAINING_SET)
    engines = rows["unit"].n_unique()
    interval = conformal_interval(validated.predicted_B, examples.rul_B, examples.weight_B, engines=engines)
    covered_B = covered_out_of_fold(validated.predicted_B, examples, folds=WALK_FOLDS, seed=SEED)
    coverage = weighted_coverage(covered_B, examples)
    rmse, errors = weighted_rmse(validated.predicted_B, examples), rul_errors(validated.predicted_B, examples.rul_B)
    name = validated.family.name
    plots = _plots(fitted, interval, covered_B)
    files = {file: place.blobs.put(content) for file, content in fitted.model.files().items()}
    record = RunRecord(
        experiment=EXPERIMENT,
        name=name,
        params=params,
        metrics={
            "oof_rmse_capped": rmse,
            "oof_score_capped": errors.score_capped,
            "oof_coverage": coverage,
            "oof_rmse_by_epoch": validated.rmse_by_epoch,
        },
        artifacts={f"plots/{picture}.png": png for picture, png in plots.items()},
        data_versions={"training_set": data_version, "operating_regimes": regimes.version},
        code_version=code_of(context),
    )
    run = context.resources.tracking.log_run(record, key=content_key(name, SEED, files, data_version, regimes.version))
    candidate = Candidate(
        family=name,
        files=files,
        regimes=place.blobs.put(regimes.to_json().encode()),
        run_id=run.run_id,
        experiment_id=run.experiment_id,
        training_set_version=data_version,
        rmse_out_of_fold=rmse,
        coverage_out_of_fold=coverage,
        interval=interval,
        answers=keep_answers(place.blobs, examples, validated.predicted_B),
    )
    kept = keep_candidate(place.blobs, candidate)
    return made(
        context,
        kept[:16],
        entries={
            "rmse_capped_cycles": round(rmse, 3),
            **(entries or {}),
            "coverage_of_90_pct_intervals": round(100 * coverage, 1),
            "half_widths_cycles": ", ".join(
                f"{half:.0f} at {knot:.0f}"
                for knot, half in zip(interval.knots_cycles, interval.half_widths_cycles, strict=True)
            ),
            **keep_pictures(place.blobs, name, plots),
            "folds": WALK_FOLDS,
            "rows": rows.height,
            "engines": engines,
            "mlflow_run": dg.MetadataValue.url(context.resources.tracking.run_url(run)),
        },
    )


def _plots(fitted: Fitted, interval: "Interval", covered_B: "NDArray[np.bool_]") -> dict[str, bytes]:
    """What out-of-fold answers look like, as pictures by name."""
    from sinet_pipelines.pictures.charts import (
        calibration,
        coverage_by_predicted,
        learning_curves,
        predicted_against_true,
    )
    from sinet_pipelines.training.conformal import coverage_by_level

    examples, predicted_B = fitted.examples, fitted.validated.predicted_B
    shares = coverage_by_level(predicted_B, examples, folds=WALK_FOLDS, seed=SEED)
    shown_B = examples.cycle_B % SHOWN_EVERY == 0
    lower_B, upper_B = interval.around(predicted_B[shown_B])
    plots = {
        "calibration": calibration(
            list(shares),
            list(shares.values()),
            n=len(np.unique(examples.unit_B)),
            title="Out of fold: promised and measured coverage",
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
    curve = fitted.validated.rmse_by_epoch
    if len(curve) > 1:
        plots["learning_curves"] = learning_curves([], curve, chosen_epoch=fitted.validated.epochs)
    return plots


def training_rows(context: dg.AssetExecutionContext) -> "pl.DataFrame":
    """The training set in the order in which it is learnt from."""
    from sinet_pipelines.training.fit import require_not_held_out

    return require_not_held_out(here(context, EAST).tables.read(TRAINING_SET)).sort("unit", "cycle")


def training_sequences_of(context: dg.AssetExecutionContext, rows: "pl.DataFrame") -> "ScaledSequences":
    """The scaled sensors behind the rows of the training set, from all regions."""
    import polars as pl

    from sinet_pipelines.features.scaled import scaled_sequences
    from sinet_pipelines.validation.doubt import settled

    parts = (here(context, region).tables.read(TRAINING_SEQUENCES) for region in REGIONS)
    return scaled_sequences(settled(pl.concat(parts)), at=rows.select("unit", "cycle"))
