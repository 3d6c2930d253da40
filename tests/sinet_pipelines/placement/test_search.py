"""A search that ends early, or a solver that is wrong, never yields a plan that breaks a rule or a false proof."""

from dataclasses import replace
from math import isfinite

import pytest

from sinet_pipelines.errors import PlacementError
from sinet_pipelines.placement import planner
from sinet_pipelines.placement.checker import broken_rules, figures
from sinet_pipelines.placement.feasible import feasible_plan
from sinet_pipelines.placement.highs import Limits, Run
from sinet_pipelines.placement.planner import FEASIBLE, OPTIMAL, UNKNOWN, plan
from sinet_pipelines.placement.policies import policy_of
from sinet_pipelines.placement.problem import PowerCap, Quota
from tests.placement_problems import HOUR_MS, least, random_problem, with_rules

CHEAPEST = policy_of("cheapest")


def test_a_search_that_is_cut_off_claims_no_proof():
    problem = with_rules(random_problem(2, assets=7), tightness=0.5)
    found = plan(problem, CHEAPEST, limits=Limits(seconds=0.0))
    assert found.answer in (FEASIBLE, UNKNOWN)
    assert not found.is_reproducible
    assert found.figures is None or found.gap is None or (found.gap > 0 and isfinite(found.gap))


def test_the_solver_prints_nothing(capfd):
    problem = with_rules(random_problem(2, assets=7), tightness=0.5)
    assert plan(problem, CHEAPEST).solver.startswith("HiGHS 1.")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("seed", range(5))
def test_a_search_without_an_optimiser_finds_plans_that_satisfy_the_rules(seed):
    problem = with_rules(random_problem(seed, assets=7, options=4), tightness=0.4)
    found = feasible_plan(problem, CHEAPEST)
    assert found
    assert broken_rules(problem, found) == []
    assert figures(problem, CHEAPEST, found).cost_microusd >= least(problem)
    capped = replace(problem, power_caps=tuple(PowerCap(region, 1500) for region in "ABCD"))
    assert broken_rules(capped, feasible_plan(capped, CHEAPEST)) == []


def test_a_search_that_is_cut_off_returns_the_plan_that_is_known_with_its_gap():
    problem = with_rules(random_problem(2, assets=7), tightness=0.4)
    found = plan(problem, CHEAPEST, limits=Limits(seconds=0.0))
    assert found.answer == FEASIBLE
    assert broken_rules(problem, found.chosen) == []
    assert found.gap is None or found.gap > 0


def test_a_solver_that_denies_a_known_plan_is_not_believed(monkeypatch):
    problem = with_rules(random_problem(2, assets=7), tightness=0.4)
    wrong = Run(False, True, (), float("inf"), float("inf"), 0, False, "1.16.0")
    monkeypatch.setattr(planner, "run", lambda *_, **__: wrong)
    with pytest.raises(PlacementError, match=r"HiGHS 1\.16\.0 claims that no plan satisfies the rules, and one does"):
        plan(problem, CHEAPEST)


def test_rules_that_do_not_bind_are_answered_without_a_search(monkeypatch):
    problem = random_problem(1, assets=10)
    free = plan(problem, CHEAPEST)
    loose = replace(problem, quotas=(Quota("x", "gpu", 100 * HOUR_MS),))
    monkeypatch.setattr(planner, "run", None)
    found = plan(loose, CHEAPEST)
    assert (found.answer, found.chosen, found.exact) == (OPTIMAL, free.chosen, None)


def test_the_best_plan_without_the_rules_bounds_the_gap_of_a_search_that_is_cut_off():
    problem = with_rules(random_problem(2, assets=7), tightness=0.4)
    free = plan(replace(problem, quotas=(), assets=tuple(replace(a, latest_ms=None) for a in problem.assets)), CHEAPEST)
    found = plan(problem, CHEAPEST, limits=Limits(seconds=0.0))
    least = 1 - free.figures.counted / found.figures.counted
    assert (found.answer, found.gap) == (FEASIBLE, pytest.approx(least))
