"""A deployment's steps become a problem: residency follows the data on each edge, and nothing is lost in silence."""

from dataclasses import replace
from datetime import UTC, datetime, time

import pytest

from sinet_pipelines.errors import InventoryError, PlacementInputError, UnknownHardwareError, UnknownRegionError
from sinet_pipelines.inventory.figures import Figure, assumed
from sinet_pipelines.inventory.sites import TeamQuota
from sinet_pipelines.placement.assembly import Read, assemble, lines_of
from sinet_pipelines.placement.needs import Needs
from sinet_pipelines.placement.options import Work
from sinet_pipelines.placement.planner import INFEASIBLE, plan
from sinet_pipelines.placement.policies import policy_of
from sinet_pipelines.placement.report import facts_of, plan_facts
from sinet_pipelines.schemas.contract import DataClass
from tests.inventory import EAST, NULL_ISLAND, REGIONS, WEST

CHEAPEST = policy_of("cheapest")
NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
ROWS = Work("EAST/mill/rows", "EAST", "cpu", data_class=DataClass.RAW, table="rows", pinned_by="its key says EAST")
FEATURES = replace(ROWS, asset="EAST/mill/features", data_class=DataClass.FEATURE, table="features", bytes=2**30)
WINDOWS = replace(ROWS, asset="EAST/mill/windows", data_class=DataClass.SEQUENCE, table="windows")
MODEL = Work(
    "mill/model", "EAST", "cpu", data_class=DataClass.MODEL, open_to=(("WEST", "cpu"),), pinned_by="bound to EAST"
)
CHAIN = [ROWS, FEATURES, WINDOWS, MODEL]
READS = [Read(ROWS.asset, FEATURES.asset), Read(ROWS.asset, WINDOWS.asset), Read(FEATURES.asset, MODEL.asset)]


def regions_of(assembly, name):
    return set(assembly.problem.by_name[name].regions)


def test_features_may_be_read_elsewhere_and_rows_may_not():
    found = assemble(CHAIN, READS, REGIONS, start=NOON)
    assert regions_of(found, MODEL.asset) == {"EAST", "WEST"}
    reasons = {(one.region, one.rule): one.reason for one in found.removed[FEATURES.asset]}
    assert reasons["WEST", "residency"] == "reads EAST/mill/rows: class raw never leaves its region"


def test_residency_follows_the_data_that_are_read_not_the_class_of_the_reader():
    found = assemble(CHAIN, [*READS, Read(WINDOWS.asset, MODEL.asset, "training")], REGIONS, start=NOON)
    assert regions_of(found, MODEL.asset) == {"EAST"}
    (removed,) = [one for one in found.removed[MODEL.asset] if (one.region, one.hardware) == ("WEST", "cpu")]
    assert removed.rule == "residency"
    assert "under an agreement for windows to WEST, and there is none" in removed.reason


def test_a_lost_region_moves_what_may_move_and_explains_the_rest():
    found = assemble(CHAIN, READS, REGIONS, without=["EAST"], start=NOON)
    planned = plan(found.problem, CHEAPEST)
    facts = plan_facts(found, planned, without=["EAST"], seconds=0.1)
    (placed,) = facts["placements"]
    assert (placed["asset"], placed["region"], placed["moved_from"]) == ("mill/model", "WEST", "EAST")
    assert placed["reason"] == (
        "moved from EAST: EAST is left out; the only place left; its input EAST/mill/features has no place"
    )
    assert facts["unplaced"][0] == {"asset": "EAST/mill/rows", "reason": "EAST is left out; its key says EAST"}
    assert len(facts["unplaced"]) == 3


def test_the_facts_of_a_plan_add_up():
    found = assemble(CHAIN, READS, REGIONS, start=NOON)
    facts = plan_facts(found, plan(found.problem, CHEAPEST), without=[], seconds=0.1)
    total = sum(one["cost_usd"] for one in facts["placements"])
    assert facts["totals"]["cost_usd"] == pytest.approx(total)
    assert sum(one["cost_usd"] for one in facts["totals"]["by_region"].values()) == pytest.approx(total)
    assert (facts["answer"], facts["gap"], facts["unplaced"]) == ("optimal", 0.0, [])
    alone = facts_of(facts, MODEL.asset)
    assert [one["asset"] for one in alone["placements"]] == [MODEL.asset]
    (loser,) = [one for one in alone["placements"][0]["losers"] if one["regret_usd"] is not None]
    assert (loser["region"], loser["reason"].split(" (")[0]) == ("WEST", "counts $0.02 more")
    assert "wins if cpu (reserved) in EAST costs more than $0.06/h" in alone["placements"][0]["reason"]


def test_what_is_sent_to_an_endpoint_is_an_edge_that_orders_nothing():
    endpoint = replace(MODEL, asset="mill/endpoint", region="WEST", open_to=())
    answers = replace(FEATURES, asset="EAST/mill/answers")
    reads = [*READS, Read(MODEL.asset, endpoint.asset), Read(endpoint.asset, answers.asset)]
    sent = Read(FEATURES.asset, endpoint.asset, "inference", is_order=False, reader=answers.asset)
    found = assemble([*CHAIN, endpoint, answers], [*reads, sent], REGIONS, start=NOON)
    (edge,) = [one for one in found.problem.edges if one.source == FEATURES.asset and one.target == endpoint.asset]
    assert not edge.is_order
    assert plan(found.problem, CHEAPEST).figures.copies[FEATURES.asset, "WEST"] == 20_000


def test_a_latest_finish_is_the_next_moment_of_that_time_of_day():
    def latest(moment):
        work = replace(MODEL, needs=Needs(latest_finish=moment))
        return assemble([work], [], REGIONS, start=NOON).problem.assets[0].latest_ms

    assert latest(time(13, 30)) == 90 * 60 * 1000
    assert latest(time(6, 0)) == 18 * 3_600_000


def test_quotas_and_power_of_the_inventory_bind_the_plan_and_are_named_when_they_clash():
    full = replace(EAST, team_quotas=(TeamQuota("predictive-maintenance", "cpu", 1),))
    dark = replace(WEST, power_cap_kw=Figure(0.005, "a test"))
    work = replace(MODEL, hours=25.0)
    found = assemble([work], [], [full, dark, NULL_ISLAND], start=NOON)
    planned = plan(found.problem, CHEAPEST)
    assert planned.answer == INFEASIBLE
    assert planned.because == (
        "quota of predictive-maintenance for cpu in EAST: 24 device hours",
        "power cap of WEST: 0.005 kW",
    )
    facts = plan_facts(found, planned, without=[], seconds=0.1)
    assert facts["placements"] == []
    assert facts["unplaced"][0]["reason"].startswith("no plan satisfies these rules together: quota of predictive")


@pytest.mark.parametrize(
    ("place", "error", "message"),
    [
        ("NORTH", UnknownRegionError, r"no region 'NORTH' \(known: EAST, WEST, NULL_ISLAND\); leave out one of these"),
        ("WEST/fpga", UnknownHardwareError, "WEST has no 'fpga' on site"),
    ],
)
def test_a_place_to_leave_out_that_does_not_exist_is_refused(place, error, message):
    with pytest.raises(error, match=message):
        assemble(CHAIN, READS, REGIONS, without=[place])


def test_a_link_without_bandwidth_is_refused():
    link = replace(EAST.link("WEST"), gbit_per_s=assumed(0.0, "a test"))
    with pytest.raises(PlacementInputError, match="the link from EAST to WEST has a bandwidth of 0 Gbit/s"):
        lines_of([replace(EAST, links=(link,)), WEST])


def test_a_quota_without_a_team_is_refused():
    with pytest.raises(InventoryError, match="a quota names team and hardware"):
        TeamQuota("", "cpu", 1.0)


def test_an_asset_that_moves_though_its_own_place_is_allowed_names_what_it_would_add_there():
    data = Work("mill/data", "WEST", "cpu", bytes=2**40)
    step = Work("mill/step", "EAST", "nvidia-a100", Needs(count=1), open_to=(("WEST", "nvidia-a100"),))
    found = assemble([data, step], [Read("mill/data", "mill/step")], REGIONS, start=NOON)
    facts = plan_facts(found, plan(found.problem, CHEAPEST), without=[], seconds=0.1)
    placed = facts["placements"][1]
    assert (placed["region"], placed["moved_from"]) == ("WEST", "EAST")
    more = next(one["regret_usd"] for one in placed["losers"] if one["region"] == "EAST" and not one["rule"])
    assert placed["reason"].startswith(f"moved from EAST, where it counts ${more:.4g} more; the cheapest plan uses")


def test_the_losers_of_each_policy_are_in_its_own_unit():
    work = replace(MODEL, needs=Needs(count=1, is_preemptible=True), hardware="nvidia-a100", open_to=())
    found = assemble([work], [], REGIONS, start=NOON)

    def placed(policy):
        (one,) = plan_facts(found, plan(found.problem, policy_of(policy)), without=[], seconds=0.1)["placements"]
        return one, next(loser for loser in one["losers"] if not loser["rule"])

    cheap, _ = placed("cheapest")
    green, loser = placed("greenest")
    assert (cheap["flavour"], green["flavour"], loser["flavour"]) == ("spot", "reserved", "spot")
    assert green["reason"].startswith("the plan with the least carbon uses this one of 2 options")
    assert loser["reason"].startswith(f"has {loser['regret_co2_g']:.4g} g of CO2 more (the others optimised again)")
    assert loser["regret_usd"] == pytest.approx(cheap["cost_usd"] - green["cost_usd"])
    weighted = placed("weighted")[1]
    assert (weighted["regret_usd"], weighted["regret_weighted_usd"] > 0) == (None, True)


def test_a_quota_that_no_asset_can_use_is_noted_and_does_not_change_how_the_plan_is_made():
    other = replace(EAST, team_quotas=(TeamQuota("predictiv-maintenance", "cpu", 4),))
    found = assemble(CHAIN, READS, [other, WEST, NULL_ISLAND], start=NOON)
    planned = plan(found.problem, CHEAPEST)
    assert (found.problem.quotas, planned.solver) == ((), "dynamic programming")
    notes = plan_facts(found, planned, without=[], seconds=0.1)["notes"]
    assert any(one.startswith("quota of predictiv-maintenance for cpu in EAST: 96 device hours: no") for one in notes)


def test_a_speed_that_no_data_sheet_compares_is_noted():
    kinds = {kind.id: kind for kind in EAST.catalogue}
    bare = replace(kinds["nvidia-h100"], peak_tflops={})
    catalogue = tuple(bare if kind.id == bare.id else kind for kind in EAST.catalogue)
    work = replace(MODEL, hardware="nvidia-a100", needs=Needs(count=1), open_to=(("EAST", "nvidia-h100"),))
    found = assemble([work], [], [replace(one, catalogue=catalogue) for one in REGIONS], start=NOON)
    assert found.notes == ("the speed of nvidia-h100 against nvidia-a100 is unknown and counts as equal",)
    assert len({one.duration_ms for one in found.problem.assets[0].options}) == 1


def test_a_plan_of_nothing_reports_why_and_has_no_notes_about_numbers():
    full = replace(EAST, team_quotas=(TeamQuota("predictive-maintenance", "cpu", 4),))
    everywhere = [one.name for one in REGIONS]
    found = assemble(CHAIN, READS, [full, WEST, NULL_ISLAND], without=everywhere, start=NOON)
    facts = plan_facts(found, plan(found.problem, CHEAPEST), without=everywhere, seconds=0.1)
    assert (facts["answer"], facts["placements"], len(facts["unplaced"])) == ("optimal", [], len(CHAIN))
    assert not any(note.startswith(("duration", "size")) for note in facts["notes"])
