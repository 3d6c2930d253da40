"""Planted bad candidates, one of each kind: what is broken is refused, what is worse is news, the champion goes on."""

import dataclasses
import shutil

import dagster as dg
import numpy as np
import pytest

from assets.evaluation import COVERAGE_GATE, GATE, MODEL
from assets.quantization import AGREEMENT
from resources.keys import global_key
from resources.registry import registry_resource
from resources.settings import settings
from sinet_pipelines.features.regimes import OperatingRegimes
from sinet_pipelines.models.weights import read_weights, write_weights
from sinet_pipelines.regions import EAST
from sinet_pipelines.storage.blobs import BlobStore
from sinet_pipelines.training.candidate import keep_candidate, newest_candidate
from tests.conftest import executor_for

NETWORK, TREES = "temporal_convolution", "gradient_boosting"
AFTER_TRAINING = ("evaluation", "onnx_models", "int8_model", "served_graph", "registered_model")


@pytest.fixture
def bench(walked, tmp_path, definitions, monkeypatch):
    """A copy of a walked home to plant something in, and what carries out the stages after training there."""
    home = tmp_path / "home"
    shutil.copytree(walked[0], home)
    monkeypatch.setenv("SINET_HOME", str(home))
    settings.cache_clear()
    registry = registry_resource(home)
    champion = registry.champion(MODEL)
    execute = executor_for(home, definitions)

    def judge():
        with dg.DagsterInstance.ephemeral() as instance:
            result = execute(instance, [global_key(name) for name in AFTER_TRAINING])
        checks = {one.check_name: one for one in result.get_asset_check_evaluations()}
        return result, checks, registry_resource(home).champion(MODEL)

    yield home, champion, judge
    monkeypatch.undo()
    settings.cache_clear()


def plant(home, family=NETWORK, **changes):
    """Puts a changed candidate in the place of its family's, so good out of fold that it is the one to challenge."""
    blobs = BlobStore(home / "blobs" / EAST.name)
    candidate = newest_candidate(blobs, family)
    if "weights" in changes:
        weights = changes.pop("weights")(read_weights(blobs.get(candidate.files["net.safetensors"])))
        changes["files"] = {**candidate.files, "net.safetensors": blobs.put(write_weights(weights))}
    keep_candidate(blobs, dataclasses.replace(candidate, rmse_out_of_fold=0.1, **changes))
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


def test_a_candidate_that_answers_no_number_is_blocked(bench):
    home, champion, judge = bench
    plant(home, weights=lambda weights: {**weights, "out.bias": np.array([np.nan], dtype=np.float32)})
    result, checks, now = judge()
    assert not result.success
    assert not checks[GATE].passed
    assert "answers are no number" in checks[GATE].description
    assert not checks[AGREEMENT].passed
    assert (now.version, now.sha256) == (champion.version, champion.sha256)


def test_a_graph_that_disagrees_with_its_source_is_blocked(bench):
    """Its regimes are not those that its features were made with."""
    home, champion, judge = bench
    blobs = BlobStore(home / "blobs" / EAST.name)
    candidate = newest_candidate(blobs, NETWORK)
    regimes = OperatingRegimes.from_json(blobs.get(candidate.regimes).decode())
    wider = tuple(tuple(1.001 * sd for sd in row) for row in regimes.sensor_sds)
    other = dataclasses.replace(regimes, sensor_sds=wider)
    plant(home, regimes=blobs.put(other.to_json().encode()))
    result, checks, now = judge()
    assert not result.success
    assert not checks[AGREEMENT].passed
    assert "differ by more than 0.0001 cycles" in checks[AGREEMENT].description
    assert checks[AGREEMENT].severity == dg.AssetCheckSeverity.ERROR
    assert (now.version, now.sha256) == (champion.version, champion.sha256)


def test_an_over_confident_candidate_is_news_and_the_champion_goes_on(bench):
    home, champion, judge = bench
    candidate = newest_candidate(BlobStore(home / "blobs" / EAST.name), NETWORK)
    plant(home, interval=dataclasses.replace(candidate.interval, half_widths_cycles=(0.5,) * 6))
    result, checks, now = judge()
    assert result.success
    assert not checks[COVERAGE_GATE].passed
    assert checks[COVERAGE_GATE].severity == dg.AssetCheckSeverity.WARN
    assert "over-confident" in checks[COVERAGE_GATE].description
    assert (now.version, now.sha256) == (champion.version, champion.sha256)


def test_a_worse_candidate_is_news_and_the_champion_goes_on(bench):
    home, champion, judge = bench
    plant(home, weights=lambda weights: {**weights, "out.weight": np.zeros_like(weights["out.weight"])})
    result, checks, now = judge()
    assert result.success
    assert not checks[GATE].passed
    assert checks[GATE].severity == dg.AssetCheckSeverity.WARN
    assert "clearly worse" in checks[GATE].description
    assert (now.version, now.sha256) == (champion.version, champion.sha256)
