"""Planted bad candidates, one of each kind: what is broken is refused, what is worse is news, the champion goes on."""

import dataclasses
import shutil

import dagster as dg
import numpy as np
import pytest

from assets.framework.evaluation import GATE
from assets.framework.graphs import AGREEMENT
from assets.turbofan.evaluation import COVERAGE_GATE, MODEL
from assets.turbofan.keys import global_key
from resources.registry import registry_resource
from sinet_pipelines.applications.turbofan.features.regimes import OperatingRegimes
from sinet_pipelines.models.weights import read_weights, write_weights
from sinet_pipelines.storage.blobs import BlobStore
from sinet_pipelines.storage.layout import blobs_root
from sinet_pipelines.training.candidate import keep_candidate, newest_candidate
from tests.conftest import executor_for
from tests.inventory import EAST

NETWORK, TREES = "temporal_convolution", "gradient_boosting"
AFTER_TRAINING = ("evaluation", "onnx_models", "int8_model", "served_graph", "registered_model")


@pytest.fixture
def bench(walked, tmp_path, definitions):
    """A copy of a walked home to plant something in, and what carries out the stages after training there."""
    home = tmp_path / "home"
    shutil.copytree(walked[0], home)
    registry = registry_resource(home)
    champion = registry.champion(MODEL)
    execute = executor_for(home, definitions)

    def judge():
        with dg.DagsterInstance.ephemeral() as instance:
            result = execute(instance, [global_key(name) for name in AFTER_TRAINING])
        checks = {one.check_name: one for one in result.get_asset_check_evaluations()}
        return result, checks, registry_resource(home).champion(MODEL)

    return home, champion, judge


def plant(home, family=NETWORK, **changes):
    """Puts a changed candidate in the place of its family's, so good out of fold that it is the one to challenge."""
    blobs = BlobStore(blobs_root(home, EAST.name), "turbofan")
    candidate = newest_candidate(blobs, family)
    if "weights" in changes:
        weights = changes.pop("weights")(read_weights(blobs.get(candidate.files["net.safetensors"])))
        changes["files"] = {**candidate.files, "net.safetensors": blobs.put(write_weights(weights))}
    keep_candidate(blobs, dataclasses.replace(candidate, score_out_of_fold=0.1, **changes))
    return candidate


def test_a_sound_walk_ends_with_a_champion_and_every_graph_registered(walked):
    home, _ = walked
    registry = registry_resource(home)
    champion = registry.champion(MODEL)
    assert champion is not None
    assert champion.aliases == ("champion",)


def test_a_sound_challenger_takes_the_place(bench):
    home, champion, judge = bench
    assert champion.family != TREES
    plant(home, TREES)
    result, checks, now = judge()
    assert result.success
    assert checks[GATE].passed
    assert (now.family, now.version != champion.version) == (TREES, True)


@pytest.mark.slow
def test_a_candidate_that_answers_no_number_is_blocked(bench):
    home, champion, judge = bench
    plant(home, weights=lambda weights: {**weights, "out.bias": np.array([np.nan], dtype=np.float32)})
    result, checks, now = judge()
    assert not result.success
    assert not checks[GATE].passed
    assert "predictions are not finite" in checks[GATE].description
    assert not checks[AGREEMENT].passed
    assert (now.version, now.sha256) == (champion.version, champion.sha256)


@pytest.mark.slow
def test_a_graph_that_disagrees_with_its_source_is_blocked(bench):
    """Its regimes are not those that its features were made with."""
    home, champion, judge = bench
    blobs = BlobStore(blobs_root(home, EAST.name), "turbofan")
    candidate = newest_candidate(blobs, NETWORK)
    regimes = OperatingRegimes.from_json(blobs.get(candidate.parts["regimes"]).decode())
    wider = tuple(tuple(1.001 * sd for sd in row) for row in regimes.sensor_sds)
    other = dataclasses.replace(regimes, sensor_sds=wider)
    plant(home, parts={"regimes": blobs.put(other.to_json().encode())})
    result, checks, now = judge()
    assert not result.success
    assert not checks[AGREEMENT].passed
    assert "differ by more than 0.0001 or are NaN" in checks[AGREEMENT].description
    assert checks[AGREEMENT].severity == dg.AssetCheckSeverity.ERROR
    assert (now.version, now.sha256) == (champion.version, champion.sha256)


@pytest.mark.slow
def test_an_over_confident_candidate_is_news_and_the_champion_goes_on(bench):
    home, champion, judge = bench
    candidate = newest_candidate(BlobStore(blobs_root(home, EAST.name), "turbofan"), NETWORK)
    plant(home, interval=dataclasses.replace(candidate.interval, half_widths=(0.5,) * 6))
    result, checks, now = judge()
    assert result.success
    assert not checks[COVERAGE_GATE].passed
    assert checks[COVERAGE_GATE].severity == dg.AssetCheckSeverity.WARN
    assert "over-confident" in checks[COVERAGE_GATE].description
    assert (now.version, now.sha256) == (champion.version, champion.sha256)


@pytest.mark.slow
def test_a_worse_candidate_is_news_and_the_champion_goes_on(bench):
    home, champion, judge = bench
    plant(home, weights=lambda weights: {**weights, "out.weight": np.zeros_like(weights["out.weight"])})
    result, checks, now = judge()
    assert result.success
    assert not checks[GATE].passed
    assert checks[GATE].severity == dg.AssetCheckSeverity.WARN
    assert "clearly worse" in checks[GATE].description
    assert (now.version, now.sha256) == (champion.version, champion.sha256)
