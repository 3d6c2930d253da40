"""A change of one asset is counted by differences, as the checker counts the whole plan, and ends in a settled plan."""

import random
from dataclasses import replace

import pytest

from sinet_pipelines.placement import collapse
from sinet_pipelines.placement.baselines import greedy
from sinet_pipelines.placement.changes import Changes, improved
from sinet_pipelines.placement.checker import broken_rules, figures
from sinet_pipelines.placement.highs import Limits
from sinet_pipelines.placement.losers import losers_of
from sinet_pipelines.placement.planner import plan
from sinet_pipelines.placement.policies import policy_of
from sinet_pipelines.placement.problem import PowerCap, Quota
from tests.placement_problems import HOUR_MS, random_problem

CHEAPEST = policy_of("cheapest")


def ruled(seed, *, forbidden=0.1):
    """A random problem and a plan of it, with rules that this plan satisfies narrowly."""
    problem = random_problem(seed, assets=12, options=5, forbidden=forbidden)
    chosen = plan(problem, CHEAPEST).chosen
    found = figures(problem, CHEAPEST, chosen)
    used = sum(
        one.options[chosen[one.name]].unit_ms
        for one in problem.assets
        if (one.team, one.options[chosen[one.name]].hardware) == ("x", "gpu")
    )
    last = max(found.ends_ms, key=lambda name: found.ends_ms[name])
    assets = tuple(
        replace(one, latest_ms=found.ends_ms[last] + HOUR_MS // 2 if one.name == last else None)
        for one in problem.assets
    )
    watts = 4 * max(option.power_w for one in problem.assets for option in one.options)
    quotas, caps = (Quota("x", "gpu", used + HOUR_MS // 2),), (PowerCap("B", watts),)
    return replace(problem, assets=assets, quotas=quotas, power_caps=caps), chosen


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("policy", ["cheapest", "fastest", "weighted"])
def test_a_change_counts_and_breaks_what_the_checker_counts_and_finds(seed, policy):
    problem, chosen = ruled(seed)
    assert broken_rules(problem, chosen) == []
    policy = policy_of(policy)
    changes, before = Changes(problem, policy, chosen), figures(problem, policy, chosen)
    kinds = set()
    for asset in problem.assets:
        for number in range(len(asset.options)):
            changed = {**chosen, asset.name: number}
            after, broken = figures(problem, policy, changed), broken_rules(problem, changed)
            assert changes.counts_more(asset, number) == after.counted - before.counted
            later_ms = after.finish_ms - before.finish_ms if policy.minimises_finish else 0
            assert changes.ends_later_ms(asset, number) == later_ms
            assert changes.broken(asset, number) == (broken[0] if broken else "")
            kinds.update(one.split()[0] for one in broken)
    assert "latest" in kinds or "quota" in kinds


@pytest.mark.parametrize("seed", range(4))
def test_a_cut_off_search_returns_a_plan_that_no_change_of_one_asset_improves(seed):
    problem, _ = ruled(seed, forbidden=0.0)
    found = plan(problem, CHEAPEST, limits=Limits(nodes=0))
    assert found.figures is not None
    losers = [one for asset in problem.assets for one in losers_of(problem, found, asset.name)]
    assert all(one.regret is None or one.regret >= 0 for one in losers)


def test_an_improved_plan_is_allowed_and_costs_no_more():
    problem, _ = ruled(1, forbidden=0.0)
    free = replace(problem, assets=tuple(replace(one, latest_ms=None) for one in problem.assets), quotas=())
    start = greedy(free, CHEAPEST)
    costs = [one.cost_microusd for one in free.assets[3].options]
    start = {**start, free.assets[3].name: costs.index(max(costs))}
    found = improved(free, CHEAPEST, start)
    assert broken_rules(free, found) == []
    assert figures(free, CHEAPEST, found).counted < figures(free, CHEAPEST, start).counted


@pytest.mark.parametrize("seed", range(6))
def test_of_equal_options_the_first_is_chosen_by_the_programme_too_in_any_order_of_assets(seed):
    problem = random_problem(seed, assets=5, options=5)
    flat = tuple(
        replace(
            a,
            bytes=0,
            options=tuple(replace(o, cost_microusd=100_000 * (1 + at % 2)) for at, o in enumerate(a.options)),
        )
        for a in problem.assets
    )
    used = sum(max(o.unit_ms for o in one.options) for one in problem.assets)
    problem = replace(problem, assets=flat, quotas=(Quota("x", "gpu", used // 40),))
    found = plan(problem, CHEAPEST)
    draw = random.Random(seed)
    assets, edges = (draw.sample(ones, len(ones)) for ones in (problem.assets, problem.edges))
    assert plan(replace(problem, assets=tuple(assets), edges=tuple(edges)), CHEAPEST).chosen == found.chosen
    for asset in problem.assets if found.figures is not None else ():
        same = [one.option for one in losers_of(problem, found, asset.name) if one.regret == 0]
        assert all(asset.options.index(one) > found.chosen[asset.name] for one in same)
    assert found.answer in ("optimal", "infeasible")


def test_options_of_many_assets_are_collapsed_without_a_look_at_every_other_asset(monkeypatch):
    problem, _ = ruled(2)
    looked_at = []

    class Counted(tuple):
        def __iter__(self):
            looked_at.append(1)
            return super().__iter__()

    kept = collapse.kept_options(problem, CHEAPEST)
    assert collapse.kept_options(replace(problem, assets=Counted(problem.assets)), CHEAPEST) == kept
    assert len(looked_at) <= 3
