"""Candidates of the training assets: validated on stratified folds, fitted, calibrated, logged in MLflow and stored."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np

from assets.framework.regional import here
from assets.framework.reports import made
from resources.code_versions import code_of
from resources.markdown import shown
from sinet_pipelines.applications.milling.application import MILLING
from sinet_pipelines.applications.milling.tables import TRAINING_SET
from sinet_pipelines.applications.milling.task import FAILURE
from sinet_pipelines.inventory.names import EAST
from sinet_pipelines.markdown import Markdown, table

if TYPE_CHECKING:
    import polars as pl

    from sinet_pipelines.models.model import Examples, Family, Model
    from sinet_pipelines.models.probability import Decision
    from sinet_pipelines.training.fit import CrossValidation

SEED = 0
FOLDS = 5


@dataclass(frozen=True)
class Fitted:
    """A family fitted on the training set, and its out-of-fold predictions."""

    examples: "Examples"
    validated: "CrossValidation"
    model: "Model"


def fit_candidate(context: dg.AssetExecutionContext, family: "Family", examples: "Examples") -> Fitted:
    """The family validated on stratified folds, then fitted on all training products."""
    from threadpoolctl import threadpool_limits

    from sinet_pipelines.training.fit import cross_validate

    fits = itertools.count(1)

    def report() -> None:
        context.log.info(f"{family.name}: fold {next(fits)} of {FOLDS} fitted")

    with threadpool_limits(1):
        validated = cross_validate(examples, family=family, seed=SEED, folds=FOLDS, report=report)
        return Fitted(examples, validated, family.fit(examples, seed=SEED))


def kept_candidate(
    context: dg.AssetExecutionContext, fitted: Fitted, *, rows: "pl.DataFrame", params: Mapping[str, object]
) -> dg.MaterializeResult:
    """Fits the candidate's decision, logs its run in MLflow, stores it, and reports it.

    Args:
        context: context of the step.
        fitted: the candidate.
        rows: the training set.
        params: parameters of the fit, for MLflow.
    """
    from sinet_pipelines.registry.runs import RunRecord, content_key
    from sinet_pipelines.storage.tables import content_hash
    from sinet_pipelines.training.calibration import calibration_table, decided_out_of_fold, fit_decision
    from sinet_pipelines.training.candidate import Candidate, keep_answers, keep_candidate
    from sinet_pipelines.training.fit import score_of

    place, examples, validated = here(context, EAST), fitted.examples, fitted.validated
    failed_B, name, data_version = examples.truth_B == 1.0, validated.family.name, content_hash(rows, TRAINING_SET)
    decision = fit_decision(validated.predicted_B, failed_B)
    decided = decided_out_of_fold(validated.predicted_B, examples, folds=FOLDS, seed=SEED)
    figures = _figures(decided.probability_B, decided.is_warned_B, failed_B)
    score = score_of(validated.predicted_B, examples)
    files = {file: place.blobs.put(content) for file, content in fitted.model.files().items()}
    run_record = RunRecord(
        experiment=MILLING.name,
        name=name,
        params=params,
        metrics={f"oof_{figure}": value for figure, value in {**figures, "pr_auc": score}.items()},
        artifacts={},
        data_versions={"training_set": data_version},
        code_version=code_of(context),
    )
    run = context.resources.tracking.log_run(run_record, key=content_key(name, SEED, files, data_version))
    kept = keep_candidate(
        place.blobs,
        Candidate(
            family=name,
            files=files,
            parts={},
            run_id=run.run_id,
            experiment_id=run.experiment_id,
            training_set_version=data_version,
            score_out_of_fold=score,
            answers=keep_answers(place.blobs, examples, validated.predicted_B),
            decision=decision,
        ),
    )
    bins = calibration_table(decided.probability_B, failed_B)
    return made(
        context,
        kept[:16],
        entries={
            "pr_auc": round(score, 4),
            **{figure: round(value, 4) for figure, value in figures.items()},
            "threshold": round(decision.threshold, 4),
            "calibration": shown(_calibration(bins)),
            "folds": FOLDS,
            "products": rows.height,
            "failures": int(failed_B.sum()),
            "mlflow_run": dg.MetadataValue.url(context.resources.tracking.run_url(run)),
        },
    )


def _figures(probability_B: np.ndarray, is_warned_B: np.ndarray, failed_B: np.ndarray) -> dict[str, float]:
    from sinet_pipelines.metrics.failure import failure_errors

    errors = failure_errors(probability_B, is_warned_B, failed_B)
    brier = float(np.mean((probability_B - failed_B) ** 2))
    return {"f1": errors.f1, "precision": errors.precision, "recall": errors.recall, "brier": brier}


def _calibration(bins: list[dict[str, Any]]) -> Markdown:
    rows = [(f"{one['from']:g} to {one['to']:g}", one["rows"], one["predicted"], one["observed"]) for one in bins]
    return table(("probability", "products", "predicted", "observed"), rows, numeric=(1, 2, 3))


def training_rows(context: dg.AssetExecutionContext) -> "pl.DataFrame":
    """The training set in the order for training."""
    from sinet_pipelines.training.fit import require_not_held_out

    rows = here(context, EAST).tables.read(TRAINING_SET)
    return require_not_held_out(rows, FAILURE).sort("record_id", "product_id")


def decision_of(context: dg.AssetExecutionContext, name: str) -> "Decision":
    """The decision of the newest candidate of a family."""
    from sinet_pipelines.training.candidate import newest_candidate

    return newest_candidate(here(context, EAST).blobs, name).require_decision()
