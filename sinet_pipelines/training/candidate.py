"""Stores fitted candidates as blobs, from which later stages read them; one ref for each family names the newest."""

import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl

from sinet_pipelines.errors import ContractError, ModelNotFoundError
from sinet_pipelines.models.interval import Interval
from sinet_pipelines.models.model import Examples, Family, Floats, Model
from sinet_pipelines.models.probability import Decision, PlattScaling
from sinet_pipelines.models.task import Task
from sinet_pipelines.storage.blobs import BlobStore


@dataclass(frozen=True)
class Candidate:
    """A fitted model in storage.

    Attributes:
        family: name of its family.
        files: name of the blob of each of the model's files, by the file's name.
        parts: name of the blob of each other part that its features need, by the application's name for the part.
        run_id: id of its run in the tracking store, empty until it is logged.
        experiment_id: id of that run's experiment.
        training_set_version: content hash of its training set.
        score_out_of_fold: the task's metric over the training groups, for the choice among candidates.
        answers: name of the blob with the out-of-fold predictions and the task's group, order and target.
        interval: calibrated on all out-of-fold predictions; None for a classification.
        coverage_out_of_fold: share of truths inside intervals calibrated without their fold, 0 to 1; None likewise.
        decision: scaling and threshold fitted on all out-of-fold scores; None for a regression.
    """

    family: str
    files: Mapping[str, str]
    parts: Mapping[str, str]
    run_id: str
    experiment_id: str
    training_set_version: str
    score_out_of_fold: float
    answers: str
    interval: Interval | None = None
    coverage_out_of_fold: float | None = None
    decision: Decision | None = None

    def require_interval(self) -> Interval:
        """Its interval.

        Raises:
            ContractError: the candidate has none.
        """
        if self.interval is None:
            raise ContractError(f"candidate {self.family} has no interval (a regression has one); train it again")
        return self.interval

    def require_decision(self) -> Decision:
        """Its decision.

        Raises:
            ContractError: the candidate has none.
        """
        if self.decision is None:
            raise ContractError(f"candidate {self.family} has no decision (a classification has one); train it again")
        return self.decision


def keep_candidate(blobs: BlobStore, candidate: Candidate) -> str:
    """Stores the candidate as the newest of its family; returns the name of its blob."""
    name = blobs.put(json.dumps(asdict(candidate), sort_keys=True).encode())
    blobs.point(_ref(candidate.family), name)
    return name


def newest_candidate(blobs: BlobStore, family_name: str) -> Candidate:
    """The newest candidate of a family.

    Raises:
        StorageError: no candidate of the family was stored yet, or its blob is missing.
    """
    stored = json.loads(blobs.get_ref(_ref(family_name)))
    return Candidate(**{**stored, "interval": _interval(stored["interval"]), "decision": _decision(stored["decision"])})


def _interval(stored: Mapping[str, Any] | None) -> Interval | None:
    if stored is None:
        return None
    bounds = tuple(stored["range"]) if stored["range"] else None
    return Interval(stored["level"], tuple(stored["knots"]), tuple(stored["half_widths"]), bounds)


def _decision(stored: Mapping[str, Any] | None) -> Decision | None:
    return None if stored is None else Decision(PlattScaling(**stored["scaling"]), stored["threshold"])


def load_model(blobs: BlobStore, candidate: Candidate, *, task: Task, families: Mapping[str, Family]) -> Model:
    """The candidate's model.

    Args:
        blobs: the store.
        candidate: the candidate.
        task: its task.
        families: families by name.

    Raises:
        ModelNotFoundError: the candidate's family is not among them.
        StorageError: a blob of its files is missing.
    """
    files = {name: blobs.get(blob) for name, blob in candidate.files.items()}
    if candidate.family not in families:
        known = ", ".join(families)
        raise ModelNotFoundError(
            f"no family {candidate.family!r} (known: {known}); add it to the families of the application"
        )
    return families[candidate.family].load(files, task=task)


def keep_answers(blobs: BlobStore, examples: Examples, predicted_B: Floats) -> str:
    """Stores out-of-fold predictions; returns the blob's name.

    Args:
        blobs: the store.
        examples: B rows.
        predicted_B: (B,) predictions in the target's unit.
    """
    task = examples.task
    columns = {task.group: examples.group_B, task.order: examples.order_B, task.target: examples.truth_B}
    buffer = io.BytesIO()
    pl.DataFrame({**columns, task.predicted: predicted_B}).write_parquet(buffer)
    return blobs.put(buffer.getvalue())


def answers_of(blobs: BlobStore, candidate: Candidate, examples: Examples) -> Floats:
    """(B,) the candidate's out-of-fold predictions for B examples, in the target's unit; NaN where there is none."""
    task = examples.task
    rows = [task.group, task.order]
    kept = pl.read_parquet(io.BytesIO(blobs.get(candidate.answers))).select(*rows, task.predicted)
    keys = pl.DataFrame({task.group: examples.group_B, task.order: examples.order_B})
    found = keys.join(kept, on=rows, how="left", maintain_order="left")[task.predicted]
    return found.fill_null(np.nan).to_numpy()


def _ref(family_name: str) -> str:
    return f"candidates/{family_name}"
