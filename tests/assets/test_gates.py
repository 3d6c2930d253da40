"""Planted bad candidates, one of each kind: what is broken is refused, what is worse is news, the champion goes on."""

import dataclasses
import shutil

import dagster as dg
import numpy as np
import pytest

from assets.evaluation import COVERAGE_GATE, GATE, MODEL
from assets.quantization import AGREEMENT
from resources.keys import everywhere, global_key
from resources.registry import registry_resource
from resources.settings import settings
from sinet_pipelines.cli.land import land_simulated
from sinet_pipelines.features.regimes import OperatingRegimes
from sinet_pipelines.ingestion.landing import LandingZone
from sinet_pipelines.models.weights import read_weights, write_weights
from sinet_pipelines.regions import EAST, REGIONS
from sinet_pipelines.schemas.telemetry import QUARANTINE, VALIDATED_TELEMETRY
from sinet_pipelines.storage.blobs import BlobStore
from sinet_pipelines.storage.tables import TableStore
from sinet_pipelines.training.candidate import keep_candidate, newest_candidate
from tests.conftest import executor_for

NETWORK = "temporal_convolution"
TABLES = ("raw_telemetry", "validated_telemetry", "failure_events", "truth_events", "regime_cells", "window_features")
SEQUENCES = ("training_sequences", "evaluation_sequences", "calibration_sequences")
TO_THE_CHAMPION = (
    *("operating_regimes", "training_set", "evaluation_set", "gradient_boosting", NETWORK, "average"),
    *("evaluation", "onnx_models", "int8_model", "served_graph", "registered_model"),
)
AFTER_TRAINING = ("evaluation", "onnx_models", "int8_model", "served_graph", "registered_model")


@pytest.fixture(scope="module")
def walked(tmp_path_factory, definitions):
    """A home of 30 + 15 simulated engines whose champion is registered; the home and the instance that made it."""
    home = tmp_path_factory.mktemp("gates") / "home"
    land_simulated(home, history_engines=30, live_engines=15, regimes=2)
    days = sorted(day for region in REGIONS for day in LandingZone(home / "landing").days(region.name))
    keys = [*(key for name in (*TABLES, *SEQUENCES) for key in everywhere(name)), *map(global_key, TO_THE_CHAMPION)]
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.ephemeral() as instance:
        patch.setenv("SINET_HOME", str(home))
        settings.cache_clear()
        executor_for(home, definitions)(instance, keys, (days[0], days[-1]))
        yield home, instance
    settings.cache_clear()


def test_the_card_of_a_home_tells_its_rows_and_says_that_the_champion_serves(walked, definitions):
    home, instance = walked
    assert executor_for(home, definitions)(instance, [global_key("model_card")]).success
    event = instance.get_latest_materialization_event(global_key("model_card")).asset_materialization
    said = event.metadata["card"].value
    tables = [TableStore(str(home / "tables" / region.name)) for region in REGIONS]
    kept, aside = (sum(one.read(table).height for one in tables) for table in (VALIDATED_TELEMETRY, QUARANTINE))
    assert f"| {kept:,} validated, {aside:,} set aside |" in said
    assert "| 30 run to failure, 15 live |" in said
    assert "**Serves: " in said
    assert (home / "cards" / f"{MODEL}.html").read_text().startswith("<!doctype html>")


@pytest.fixture
def bench(walked, tmp_path, definitions):
    """A copy of that home to plant something in, and what carries out the stages after training there."""
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


def plant(home, **changes):
    """Puts a changed network among the candidates, so good out of fold that it is the one to challenge."""
    blobs = BlobStore(home / "blobs" / EAST.name)
    candidate = newest_candidate(blobs, NETWORK)
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
    candidate = newest_candidate(BlobStore(home / "blobs" / EAST.name), NETWORK)
    plant(home, interval=dataclasses.replace(candidate.interval, half_widths_cycles=(45.0,) * 6))
    result, checks, now = judge()
    assert result.success
    assert checks[GATE].passed
    assert (now.family, now.version != champion.version) == (NETWORK, True)


def test_a_candidate_that_answers_no_number_is_blocked(bench):
    home, champion, judge = bench
    plant(home, weights=lambda weights: {**weights, "out.bias": np.array([np.nan], dtype=np.float32)})
    result, checks, now = judge()
    assert not result.success
    assert not checks[GATE].passed
    assert "answers are no number" in checks[GATE].description
    assert not checks[AGREEMENT].passed
    assert now == champion


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
    assert now == champion


def test_an_over_confident_candidate_is_news_and_the_champion_goes_on(bench):
    home, champion, judge = bench
    candidate = newest_candidate(BlobStore(home / "blobs" / EAST.name), NETWORK)
    plant(home, interval=dataclasses.replace(candidate.interval, half_widths_cycles=(0.5,) * 6))
    result, checks, now = judge()
    assert result.success
    assert not checks[COVERAGE_GATE].passed
    assert checks[COVERAGE_GATE].severity == dg.AssetCheckSeverity.WARN
    assert "over-confident" in checks[COVERAGE_GATE].description
    assert now == champion


def test_a_worse_candidate_is_news_and_the_champion_goes_on(bench):
    home, champion, judge = bench
    plant(home, weights=lambda weights: {**weights, "out.weight": np.zeros_like(weights["out.weight"])})
    result, checks, now = judge()
    assert result.success
    assert not checks[GATE].passed
    assert checks[GATE].severity == dg.AssetCheckSeverity.WARN
    assert "clearly worse" in checks[GATE].description
    assert now == champion
