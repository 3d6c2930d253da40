"""Policies with an order: no plan has less carbon, or moves less, and cost decides among plans that are equal in it."""

import math
from dataclasses import replace

import numpy as np
import pytest

from sinet_pipelines.errors import PlacementInputError, UsageError
from sinet_pipelines.placement import planner
from sinet_pipelines.placement.checker import require_plan
from sinet_pipelines.placement.collapse import kept_options
from sinet_pipelines.placement.highs import Limits
from sinet_pipelines.placement.planner import DYNAMIC, FEASIBLE, OPTIMAL, plan
from sinet_pipelines.placement.policies import policy_of
from sinet_pipelines.placement.problem import GIB, Asset, Edge, Line, Option, Problem, Quota
from tests.placement_problems import HOUR_MS, every_assignment, random_problem


def moved_kib(problem, rows):
    """The KiB of all copies of each assignment, counted one by one."""
    totals = []
    for row in rows:
        regions = {one.name: one.options[at].region for one, at in zip(problem.assets, row, strict=True)}
        copies = {(edge.source, regions[edge.target]) for edge in problem.edges}
        sizes = [-(-problem.by_name[a].bytes // 1024) for a, region in copies if regions[a] != region]
        totals.append(sum(sizes))
    return np.array(totals)


@pytest.fixture
def searched(monkeypatch):
    """Joint rules begin the search, though the best plan without them satisfies them."""

    def search(problem, policy, limits):
        return planner._searched(problem, policy, limits, kept=kept_options(problem, policy))

    monkeypatch.setattr(planner, "_with_joint_rules", search)


@pytest.mark.usefixtures("searched")
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("has_quota", [False, True])
def test_no_plan_has_less_carbon_and_none_of_equal_carbon_costs_less(seed, has_quota):
    quotas = (Quota("x", "gpu", HOUR_MS),) if has_quota else ()
    problem = replace(random_problem(seed, assets=6, options=4), quotas=quotas)
    assets = tuple(
        replace(a, options=tuple(replace(o, carbon_mg=o.carbon_mg // 30_000) for o in a.options))
        for a in problem.assets
    )
    problem = replace(problem, assets=assets)
    _, every = every_assignment(problem)
    least = every["carbon"][every["allowed"]].min()
    cheapest = every["cost"][every["allowed"] & (every["carbon"] == least)].min()
    found = plan(problem, policy_of("greenest"))
    assert (found.answer, found.solver == DYNAMIC) == (OPTIMAL, not has_quota)
    assert (found.figures.carbon_mg, found.figures.cost_microusd) == (least, cheapest)


@pytest.mark.usefixtures("searched")
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("has_quota", [False, True])
def test_no_plan_moves_less_data_and_none_that_moves_as_little_costs_less(seed, has_quota):
    quotas = (Quota("x", "gpu", HOUR_MS),) if has_quota else ()
    problem = replace(random_problem(seed, assets=6, options=4), quotas=quotas)
    rows, every = every_assignment(problem)
    moved = moved_kib(problem, rows)
    least = moved[every["allowed"]].min()
    cheapest = every["cost"][every["allowed"] & (moved == least)].min()
    found = plan(problem, policy_of("closest"))
    assert found.answer == OPTIMAL
    (own,) = moved_kib(problem, [[found.chosen[one.name] for one in problem.assets]])
    assert (own, found.figures.cost_microusd) == (least, cheapest)


def test_a_dear_step_next_to_its_data_is_closest():
    data = Asset("data", (Option("WEST", "cpu", 0, "reserved", 1, 1),), bytes=32 * 2**20)
    near = Option("WEST", "nvidia-a100", 8, "reserved", 1_623_000_000, HOUR_MS)
    far = Option("EAST", "nvidia-h100", 8, "reserved", 1_104_000_000, HOUR_MS)
    lines = {(a, b): Line(20_000, 100, 1) for a in ("EAST", "WEST") for b in ("EAST", "WEST") if a != b}
    problem = Problem((data, Asset("step", (far, near))), (Edge("data", "step"),), lines)
    assert plan(problem, policy_of("closest")).chosen["step"] == 1
    assert plan(problem, policy_of("cheapest")).chosen["step"] == 0


@pytest.mark.usefixtures("searched")
def test_data_that_move_for_nothing_count_under_a_quota_too():
    place = Option("A", "cpu", 0, "reserved", 5, 1)
    readers = tuple(Asset(name, (replace(place, region="B"), place), team="x") for name in ("one", "two"))
    problem = Problem(
        (Asset("data", (place,), bytes=GIB), *readers),
        (Edge("data", "one"), Edge("data", "two")),
        {("A", "B"): Line(0, 0, 0), ("B", "A"): Line(0, 0, 0)},
        (Quota("x", "gpu", 1),),
    )
    assert plan(problem, policy_of("closest")).chosen == {"data": 0, "one": 1, "two": 1}


def test_large_sums_are_planned_and_larger_ones_refused_in_a_sentence():
    asset = Asset("long", (Option("A", "cpu", 0, "reserved", 1, 16 * HOUR_MS),))
    found = plan(Problem((asset,)), policy_of("weighted:usd_per_hour=100000000"))
    assert (found.answer, found.figures.counted) == (OPTIMAL, 16 * 10**14 + 1)
    years = replace(asset, options=(replace(asset.options[0], duration_ms=20_000 * HOUR_MS),))
    with pytest.raises(PlacementInputError, match=r"counted exactly; lower its weights, or the prices"):
        plan(Problem((years,)), policy_of("weighted:usd_per_hour=100000000"))
    with pytest.raises(UsageError, match="the weight usd_per_hour=99999999999999 is too large"):
        policy_of("weighted:usd_per_hour=99999999999999")


def test_thousands_of_forbidden_pairs_do_not_overflow():
    options = tuple(Option(region, "cpu", 0, "reserved", cost, 1) for region, cost in (("A", 1), ("B", 2)))
    readers = tuple(Asset(f"r{number}", options) for number in range(40))
    edges = tuple(Edge("source", one.name, {("A", "A"): "x", ("A", "B"): "x"}) for one in readers)
    problem = Problem((Asset("source", options), *readers), edges)
    lines = {(a, b): Line(0, 0, 0) for a in "AB" for b in "AB" if a != b}
    found = plan(replace(problem, lines=lines), policy_of("cheapest"))
    assert (found.answer, found.chosen["source"], found.figures.counted) == (OPTIMAL, 1, 2 + 40)


@pytest.mark.usefixtures("searched")
@pytest.mark.parametrize("policy", ["cheapest", "fastest", "greenest"])
@pytest.mark.parametrize("limits", [Limits(seconds=0.0), Limits(nodes=0)])
def test_a_search_that_ends_early_has_a_finite_gap_or_none_and_a_feasible_answer_has_a_plan(policy, limits):
    problem = replace(random_problem(2, assets=7), quotas=(Quota("x", "gpu", HOUR_MS),))
    found = plan(problem, policy_of(policy), limits=limits)
    assert found.gap is None or np.isfinite(found.gap)
    assert (found.answer in (OPTIMAL, FEASIBLE)) == (found.figures is not None)


@pytest.mark.usefixtures("searched")
@pytest.mark.parametrize("policy", ["fastest", "greenest"])
def test_a_second_search_without_an_answer_keeps_the_plan_of_the_first(policy, monkeypatch):
    problem = replace(random_problem(2, assets=7), quotas=(Quota("x", "gpu", HOUR_MS),))
    best, run, runs = plan(problem, policy_of(policy)), planner.run, []

    def once(programme, limits, **options):
        found = run(programme, limits, **options)
        runs.append(found)
        without = {"is_feasible": None, "is_proved": False, "values": (), "bound": -math.inf, "is_cut_off": True}
        return found if len(runs) == 1 else replace(found, **without)

    monkeypatch.setattr(planner, "run", once)
    found = plan(problem, policy_of(policy))
    assert (found.answer, found.gap, found.because, found.is_reproducible) == (FEASIBLE, None, (), False)
    checked = require_plan(problem, found.policy, found.chosen, counted=None)
    same = {"fastest": "finish_ms", "greenest": "carbon_mg"}[policy]
    assert found.figures == checked
    assert getattr(checked, same) == getattr(best.figures, same)


def test_nothing_to_place_is_an_empty_plan():
    found = plan(Problem((), quotas=(Quota("x", "gpu", 1),)), policy_of("cheapest"))
    assert (found.answer, found.chosen, found.figures.cost_microusd) == (OPTIMAL, {}, 0)
