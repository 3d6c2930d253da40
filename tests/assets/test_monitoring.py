"""The watch as assets: each day's drift by itself, a warning on its day; truth, and rows that stop coming."""

import shutil
from datetime import UTC, datetime, timedelta

import dagster as dg
import polars as pl
import pytest
from dagster._core.events import DagsterEventType

from assets.turbofan.keys import global_key, regional_key
from resources.materializations.versions import days_made, days_refused
from sinet_pipelines.applications.turbofan.fleet import read_fleet
from sinet_pipelines.applications.turbofan.landed import TELEMETRY
from sinet_pipelines.applications.turbofan.schemas.features import FLEET_PREDICTIONS
from sinet_pipelines.applications.turbofan.schemas.monitoring import INPUT_DRIFT, PREDICTION_QUALITY, ROWS_BY_DAY
from sinet_pipelines.applications.turbofan.source import land_simulated
from sinet_pipelines.applications.turbofan.watched import WATCHED
from sinet_pipelines.storage.layout import landing_root
from sinet_pipelines.storage.tables import tables_of
from tests.conftest import executor_for
from tests.inventory import EAST, NAMES, NULL_ISLAND
from tests.zones import landing_zone

DRIFT_CHECK, TRUTH_CHECK, FRESH_CHECK = (
    "inputs_have_not_drifted",
    "predictions_are_close_to_truth",
    "region_sent_rows_yesterday",
)
DRIFT = regional_key(NULL_ISLAND, "input_drift")


@pytest.fixture(scope="module")
def watched(definitions):
    """The stages that the watch looks at, and the watch."""
    stages = ("ingestion", "validation", "features", "quantization", "registry", "deployment", "monitoring")
    selected = dg.AssetSelection.groups(*stages).resolve(definitions.resolve_asset_graph())
    return dg.Definitions(assets=[one for one in definitions.assets if selected.issuperset(getattr(one, "keys", ()))])


@pytest.fixture(scope="module")
def instance():
    with dg.DagsterInstance.ephemeral() as found:
        yield found


@pytest.fixture(scope="module")
def drifting(tmp_path_factory, watched, instance):
    """A home of 48 + 24 simulated engines with the planted drift, NULL_ISLAND's days watched; home and result."""
    home = tmp_path_factory.mktemp("drifting") / "home"
    land_simulated(home, history_engines=48, live_engines=24, regimes=2, regions=NAMES)
    days = landing_zone(home, TELEMETRY).days(NULL_ISLAND.name)
    names = ("raw_telemetry", "validated_telemetry", "regime_cells", "window_features", "input_drift")
    keys = [global_key("operating_regimes"), *(regional_key(NULL_ISLAND, name) for name in names)]
    result = executor_for(home, watched)(instance, keys, (days[0], days[-1]))
    return home, result


def planted_drift(home):
    return next(fault for fault in read_fleet(home).planted if fault.kind == "drift")


def evaluations(instance, key, check):
    """The newest evaluation of each day, or of None where the asset has no days."""
    history = instance.event_log_storage.get_asset_check_execution_history(dg.AssetCheckKey(key, check), limit=100)
    events = [record.event.dagster_event for record in reversed(history) if record.event]
    found = [event for event in events if event.event_type == DagsterEventType.ASSET_CHECK_EVALUATION]
    return {event.asset_check_evaluation_data.partition: event.asset_check_evaluation_data for event in found}


def test_the_planted_drift_is_found_on_its_day_and_no_day_before(drifting, instance):
    home, result = drifting
    assert result.success
    refused = days_refused(instance, DRIFT, DRIFT_CHECK)
    assert min(refused) == planted_drift(home).day
    assert set(refused) == {day for day in days_made(instance, DRIFT) if day >= planted_drift(home).day}


def test_a_drifted_day_warns_names_the_sensor_and_is_made_all_the_same(drifting, instance):
    home, _ = drifting
    day = planted_drift(home).day
    evaluation = evaluations(instance, DRIFT, DRIFT_CHECK)[str(day)]
    assert evaluation.severity == dg.AssetCheckSeverity.WARN
    assert evaluation.description == f"{planted_drift(home).column}_z_last drifted"
    assert evaluation.metadata["psi"].value > evaluation.metadata["psi_limit"].value
    assert evaluation.metadata["p_adjusted"].value < evaluation.metadata["p_limit"].value
    assert next(iter(evaluation.metadata)) == "drifted_features"
    assert set(days_made(instance, DRIFT)) == set(landing_zone(home, TELEMETRY).days(NULL_ISLAND.name))


def test_a_judged_day_has_one_row_a_sensor_and_a_reference_day_says_why_it_has_none(drifting, instance):
    home, _ = drifting
    first_day = read_fleet(home).first_day
    table = tables_of(home, NULL_ISLAND.name, "turbofan").read(INPUT_DRIFT)
    counts = dict(table.group_by("event_date").len().iter_rows())
    assert counts == {first_day + timedelta(days=number): len(WATCHED.features) for number in range(15, 25)}
    evaluation = evaluations(instance, DRIFT, DRIFT_CHECK)[str(first_day + timedelta(days=7))]
    assert evaluation.passed
    assert "are the reference" in evaluation.metadata["not_compared"].value


def predictions(truth, *, late):
    """What a model would have said that is late by so many cycles."""
    return truth.select(
        "unit",
        "cycle",
        pl.lit(EAST.name).alias("region"),
        pl.col("known_at").alias("recorded_at"),
        (pl.col("rul_cycles").clip(upper_bound=125) + late).cast(pl.Float64).alias("rul_cycles"),
        pl.lit(None, pl.Float64).alias("lower_cycles"),
        pl.lit(None, pl.Float64).alias("upper_cycles"),
        pl.lit("turbofan_remaining_useful_life").alias("model"),
        pl.lit("1").alias("version"),
    )


@pytest.fixture
def quality(home, watched, tmp_path):
    """Asks for EAST's prediction quality after some truth and predictions were put there."""
    key = regional_key(EAST, "prediction_quality")

    def measure(late):
        truth = pl.DataFrame(
            {
                "unit": [f"T-L{n:04d}" for n in range(8)],
                "cycle": [60] * 8,
                "rul_cycles": range(20, 180, 20),
                "known_at": [datetime(2026, 1, 1, tzinfo=UTC)] * 8,
            }
        )
        landing_zone(home, TELEMETRY).land_events(EAST.name, "truth", name="more", events=truth)
        tables = tables_of(home, EAST.name, "turbofan")
        tables.replace(FLEET_PREDICTIONS, predictions(truth, late=late))
        with dg.DagsterInstance.ephemeral() as instance:
            result = executor_for(home, watched)(instance, [regional_key(EAST, "truth_events"), key])
            assert result.success
            return evaluations(instance, key, TRUTH_CHECK)[None], tables.read(PREDICTION_QUALITY)

    return measure


@pytest.mark.slow
def test_predictions_near_the_truth_pass_and_an_absent_interval_is_not_applicable(quality):
    found, rows = quality(late=3.0)
    assert found.passed
    assert found.metadata["rmse_cycles"].value == pytest.approx(3.0)
    assert found.metadata["bias_cycles"].value == pytest.approx(3.0)
    assert found.metadata["coverage"].value == "not applicable: the model predicts no intervals"
    assert rows.height == 8


@pytest.mark.slow
def test_predictions_far_from_the_truth_warn_with_numbers_and_fail_nothing(quality):
    found, _ = quality(late=30.0)
    assert not found.passed
    assert found.severity == dg.AssetCheckSeverity.WARN
    assert found.description == "RMSE 30.0 cycles (allowed: 25); bias +30.0 cycles (allowed: 10 either way)"


def freshness(home, watched):
    key = regional_key(EAST, "rows_by_day")
    days = landing_zone(home, TELEMETRY).days(EAST.name)
    with dg.DagsterInstance.ephemeral() as instance:
        raw = regional_key(EAST, "raw_telemetry")
        assert executor_for(home, watched)(instance, [raw, key], (days[0], days[-1])).success
        return evaluations(instance, key, FRESH_CHECK)[None]


@pytest.mark.slow
def test_a_region_that_sent_rows_yesterday_is_fresh(home, watched):
    found = freshness(home, watched)
    assert found.passed
    assert found.metadata["silent_days"].value == "none"
    rows = tables_of(home, EAST.name, "turbofan").read(ROWS_BY_DAY).sort("event_date")
    assert rows.height == 25
    assert found.metadata["rows_yesterday"].value == rows["rows"][-1]


@pytest.mark.slow
def test_a_region_silent_since_a_day_is_named_with_its_silent_days(home, watched):
    *_, before, last = landing_zone(home, TELEMETRY).days(EAST.name)
    shutil.rmtree(landing_root(home, EAST.name, "turbofan") / str(last))
    found = freshness(home, watched)
    assert not found.passed
    assert found.description == f"EAST sent no row on {last}; the last rows are of {before}"
    assert found.metadata["silent_days"].value == str(last)
