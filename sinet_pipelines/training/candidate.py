"""A candidate on its way through the stages: what was fitted, on what, by which run; kept among blobs under one ref."""

import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import polars as pl

from sinet_pipelines.features.regimes import OperatingRegimes
from sinet_pipelines.models.families import FAMILIES, family
from sinet_pipelines.models.interval import Interval
from sinet_pipelines.models.model import Examples, Family, Floats, Model
from sinet_pipelines.storage.blobs import BlobStore


@dataclass(frozen=True)
class Candidate:
    """A fitted model as it is kept.

    Attributes:
        family: its family by name.
        files: blob of each of the model's files.
        regimes: blob of the regimes that its features were standardised by.
        run_id: of its run in the tracking store, empty until it is logged.
        experiment_id: of that run's experiment.
        training_set_version: content hash of what it was fitted on.
        rmse_out_of_fold: in cycles, truth capped, over the training engines; what candidates are chosen by.
        coverage_out_of_fold: share of truths inside intervals calibrated without their fold.
        interval: calibrated on all out-of-fold answers.
        answers: blob of the out-of-fold answers (`unit`, `cycle`, `rul_cycles`, `predicted_cycles`).
    """

    family: str
    files: Mapping[str, str]
    regimes: str
    run_id: str
    experiment_id: str
    training_set_version: str
    rmse_out_of_fold: float
    coverage_out_of_fold: float
    interval: Interval
    answers: str


def keep_candidate(blobs: BlobStore, candidate: Candidate) -> str:
    """Keeps the candidate and makes it its family's newest; returns the blob's name."""
    name = blobs.put(json.dumps(asdict(candidate), sort_keys=True).encode())
    blobs.point(_ref(candidate.family), name)
    return name


def newest_candidate(blobs: BlobStore, family_name: str) -> Candidate:
    """The newest candidate of a family.

    Raises:
        StorageError: none was ever fitted.
    """
    said = json.loads(blobs.get_ref(_ref(family_name)))
    interval = said.pop("interval")
    ends = {name: tuple(interval[name]) for name in ("knots_cycles", "half_widths_cycles")}
    return Candidate(**said, interval=Interval(interval["level"], **ends))


def load_model(
    blobs: BlobStore, candidate: Candidate, *, families: Mapping[str, Family] = FAMILIES
) -> tuple[Model, OperatingRegimes]:
    """The candidate's model, and the regimes that its features are standardised by.

    Args:
        blobs: where it is kept.
        candidate: which.
        families: among which its family is, where it is no family of the house but an experiment's.
    """
    files = {name: blobs.get(blob) for name, blob in candidate.files.items()}
    regimes = OperatingRegimes.from_json(blobs.get(candidate.regimes).decode())
    kind = families[candidate.family] if candidate.family in families else family(candidate.family)
    return kind.load(files), regimes


def keep_answers(blobs: BlobStore, examples: Examples, predicted_B: Floats) -> str:
    """Keeps out-of-fold answers; returns the blob's name.

    Args:
        blobs: where.
        examples: B rows.
        predicted_B: (B,) cycles.
    """
    columns = {"unit": examples.unit_B, "cycle": examples.cycle_B, "rul_cycles": examples.rul_B}
    buffer = io.BytesIO()
    pl.DataFrame({**columns, "predicted_cycles": predicted_B}).write_parquet(buffer)
    return blobs.put(buffer.getvalue())


def answers_of(blobs: BlobStore, candidate: Candidate, examples: Examples) -> Floats:
    """(B,) the candidate's out-of-fold answers to these examples; NaN where it was not asked."""
    kept = pl.read_parquet(io.BytesIO(blobs.get(candidate.answers))).select("unit", "cycle", "predicted_cycles")
    asked = pl.DataFrame({"unit": examples.unit_B, "cycle": examples.cycle_B})
    found = asked.join(kept, on=["unit", "cycle"], how="left", maintain_order="left")["predicted_cycles"]
    return found.fill_null(np.nan).to_numpy()


def _ref(family_name: str) -> str:
    return f"candidates/{family_name}"
