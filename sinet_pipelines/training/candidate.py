"""A candidate on its way through the stages: what was fitted, on what, by which run; kept among blobs under one ref."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from sinet_pipelines.features.regimes import OperatingRegimes
from sinet_pipelines.models.families import family
from sinet_pipelines.models.model import Model
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
    """

    family: str
    files: Mapping[str, str]
    regimes: str
    run_id: str
    experiment_id: str
    training_set_version: str


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
    return Candidate(**json.loads(blobs.get_ref(_ref(family_name))))


def load_model(blobs: BlobStore, candidate: Candidate) -> tuple[Model, OperatingRegimes]:
    """The candidate's model, and the regimes that its features are standardised by."""
    files = {name: blobs.get(blob) for name, blob in candidate.files.items()}
    regimes = OperatingRegimes.from_json(blobs.get(candidate.regimes).decode())
    return family(candidate.family).load(files), regimes


def _ref(family_name: str) -> str:
    return f"candidates/{family_name}"
