"""The checker rejects a plan that breaks a hard rule, whatever claims that it is a good one."""

import itertools
import random
from dataclasses import replace

import pytest

from sinet_pipelines.errors import PlacementError
from sinet_pipelines.placement.antichains import heaviest_antichain
from sinet_pipelines.placement.checker import broken_rules, figures, require_plan
from sinet_pipelines.placement.policies import policy_of
from sinet_pipelines.placement.problem import GIB, Asset, Edge, Line, Option, PowerCap, Problem, Quota

CHEAPEST = policy_of("cheapest")
HERE = Option("A", "gpu", 1, "reserved", 100, 2000, carbon_mg=7, wait_ms=500, power_w=600)
THERE = Option("B", "cpu", 0, "reserved", 30, 9000, power_w=100)
SOURCE = Asset("source", (HERE, THERE), bytes=GIB, team="x")
READER = Asset("reader", (HERE, THERE), team="x")
LINES = {("A", "B"): Line(50, 4000, 20), ("B", "A"): Line(70, 4000, 20)}
PROBLEM = Problem((SOURCE, READER), (Edge("source", "reader"),), LINES)
MOVED = {"source": 0, "reader": 1}


def test_the_figures_of_a_plan_are_those_worked_by_hand():
    found = figures(PROBLEM, CHEAPEST, MOVED)
    assert found.cost_microusd == 100 + 30 + 50
    assert found.starts_ms == {"source": 0, "reader": 2500 + 4020}
    assert (found.finish_ms, found.carbon_mg) == (2500 + 4020 + 9000, 7)
    assert (found.copies, found.transfers_ms["reader"]) == ({("source", "B"): 50}, 4020)
    assert broken_rules(PROBLEM, MOVED) == []


@pytest.mark.parametrize(
    ("problem", "chosen", "message"),
    [
        (PROBLEM, {"source": 0}, "reader has no place"),
        (PROBLEM, {**MOVED, "other": 0}, "other is no asset"),
        (PROBLEM, {"source": 0, "reader": 2}, "reader has no option 2"),
        (
            replace(PROBLEM, edges=(Edge("source", "reader", {("A", "B"): "class raw never leaves"}),)),
            MOVED,
            "reader reads source from A in B: class raw never leaves",
        ),
        (replace(PROBLEM, quotas=(Quota("x", "gpu", 1999),)), MOVED, "quota of x for gpu"),
        (
            replace(PROBLEM, assets=(SOURCE, replace(READER, latest_ms=15_519))),
            MOVED,
            "latest finish of reader: 15.519 s after the start; the plan ends it at 15.52 s",
        ),
        (
            replace(PROBLEM, edges=(), power_caps=(PowerCap("A", 1199),)),
            {"source": 0, "reader": 0},
            "power cap of A: 1.199 kW; steps that can run at the same time draw 1.2 kW",
        ),
    ],
)
def test_a_planted_fault_is_found_and_the_plan_is_not_used(problem, chosen, message):
    assert any(message in one for one in broken_rules(problem, chosen))
    with pytest.raises(PlacementError, match="a plan that breaks a rule"):
        require_plan(problem, CHEAPEST, chosen, counted=None)


def test_a_plan_whose_cost_is_not_the_claimed_one_is_refused():
    with pytest.raises(PlacementError, match="claims 100 micro-dollars for a plan of 180"):
        require_plan(PROBLEM, CHEAPEST, MOVED, counted=100)


def test_steps_that_can_run_at_the_same_time_in_another_order_draw_power_together():
    first = Asset("first", (replace(THERE, duration_ms=9000),))
    after, beside = (Asset(name, (HERE,)) for name in ("after", "beside"))
    problem = Problem((first, after, beside), (Edge("first", "after"),), LINES, power_caps=(PowerCap("A", 1000),))
    chosen = {"first": 0, "after": 0, "beside": 0}
    found = figures(problem, CHEAPEST, chosen)
    assert found.ends_ms["beside"] < found.starts_ms["after"]  # as early as they can, they do not run together
    (broken,) = broken_rules(problem, chosen)
    assert broken == "power cap of A: 1 kW; steps that can run at the same time draw 1.2 kW"


def test_the_heaviest_antichain_is_that_of_all_subsets():
    for seed in range(40):
        draw = random.Random(seed)
        names = [str(number) for number in range(draw.randint(1, 7))]
        after = {one: [b for b in names[at + 1 :] if draw.random() < 0.35] for at, one in enumerate(names)}
        weights = {one: draw.randint(1, 9) for one in names if draw.random() < 0.8}
        later: dict[str, set[str]] = {}
        for one in reversed(names):
            later[one] = set(after[one]).union(*(later[other] for other in after[one]))
        subsets = (pick for size in range(len(weights) + 1) for pick in itertools.combinations(weights, size))
        apart = (pick for pick in subsets if not any(b in later[a] for a in pick for b in pick))
        assert heaviest_antichain(weights, after) == max(sum(weights[one] for one in pick) for pick in apart)
