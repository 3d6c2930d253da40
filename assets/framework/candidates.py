"""Candidates of an application: validated out of fold, fitted, logged in MLflow, and stored."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dagster as dg

from sinet_pipelines.storage.blobs import BlobStore

if TYPE_CHECKING:
    from sinet_pipelines.models.interval import Interval
    from sinet_pipelines.models.model import Examples, Family, Model
    from sinet_pipelines.models.probability import Decision
    from sinet_pipelines.registry.runs import LoggedRun, RunRecord
    from sinet_pipelines.training.fit import CrossValidation


@dataclass(frozen=True)
class Fitted:
    """A family fitted on the training set, and its predictions for groups that it was fitted without."""

    examples: "Examples"
    validated: "CrossValidation"
    model: "Model"


def validate_and_fit(
    context: dg.AssetExecutionContext, family: "Family", examples: "Examples", *, folds: int, seed: int
) -> Fitted:
    """Cross-validates the family, then fits it on all examples; the log records the fit of each fold.

    Args:
        context: of the step.
        family: the candidate.
        examples: of the training set.
        folds: number of folds.
        seed: of the folds and of each fit.
    """
    from sinet_pipelines.training.fit import cross_validate

    fits = itertools.count(1)

    def report() -> None:
        context.log.info(f"{family.name}: fold {next(fits)} of {folds} fitted")

    validated = cross_validate(examples, family=family, seed=seed, folds=folds, report=report)
    return Fitted(examples, validated, validated.family.fit(examples, seed=seed))


@dataclass(frozen=True)
class Uncertainty:
    """How certain a candidate is, from its predictions out of fold; fields as in `Candidate`."""

    interval: "Interval | None" = None
    coverage_out_of_fold: float | None = None
    decision: "Decision | None" = None


@dataclass(frozen=True)
class Kept:
    """A stored candidate.

    Attributes:
        version: of its content, for the asset.
        run_url: address of its run's page.
    """

    version: str
    run_url: str


def log_and_keep(
    context: dg.AssetExecutionContext,
    blobs: BlobStore,
    fitted: Fitted,
    record: "RunRecord",
    *,
    seed: int,
    score: float,
    training_set: str,
    uncertainty: Uncertainty,
    parts: Mapping[str, str] | None = None,
) -> Kept:
    """Logs the candidate's run in MLflow, and stores it as the newest of its family.

    Args:
        context: of the step.
        blobs: of the region of training.
        fitted: the candidate.
        record: of its run; with its data versions, seed and files it decides whether the run was logged before.
        seed: of the fit.
        score: out of fold.
        training_set: name of the training set among the record's data versions.
        uncertainty: of its predictions.
        parts: name of the blob of each other part that its features need.
    """
    from sinet_pipelines.registry.runs import content_key
    from sinet_pipelines.training.candidate import Candidate, keep_answers, keep_candidate

    files = {file: blobs.put(content) for file, content in fitted.model.files().items()}
    key = content_key(record.name, seed, files, *record.data_versions.values())
    run: LoggedRun = context.resources.tracking.log_run(record, key=key)
    candidate = Candidate(
        family=record.name,
        files=files,
        parts=parts or {},
        run_id=run.run_id,
        experiment_id=run.experiment_id,
        training_set_version=record.data_versions[training_set],
        score_out_of_fold=score,
        answers=keep_answers(blobs, fitted.examples, fitted.validated.predicted_B),
        interval=uncertainty.interval,
        coverage_out_of_fold=uncertainty.coverage_out_of_fold,
        decision=uncertainty.decision,
    )
    return Kept(keep_candidate(blobs, candidate)[:16], context.resources.tracking.run_url(run))
