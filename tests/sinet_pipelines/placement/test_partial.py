"""Where rules clash, the assets of the clash have no place, each with the clash, and all others are placed."""

from dataclasses import replace
from datetime import UTC, datetime, time

from sinet_pipelines.inventory.sites import TeamQuota
from sinet_pipelines.placement import planner
from sinet_pipelines.placement.assembly import Read, assemble
from sinet_pipelines.placement.needs import Needs
from sinet_pipelines.placement.options import Work
from sinet_pipelines.placement.partial import plan_what_fits
from sinet_pipelines.placement.planner import INFEASIBLE, OPTIMAL, plan
from sinet_pipelines.placement.policies import policy_of
from sinet_pipelines.placement.report import plan_facts
from sinet_pipelines.schemas.contract import DataClass
from tests.inventory import EAST, NULL_ISLAND, REGIONS, WEST

CHEAPEST = policy_of("cheapest")
NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
FIRST = Work("mill/first", "EAST", "cpu")
LATE = replace(FIRST, asset="mill/late", needs=Needs(latest_finish=time(12, 30)))
OTHER = replace(FIRST, asset="mill/other")


def test_one_deadline_that_nobody_meets_leaves_the_others_their_places():
    reads = [Read("mill/late", "mill/other")]
    assembly, found = plan_what_fits(assemble([FIRST, LATE, OTHER], reads, REGIONS, start=NOON), CHEAPEST)
    facts = plan_facts(assembly, found, without=[], seconds=0.1)
    assert [one["asset"] for one in facts["placements"]] == ["mill/first", "mill/other"]
    assert facts["placements"][1]["missing_inputs"] == ["mill/late"]
    deadline = "latest finish of mill/late: 1800 s after the start"
    assert (facts["answer"], facts["because"]) == (OPTIMAL, [deadline])
    reason = f"no plan satisfies these rules together: {deadline}"
    assert facts["unplaced"] == [{"asset": "mill/late", "reason": reason}]


def test_two_readers_in_different_regions_of_data_that_never_move_cost_one_of_them_its_place():
    data = replace(FIRST, asset="mill/data", open_to=(("WEST", "cpu"),), data_class=DataClass.SEQUENCE, table="data")
    readers = [replace(FIRST, asset=f"mill/{region}", region=region) for region in ("EAST", "WEST")]
    reads = [Read("mill/data", one.asset, "training") for one in readers]
    whole = assemble([data, *readers, OTHER], reads, REGIONS, start=NOON)
    assert plan(whole.problem, CHEAPEST).answer == INFEASIBLE
    assembly, found = plan_what_fits(whole, CHEAPEST)
    ((name, reason),) = assembly.unplaced.items()
    assert name in ("mill/EAST", "mill/WEST")
    assert len(found.chosen) == 3
    assert reason.startswith("no plan satisfies these rules together: residency of mill/data")


def test_a_quota_that_does_not_hold_all_steps_costs_the_largest_its_place():
    full = replace(EAST, team_quotas=(TeamQuota("predictive-maintenance", "cpu", 1),))
    works = [replace(FIRST, asset=f"mill/{hours}", hours=float(hours)) for hours in (3, 20, 10)]
    whole = assemble(works, [], [full, WEST, NULL_ISLAND], start=NOON)
    assembly, found = plan_what_fits(whole, CHEAPEST)
    assert (set(found.chosen), list(assembly.unplaced)) == ({"mill/3", "mill/10"}, ["mill/20"])


def test_where_nothing_fits_the_answer_is_that_of_the_whole():
    whole = assemble([LATE], [], REGIONS, start=NOON)
    assembly, found = plan_what_fits(whole, CHEAPEST)
    assert (found.answer, assembly) == (INFEASIBLE, whole)


def test_a_rule_that_no_search_proved_is_marked(monkeypatch):
    whole = assemble([FIRST, LATE], [], REGIONS, start=NOON)
    monkeypatch.setattr(planner, "is_feasible", lambda *_: None)
    found = plan(whole.problem, CHEAPEST)
    late = "latest finish of mill/late: 1800 s after the start (perhaps: the search without it ended early)"
    assert (found.answer, found.because) == (INFEASIBLE, (late,))
