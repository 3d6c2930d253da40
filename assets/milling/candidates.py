"""Candidates of the training assets: validated on stratified folds, fitted, calibrated, logged in MLflow and stored."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np

from assets.framework.candidates import Fitted, Uncertainty, log_and_keep, validate_and_fit
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

    from sinet_pipelines.models.model import Examples, Family

SEED = 0
FOLDS = 5


def fit_candidate(context: dg.AssetExecutionContext, family: "Family", examples: "Examples") -> Fitted:
    """The family validated on stratified folds, then fitted on all training products."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        return validate_and_fit(context, family, examples, folds=FOLDS, seed=SEED)


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
    from sinet_pipelines.registry.runs import RunRecord
    from sinet_pipelines.storage.tables import content_hash
    from sinet_pipelines.training.calibration import calibration_table, decided_out_of_fold, fit_decision
    from sinet_pipelines.training.fit import score_of

    examples, validated = fitted.examples, fitted.validated
    failed_B, name = examples.truth_B == 1.0, validated.family.name
    decision = fit_decision(validated.predicted_B, failed_B)
    decided = decided_out_of_fold(validated.predicted_B, examples, folds=FOLDS, seed=SEED)
    figures = _figures(decided.probability_B, decided.is_warned_B, failed_B)
    score = score_of(validated.predicted_B, examples)
    record = RunRecord(
        experiment=MILLING.name,
        name=name,
        params=params,
        metrics={f"oof_{figure}": value for figure, value in {**figures, "pr_auc": score}.items()},
        artifacts={},
        data_versions={"training_set": content_hash(rows, TRAINING_SET)},
        code_version=code_of(context),
    )
    kept = log_and_keep(
        context,
        here(context, EAST).blobs,
        fitted,
        record,
        seed=SEED,
        score=score,
        training_set="training_set",
        uncertainty=Uncertainty(decision=decision),
    )
    bins = calibration_table(decided.probability_B, failed_B)
    return made(
        context,
        kept.version,
        entries={
            "pr_auc": round(score, 4),
            **{figure: round(value, 4) for figure, value in figures.items()},
            "threshold": round(decision.threshold, 4),
            "calibration": shown(_calibration(bins)),
            "folds": FOLDS,
            "products": rows.height,
            "failures": int(failed_B.sum()),
            "mlflow_run": dg.MetadataValue.url(kept.run_url),
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
