"""Milling from its drops to an answering endpoint, in one home that all tests here read."""

import json

import dagster as dg
import polars as pl
import pytest

import sinet_pipelines
from sinet_pipelines.applications.milling.application import MILLING
from sinet_pipelines.applications.milling.delivery import land_simulated
from sinet_pipelines.applications.milling.production import read_production
from sinet_pipelines.applications.milling.tables import (
    EVALUATION_RESULTS,
    FAILURE_PREDICTIONS,
    PREDICTION_QUALITY,
    TRAINING_SET,
)
from sinet_pipelines.features.splits import is_held_out
from sinet_pipelines.storage.tables import content_hash, tables_of
from tests.inventory import NAMES, REGIONS
from tests.walk.homes import opened

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def walked(desk, tmp_path_factory):
    """A home of 4,000 simulated products with planted faults, and what `sinet run milling --json` printed."""
    home = tmp_path_factory.mktemp("milling") / "home"
    home.mkdir()
    land_simulated(home, records=4000, regions=NAMES)
    result = desk("run", "milling", "--home", home, "--json")
    yield home, json.loads(result.stdout)
    desk("stop", "--home", home)


def table(home, contract, region):
    return tables_of(home, region, MILLING.name).read(contract)


def everywhere(home, contract):
    return pl.concat(table(home, contract, region.name) for region in REGIONS)


def test_only_milling_is_walked_where_only_milling_landed(walked):
    _, result = walked
    assert {asset["application"] for asset in result["assets"]} == {"milling"}
    assert result["failed"] == []
    assert {asset["asset"] for asset in result["assets"] if asset["state"] not in ("done", "partial")} == set()


def test_the_endpoint_answers_with_the_champion(walked):
    _, result = walked
    (endpoint,) = result["endpoints"]
    assert (endpoint["model"], endpoint["region"], endpoint["ready"]) == ("milling_machine_failure", "WEST", True)
    (champion,) = (model for model in result["models"] if "champion" in model["aliases"])
    assert champion["name"] == endpoint["model"]


def test_the_training_set_of_the_champion_is_recorded_and_read_again_after_retention(walked, desk):
    home, _ = walked
    result = json.loads(desk("retain", "--home", home, "--json").stdout)
    found = sinet_pipelines.open(home).training_set("milling_machine_failure@champion")
    rows = table(home, TRAINING_SET, "EAST")
    assert content_hash(found.to_polars(), TRAINING_SET) == content_hash(rows, TRAINING_SET) == found.record.content
    assert set(found.record.tables) == {
        f"{region}/milling/{name}" for region in NAMES for name in ("process_features", "outcome_events")
    }
    assert [one["because"][0] for one in result["kept"] if one["kind"] == "training sets"] == [
        "model milling_machine_failure@1"
    ]
    assert [one for one in result["going"] if one["kind"] not in ("table files",)] == []


def test_planted_faults_are_quarantined_and_the_account_closes(walked):
    home, result = walked
    rows, planted = result["rows"], read_production(home).planted
    assert rows["sent"] == rows["landed"] + rows["duplicates"]
    assert rows["landed"] == rows["in_tables"] + rows["quarantined"] + rows["withheld"] + rows["pending"]
    in_rows = ("out_of_range", "missing_value", "text_in_number", "unknown_type", "conflicting_record")
    assert rows["quarantined"] == sum(fault.rows for fault in planted if fault.kind in in_rows)
    assert rows["duplicates"] == sum(fault.rows for fault in planted if fault.kind == "exact_copies")
    assert rows["withheld"] == sum(fault.rows for fault in planted if fault.kind == "other_unit")


def test_the_planted_drift_is_seen_and_no_other(walked):
    home, _ = walked
    (drift,) = (fault for fault in read_production(home).planted if fault.kind == "drift")
    table_of = {region.name: table(home, MILLING.table("input_drift"), region.name) for region in REGIONS}
    drifted = {name: rows.filter("drifted") for name, rows in table_of.items()}
    assert {name for name, rows in drifted.items() if rows.height} == {drift.region}
    assert drifted[drift.region]["event_date"].min() >= drift.day
    assert "power_w" in drifted[drift.region]["feature"].to_list()


def test_no_product_that_is_judged_or_predicted_was_trained_on(walked):
    home, _ = walked
    trained = set(table(home, TRAINING_SET, "EAST")["product_id"])
    assert trained
    assert not any(is_held_out(name) for name in trained)
    assert not trained & set(table(home, MILLING.table("evaluation_set"), "EAST")["product_id"])
    assert not trained & set(everywhere(home, FAILURE_PREDICTIONS)["product_id"])


def test_the_model_is_judged_beside_its_baselines_by_type_region_and_origin(walked):
    home, _ = walked
    results = table(home, EVALUATION_RESULTS, "EAST")
    assert set(results["slice"]) == {"all", "product_type", "region", "origin"}
    overall = {row["predictor"]: row for row in results.filter(pl.col("slice") == "all").iter_rows(named=True)}
    assert set(overall) == {"gradient_boosting", "random_forest", "average", "logistic", "published_rules"}
    assert overall["gradient_boosting"]["f1"] > overall["logistic"]["f1"] + 0.2
    assert overall["gradient_boosting"]["pr_auc"] > 0.8


def test_predictions_of_the_newest_days_stand_beside_their_outcomes(walked):
    home, _ = walked
    predicted, matched = everywhere(home, FAILURE_PREDICTIONS), everywhere(home, PREDICTION_QUALITY)
    assert predicted.height == matched.height > 500
    warned = matched.filter("is_warned")
    assert warned.height
    assert warned["machine_failure"].mean() > 0.5


def test_raw_values_leave_a_region_under_agreements_alone(walked):
    home, _ = walked
    with opened(home) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey(["milling", "onnx_models"]))
    assert "agree within" in str(event.asset_materialization.metadata["agreement"].value)
    for region in REGIONS:
        here = {path.name for path in (home / region.name).glob(f"*/{MILLING.name}/[!.]*")}
        assert {"raw_records", "validated_records", "process_features"} <= here


def test_predict_answers_for_the_products_of_a_file(walked, desk, tmp_path):
    home, _ = walked
    from sinet_pipelines.applications.milling.reader import HEADERS
    from sinet_pipelines.applications.milling.simulator import simulate_records

    rows = simulate_records(records=20, seed=9)
    published = rows.select(pl.col(column.name).alias(header) for header, column in HEADERS.items())
    published.write_csv(tmp_path / "products.csv")
    answer = json.loads(desk("predict", "--home", home, "--window", tmp_path / "products.csv", "--json").stdout)
    assert len(answer["predictions"]) == 20
    assert all(0 <= one["failure_probability"] <= 1 for one in answer["predictions"])
