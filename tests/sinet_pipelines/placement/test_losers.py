"""A regret is what the best plan with another option counts more; the price at which the answer turns follows."""

from dataclasses import replace

import pytest

from sinet_pipelines.placement.losers import losers_of, turning_price
from sinet_pipelines.placement.planner import OPTIMAL, plan
from sinet_pipelines.placement.policies import policy_of
from sinet_pipelines.placement.problem import Quota
from tests.placement_problems import HOUR_MS, random_problem

CHEAPEST = policy_of("cheapest")


def with_only(problem, name, option):
    assets = tuple(replace(one, options=(option,)) if one.name == name else one for one in problem.assets)
    edges = tuple(problem.edges)
    return replace(problem, assets=assets, edges=edges)


@pytest.mark.parametrize("seed", range(4))
def test_a_regret_is_the_difference_to_the_best_plan_with_that_option(seed):
    problem = random_problem(seed, assets=14, options=5)
    found = plan(problem, CHEAPEST)
    compared = 0
    for asset in problem.assets[::3]:
        for loser in losers_of(problem, found, asset.name):
            other = plan(with_only(problem, asset.name, loser.option), CHEAPEST)
            if loser.regret is None:
                assert other.figures is None
            else:
                compared += 1
                assert other.figures.counted - found.figures.counted == loser.regret
    assert compared > 10


def test_a_loser_wins_below_its_threshold_and_loses_above():
    problem = random_problem(2, assets=10, options=5)
    found = plan(problem, CHEAPEST)
    name, loser = next(
        (one.name, loser)
        for one in problem.assets
        for loser in losers_of(problem, found, one.name)
        if loser.wins_below is not None and loser.regret
    )
    hours = loser.option.unit_ms / HOUR_MS
    for price, wins in ((loser.wins_below - 50, True), (loser.wins_below + 50, False)):
        cost = loser.option.cost_microusd + round((price - loser.option.unit_microusd_per_hour) * hours)
        asset = problem.by_name[name]
        options = tuple(replace(one, cost_microusd=cost) if one == loser.option else one for one in asset.options)
        assets = tuple(replace(asset, options=options) if one.name == name else one for one in problem.assets)
        chosen = plan(replace(problem, assets=assets), CHEAPEST).chosen[name]
        assert (asset.options[chosen] == loser.option) == wins


def test_the_winner_loses_above_its_turning_price():
    problem = random_problem(4, assets=10, options=5, forbidden=0.0)
    found = plan(problem, CHEAPEST)
    asset = next(one for one in problem.assets if losers_of(problem, found, one.name)[0].regret)
    price, best = turning_price(found, asset, losers_of(problem, found, asset.name))
    number = found.chosen[asset.name]
    option = asset.options[number]
    dearer = option.cost_microusd + round((price + 50 - option.unit_microusd_per_hour) * option.unit_ms / HOUR_MS)
    options = tuple(replace(one, cost_microusd=dearer) if one == option else one for one in asset.options)
    assets = tuple(replace(asset, options=options) if one.name == asset.name else one for one in problem.assets)
    again = plan(replace(problem, assets=assets), CHEAPEST)
    assert asset.options[again.chosen[asset.name]] == best.option


def test_under_a_quota_regrets_are_labelled_local():
    problem = replace(random_problem(1, assets=8), quotas=(Quota("x", "gpu", HOUR_MS // 4),))
    found = plan(problem, CHEAPEST)
    assert found.answer == OPTIMAL
    losers = [loser for one in problem.assets for loser in losers_of(problem, found, one.name)]
    assert losers
    assert all(loser.is_local for loser in losers)
    assert any("quota of x for gpu" in loser.broken for loser in losers)
