"""Candidates: kept under one ref a family, and the same model when loaded again."""

from dataclasses import replace

import numpy as np
import pytest

from sinet_pipelines.applications.turbofan.features.regimes import OperatingRegimes
from sinet_pipelines.applications.turbofan.schemas.telemetry import SENSORS
from sinet_pipelines.applications.turbofan.task import RUL
from sinet_pipelines.errors import ContractError, ModelNotFoundError, StorageError
from sinet_pipelines.models.baselines import LinearModel
from sinet_pipelines.models.families import FAMILIES
from sinet_pipelines.models.interval import Interval
from sinet_pipelines.models.model import Inputs
from sinet_pipelines.models.probability import Decision, PlattScaling
from sinet_pipelines.storage.blobs import BlobStore
from sinet_pipelines.training.candidate import (
    Candidate,
    answers_of,
    keep_answers,
    keep_candidate,
    load_model,
    newest_candidate,
)
from tests.sinet_pipelines.models.examples import examples

REGIMES = OperatingRegimes(
    (1.0, 1.0, 1.0), ((0.0, 0.0, 0.0),), ((1.0,) * len(SENSORS),), ((1.0,) * len(SENSORS),), (10,)
)
KNOWN = examples(lives=(3, 2), sequences=False)
SAID = np.array([5.0, 4.0, 3.0, 2.0, 1.0])
INTERVAL = Interval(0.9, (0.0, 125.0), (3.0, 9.0), (0.0, 125.0))
MODEL = LinearModel(
    feature_names=("a", "b"), intercept=50.0, means=(0.0, 0.0), sds=(1.0, 2.0), weights=(3.0, 4.0), task=RUL
)


def keep(blobs, *, run_id):
    files = {name: blobs.put(content) for name, content in MODEL.files().items()}
    regimes = blobs.put(REGIMES.to_json().encode())
    candidate = Candidate(
        "ridge", files, {"regimes": regimes}, run_id, "1", "v1", 12.5, keep_answers(blobs, KNOWN, SAID), INTERVAL, 0.91
    )
    keep_candidate(blobs, candidate)
    return candidate


def test_the_newest_candidate_of_a_family_is_the_last_kept(tmp_path):
    blobs = BlobStore(tmp_path)
    keep(blobs, run_id="first")
    second = keep(blobs, run_id="second")
    assert newest_candidate(blobs, "ridge") == second


def test_a_loaded_model_predicts_as_the_stored_one(tmp_path):
    blobs = BlobStore(tmp_path)
    candidate = keep(blobs, run_id="r")
    model = load_model(blobs, candidate, task=RUL, families=FAMILIES)
    requested = Inputs(np.array([[1.0, 2.0]], dtype=np.float32), ("a", "b"))
    assert model.predict(requested).tolist() == [50.0 + 3.0 + 4.0]
    assert OperatingRegimes.from_json(blobs.get(candidate.parts["regimes"]).decode()) == REGIMES


def test_a_family_that_is_not_the_applications_is_refused(tmp_path):
    blobs = BlobStore(tmp_path)
    with pytest.raises(ModelNotFoundError, match=r"no family 'ridge' \(known: constant\)"):
        load_model(blobs, keep(blobs, run_id="r"), task=RUL, families={"constant": FAMILIES["constant"]})


def test_a_decision_is_loaded_and_a_missing_interval_is_an_error(tmp_path):
    blobs = BlobStore(tmp_path)
    decision = Decision(PlattScaling(1.5, -0.25), 0.4)
    candidate = replace(keep(blobs, run_id="r"), interval=None, coverage_out_of_fold=None, decision=decision)
    keep_candidate(blobs, candidate)
    found = newest_candidate(blobs, "ridge")
    assert found.require_decision() == decision
    with pytest.raises(ContractError, match="candidate ridge has no interval"):
        found.require_interval()


def test_the_error_for_a_family_without_a_candidate_has_the_remedy(tmp_path):
    with pytest.raises(StorageError, match="materialise the asset"):
        newest_candidate(BlobStore(tmp_path), "ridge")


def test_stored_predictions_are_joined_to_their_rows(tmp_path):
    blobs = BlobStore(tmp_path)
    candidate, order = keep(blobs, run_id="r"), np.array([4, 0, 2])
    assert answers_of(blobs, candidate, KNOWN.take(order)).tolist() == [1.0, 5.0, 3.0]


def test_rows_without_a_stored_prediction_are_nan(tmp_path):
    blobs = BlobStore(tmp_path)
    others = examples(lives=(4, 2), sequences=False)
    found = answers_of(blobs, keep(blobs, run_id="r"), others)
    assert np.isnan(found[3])
    assert found[:3].tolist() == [5.0, 4.0, 3.0]
