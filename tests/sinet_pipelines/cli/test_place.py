"""`sinet place` places every asset of every application, and without a region what may move moves."""

import json
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from resources.deployment import this_deployment
from resources.planning import reads_of, works_of
from sinet_pipelines.cli.home import home_if_run, no_fleet
from sinet_pipelines.cli.main import app
from sinet_pipelines.cli.place import _name_of, _print_asset, _print_plan, moment_of
from sinet_pipelines.errors import UsageError
from sinet_pipelines.placement.assembly import assemble
from sinet_pipelines.placement.planner import plan
from sinet_pipelines.placement.policies import policy_of
from sinet_pipelines.placement.report import facts_of, plan_facts
from tests.conftest import CHECKOUT


@pytest.fixture(scope="module")
def graph(definitions):
    return definitions.resolve_asset_graph()


def facts(graph, home, *, without=(), policy="cheapest"):
    deployment = this_deployment(home)
    works = works_of(graph, deployment, without=without)
    found = assemble(works, reads_of(graph, works), deployment.regions, without=without)
    return plan_facts(found, plan(found.problem, policy_of(policy)), without=without, seconds=0.0)


def test_every_asset_of_every_application_is_placed_where_its_definition_allows(graph, tmp_path):
    found = facts(graph, tmp_path)
    assert (found["answer"], found["gap"], found["unplaced"]) == ("optimal", 0.0, [])
    places = {one["asset"]: one for one in found["placements"]}
    assert set(places) == {key.to_user_string() for key in graph.executable_asset_keys}
    for name, one in places.items():
        region = name.split("/")[0]
        assert region == one["region"] or region not in ("EAST", "WEST", "NULL_ISLAND")
        assert one["reason"]
        assert len(one["losers"]) >= 14  # of 15 places, and spot beside reserved
    keys = {"asset", "region", "hardware", "count", "flavour", "cost_usd", "transfer_s", "wait_s", "co2_g", "reason"}
    assert keys | {"losers"} <= set(found["placements"][0])
    network = places["turbofan/temporal_convolution"]
    assert (network["hardware"], network["flavour"], network["count"]) == ("nvidia-h100", "spot", 1)
    assert "nvidia-a100 (spot) in EAST wins if nvidia-h100 (spot) in EAST costs more than" in network["reason"]


def test_without_a_region_nothing_is_there_and_training_moves_to_the_one_that_stands_in(graph, tmp_path):
    found = facts(graph, tmp_path, without=["EAST"])
    assert {one["region"] for one in found["placements"]} == {"WEST", "NULL_ISLAND"}
    moved = {one["asset"]: one["region"] for one in found["placements"] if one["moved_from"] == "EAST"}
    assert moved["turbofan/training_set"] == moved["milling/gradient_boosting"] == "WEST"
    reasons = {one["asset"]: one["reason"] for one in found["unplaced"]}
    assert reasons["EAST/turbofan/raw_telemetry"] == "EAST is left out; its key says EAST"
    assert (
        "class sequence leaves NULL_ISLAND only under an agreement for training_sequences to WEST"
        in (reasons["turbofan/temporal_convolution"])
    )
    assert len(found["placements"]) + len(found["unplaced"]) == len(graph.executable_asset_keys)


def test_the_fastest_plan_of_the_graph_ends_no_later_than_the_cheapest(graph, tmp_path):
    cheapest, fastest = facts(graph, tmp_path)["totals"], facts(graph, tmp_path, policy="fastest")["totals"]
    assert fastest["finish_s"] <= cheapest["finish_s"]
    assert fastest["cost_usd"] >= cheapest["cost_usd"]


def test_people_see_a_table_and_the_reasons(graph, tmp_path, capsys):
    found = facts(graph, tmp_path, without=["EAST"])
    _print_plan(found)
    text = capsys.readouterr().out
    assert "milling/training_set" in text
    assert "no place: EAST/milling/landing_zone: EAST is left out; its key says EAST" in text
    assert "optimal by dynamic programming" in text
    _print_asset(facts_of(found, "turbofan/training_set"))
    assert "turbofan/training_set: WEST on cpu, reserved" in capsys.readouterr().out


def test_an_asset_is_found_by_its_last_part_and_others_are_named():
    names = ["EAST/mill/rows", "WEST/mill/rows", "mill/model"]
    assert _name_of("model", names) == _name_of("mill/model", names) == "mill/model"
    with pytest.raises(UsageError, match="'rows' is the last part of 2 assets; name one: EAST/mill/rows, WEST/mill/"):
        _name_of("rows", names)
    with pytest.raises(UsageError, match="no step makes an asset 'mode'; name one: mill/model"):
        _name_of("mode", names)


def test_a_start_is_a_moment_in_utc():
    noon = datetime(2026, 11, 28, 12, tzinfo=UTC)
    assert moment_of("2026-11-28T12:00") == moment_of("2026-11-28T21:00+09:00") == noon
    with pytest.raises(UsageError, match="--start is 'noon'; write a moment as 2026-11-28T12:00"):
        moment_of("noon")


def test_a_folder_without_a_fleet_is_no_home(tmp_path):
    assert home_if_run(tmp_path / "none #%") is None
    assert no_fleet(tmp_path / "none #%") == f"no fleet in {tmp_path}/none #%"


def test_one_asset_alone_is_explained_in_a_plan_of_all(graph, tmp_path):
    deployment = this_deployment(tmp_path)
    works = works_of(graph, deployment)
    found = assemble(works, reads_of(graph, works), deployment.regions)
    planned = plan(found.problem, policy_of("cheapest"))
    alone = plan_facts(found, planned, without=(), seconds=0.0, asset="turbofan/endpoint")
    assert [one["asset"] for one in alone["placements"]] == ["turbofan/endpoint"]
    assert alone["totals"] == plan_facts(found, planned, without=(), seconds=0.0)["totals"]


@pytest.mark.slow
def test_the_command_prints_json_alone_and_plans_without_a_home(monkeypatch, tmp_path):
    monkeypatch.setenv("SINET_PROJECT", str(CHECKOUT))
    command = ["place", "turbofan/endpoint", "--json", "--home", str(tmp_path), "--start", "2026-11-28T12:00"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert [(one["asset"], one["region"]) for one in found["placements"]] == [("turbofan/endpoint", "WEST")]
    assert (found["home"], found["start"]) == (None, "2026-11-28T12:00:00+00:00")
    reason = "durations and sizes are declared ones"
    assert found["notes"][0] == f"no past run was used (no fleet in {tmp_path}): {reason}"
