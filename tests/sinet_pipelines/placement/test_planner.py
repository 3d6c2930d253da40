"""The plan is the best of all plans: compared with every assignment, with another method, and by laws."""

from dataclasses import replace

import pytest

from sinet_pipelines.errors import PlacementInputError
from sinet_pipelines.placement import dynamic, planner
from sinet_pipelines.placement.baselines import earliest_finish, greedy, per_asset_cheapest
from sinet_pipelines.placement.checker import broken_rules, figures
from sinet_pipelines.placement.collapse import kept_options
from sinet_pipelines.placement.highs import Limits
from sinet_pipelines.placement.losers import losers_of
from sinet_pipelines.placement.planner import DYNAMIC, INFEASIBLE, OPTIMAL, _programmed, plan
from sinet_pipelines.placement.policies import policy_of
from sinet_pipelines.placement.problem import Asset, Edge, Option, PowerCap, Problem, Quota
from sinet_pipelines.placement.pruning import pruned_options, with_options
from tests.placement_problems import HOUR_MS, every_assignment, least, random_problem, with_rules

CHEAPEST = policy_of("cheapest")


@pytest.mark.parametrize("seed", range(6))
def test_the_plan_is_the_cheapest_of_all_assignments(seed):
    problem = random_problem(seed, assets=7, options=4)
    found = plan(problem, CHEAPEST)
    assert (found.answer, found.solver, found.gap) == (OPTIMAL, DYNAMIC, 0.0)
    assert found.figures.cost_microusd == least(problem)


@pytest.mark.parametrize("seed", range(5))
def test_with_quota_and_deadline_it_is_the_cheapest_of_all_allowed_assignments(seed):
    problem = with_rules(random_problem(seed, assets=7, options=4), tightness=0.7)
    found, truth = plan(problem, CHEAPEST), least(problem)
    if truth is None:
        assert found.answer == INFEASIBLE
    else:
        assert (found.answer, found.figures.cost_microusd) == (OPTIMAL, truth)
        assert broken_rules(problem, found.chosen) == []


@pytest.mark.parametrize("seed", range(6))
def test_with_power_caps_waits_spot_and_edges_without_order_it_is_the_cheapest_of_all_allowed_ones(seed):
    problem = random_problem(seed, assets=6, options=3)
    assets = tuple(
        replace(
            one,
            options=tuple(replace(o, wait_ms=o.carbon_mg * 7, flavour=("reserved", "spot")[at % 2]) for at, o in own),
        )
        for one in problem.assets
        for own in [list(enumerate(one.options))]
    )
    edges = tuple(replace(one, is_order=at % 4 != 3) for at, one in enumerate(problem.edges))
    caps = tuple(PowerCap(region, 700 + 100 * seed) for region in ("A", "B"))
    problem = replace(problem, assets=assets, edges=edges, power_caps=caps)
    late = max(figures(problem, CHEAPEST, earliest_finish(problem, CHEAPEST)).ends_ms.values())
    last = replace(assets[-1], latest_ms=2 * late)
    problem = replace(problem, assets=(*assets[:-1], last))
    found, truth = plan(problem, CHEAPEST), least(problem)
    if truth is None:
        assert found.answer == INFEASIBLE
    else:
        assert (found.answer, found.figures.cost_microusd) == (OPTIMAL, truth)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_eight_assets_of_five_options_with_quota_and_deadline(seed):
    problem = with_rules(random_problem(100 + seed, assets=8, options=5), tightness=0.6)
    found = plan(problem, CHEAPEST)
    assert (found.answer, found.figures.cost_microusd) == (OPTIMAL, least(problem))


@pytest.mark.parametrize("seed", range(4))
def test_dynamic_programming_and_the_programme_agree(seed):
    problem = random_problem(seed, assets=30, options=6, parents=2)
    exact = plan(problem, CHEAPEST)
    programmed = _programmed(problem, CHEAPEST, Limits(), kept=kept_options(problem, CHEAPEST))
    assert (exact.solver, programmed.answer) == (DYNAMIC, OPTIMAL)
    assert exact.figures.counted == programmed.figures.counted


@pytest.mark.slow
def test_they_agree_on_a_thousand_assets():
    problem = random_problem(7, assets=1000, options=6, parents=1)
    exact = dynamic.solve_exactly(problem, CHEAPEST)
    programmed = _programmed(problem, CHEAPEST, Limits(), kept=pruned_options(problem, CHEAPEST))
    assert (programmed.answer, programmed.figures.counted) == (OPTIMAL, exact.total)


@pytest.mark.parametrize("seed", range(4))
def test_a_switch_for_each_destination_counts_copies_as_one_table_does(seed, monkeypatch):
    problem = random_problem(seed, assets=16, options=5, parents=2)
    direct = dynamic.solve_exactly(problem, CHEAPEST)
    monkeypatch.setattr(dynamic, "MOST_DIRECT_CELLS", 1)
    switched = dynamic.solve_exactly(problem, CHEAPEST)
    assert (switched.total, switched.by_region) == (direct.total, direct.by_region)


@pytest.mark.parametrize("seed", range(8))
def test_regions_that_are_removed_as_worse_do_not_change_the_best_plan(seed):
    problem = random_problem(seed, assets=18, options=6, parents=2)
    problem = replace(problem, assets=tuple(replace(a, bytes=a.bytes // 8) for a in problem.assets))
    kept = pruned_options(problem, CHEAPEST)
    assert sum(map(len, kept.values())) < sum(len(one.regions) for one in problem.assets)
    best, pruned = (dynamic.solve_exactly(one, CHEAPEST) for one in (problem, with_options(problem, kept)))
    assert pruned.total == best.total


@pytest.mark.parametrize("seed", range(3))
def test_the_fastest_plan_ends_first_and_is_the_cheapest_of_those(seed):
    problem = random_problem(seed, assets=6, options=4)
    found = plan(problem, policy_of("fastest"))
    _, every = every_assignment(problem)
    first = least(problem, "finish")
    cheapest = every["cost"][every["allowed"] & (every["finish"] == first)].min()
    assert (found.answer, found.figures.finish_ms, found.figures.cost_microusd) == (OPTIMAL, first, cheapest)


def test_greenest_and_closest_trade_money_for_carbon_and_moved_data():
    problem = random_problem(3, assets=12)
    cheap, green, close = (plan(problem, policy_of(name)).figures for name in ("cheapest", "greenest", "closest"))
    assert green.carbon_mg < cheap.carbon_mg
    assert green.cost_microusd > cheap.cost_microusd
    assert sum(close.copies.values()) < sum(cheap.copies.values())


def test_two_readers_in_a_region_share_a_copy():
    line = random_problem(0).lines["A", "B"]
    place = Option("B", "cpu", 0, "reserved", 1, 1)
    source = Asset("source", (replace(place, region="A"),), bytes=2**30)
    readers = tuple(Asset(name, (place,)) for name in ("one", "two"))
    problem = Problem((source, *readers), (Edge("source", "one"), Edge("source", "two")), {("A", "B"): line})
    assert plan(problem, CHEAPEST).figures.cost_microusd == 3 + line.microusd_per_gib


@pytest.mark.parametrize("seed", range(5))
def test_a_lost_region_a_quota_and_a_higher_price_never_make_a_plan_cheaper(seed):
    problem = random_problem(seed, assets=12, options=5, forbidden=0.0)
    cost = plan(problem, CHEAPEST).figures.cost_microusd
    smaller = tuple(
        replace(a, options=tuple(o for o in a.options if o.region != "A") or a.options) for a in problem.assets
    )
    dearer = tuple(
        replace(
            a,
            options=tuple(replace(o, cost_microusd=o.cost_microusd + 1000 * (o.hardware == "gpu")) for o in a.options),
        )
        for a in problem.assets
    )
    quota = replace(problem, quotas=(Quota("x", "gpu", HOUR_MS),))
    for changed in (replace(problem, assets=smaller), replace(problem, assets=dearer), quota):
        found = plan(changed, CHEAPEST)
        assert found.answer in (OPTIMAL, INFEASIBLE)
        assert found.figures is None or found.figures.cost_microusd >= cost


def test_scaled_prices_keep_the_plan():
    problem = random_problem(5, assets=20)
    assets = tuple(
        replace(a, options=tuple(replace(o, cost_microusd=3 * o.cost_microusd) for o in a.options), bytes=3 * a.bytes)
        for a in problem.assets
    )
    assert plan(replace(problem, assets=assets), CHEAPEST).chosen == plan(problem, CHEAPEST).chosen


def test_other_names_and_another_order_keep_the_cost():
    problem = with_rules(random_problem(1, assets=7), tightness=0.5)
    assets = tuple(replace(one, name=f"z{one.name[::-1]}") for one in reversed(problem.assets))
    edges = tuple(replace(e, source=f"z{e.source[::-1]}", target=f"z{e.target[::-1]}") for e in reversed(problem.edges))
    other = replace(problem, assets=assets, edges=edges)
    assert plan(other, CHEAPEST).figures.cost_microusd == plan(problem, CHEAPEST).figures.cost_microusd


def test_the_same_problem_gives_the_same_plan():
    problem = with_rules(random_problem(4, assets=7), tightness=0.5)
    assert plan(problem, CHEAPEST).chosen == plan(problem, CHEAPEST).chosen


def test_steps_that_can_run_at_the_same_time_stay_below_the_power_of_a_site():
    options = tuple(
        Option(region, "gpu", 1, "reserved", cost, HOUR_MS, power_w=600) for region, cost in (("A", 10), ("B", 20))
    )
    assets = tuple(Asset(name, options) for name in ("one", "two", "after"))
    edges = (Edge("one", "after"), Edge("two", "after"))
    free = Problem(assets, edges, random_problem(0).lines)
    capped = replace(free, power_caps=(PowerCap("A", 1000),))
    assert plan(free, CHEAPEST).figures.cost_microusd == 30
    found = plan(capped, CHEAPEST)
    assert (found.answer, found.figures.cost_microusd) == (OPTIMAL, 40)  # one of the two in B, the last one in A


def test_rules_that_clash_are_named_and_no_others():
    options = (Option("A", "gpu", 1, "reserved", 5, 2 * HOUR_MS), Option("B", "cpu", 0, "reserved", 1, 9 * HOUR_MS))
    late = Asset("late", options, team="x", latest_ms=3 * HOUR_MS)
    free = Asset("free", options, team="y", latest_ms=20 * HOUR_MS)
    problem = Problem(
        (late, free), (), random_problem(0).lines, (Quota("x", "gpu", HOUR_MS), Quota("y", "gpu", 9 * HOUR_MS))
    )
    found = plan(problem, CHEAPEST)
    assert found.answer == INFEASIBLE
    assert found.because == (
        "quota of x for gpu: 1 device hours",
        "latest finish of late: 10800 s after the start",
    )


def test_residency_that_no_plan_satisfies_is_named():
    options = {name: Option(name, "cpu", 0, "reserved", 1, 1) for name in "AB"}
    source, reader = Asset("source", (options["A"],)), Asset("reader", (options["B"],))
    problem = Problem((source, reader), (Edge("source", "reader", {("A", "B"): "raw stays"}),), random_problem(0).lines)
    found = plan(problem, CHEAPEST)
    assert (found.answer, found.because) == (INFEASIBLE, ("residency of source, which reader reads: raw stays",))


def test_baselines_are_never_better_than_the_plan():
    problem = random_problem(9, assets=25, forbidden=0.0)
    best = plan(problem, CHEAPEST).figures.cost_microusd
    for method in (per_asset_cheapest, greedy, earliest_finish):
        assert figures(problem, CHEAPEST, method(problem, CHEAPEST)).cost_microusd >= best


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cost_microusd": -1}, "the price of one on A/cpu/reserved is -1; allowed is a whole number"),
        ({"cost_microusd": float("nan")}, "the price of one on A/cpu/reserved is nan"),
        ({"duration_ms": -5}, "the duration of one"),
    ],
)
def test_an_impossible_figure_is_refused_with_its_name(change, message):
    asset = Asset("one", (replace(Option("A", "cpu", 0, "reserved", 1, 1), **change),))
    with pytest.raises(PlacementInputError, match=message):
        plan(Problem((asset,)), CHEAPEST)


def test_a_cycle_is_refused_with_its_assets():
    option = (Option("A", "cpu", 0, "reserved", 1, 1),)
    problem = Problem((Asset("one", option), Asset("two", option)), (Edge("one", "two"), Edge("two", "one")))
    with pytest.raises(PlacementInputError, match="one, two wait for each other in a cycle"):
        plan(problem, CHEAPEST)


def test_an_asset_without_an_option_and_a_missing_line_are_refused():
    with pytest.raises(PlacementInputError, match="one has no option"):
        plan(Problem((Asset("one", ()),)), CHEAPEST)
    options = {name: (Option(name, "cpu", 0, "reserved", 1, 1),) for name in "AB"}
    assets = Asset("one", options["A"], bytes=5), Asset("two", options["B"])
    with pytest.raises(PlacementInputError, match="no line from A to B"):
        plan(Problem(assets, (Edge("one", "two"),)), CHEAPEST)


def test_a_graph_that_is_too_wide_is_planned_after_worse_regions_are_removed(monkeypatch):
    problem = random_problem(3, assets=14, options=6)
    whole, seen = dynamic.solve_exactly(problem, CHEAPEST), []

    def narrow_alone(one, policy):
        seen.append(one)
        return None if one is problem else dynamic.solve_exactly(one, policy)

    monkeypatch.setattr(planner, "solve_exactly", narrow_alone)
    found = plan(problem, CHEAPEST)
    assert (found.answer, found.figures.counted, len(seen)) == (OPTIMAL, whole.total, 2)
    assert not found.exact.is_whole
    regrets = [loser for one in problem.assets for loser in losers_of(problem, found, one.name)]
    assert all(loser.regret is None or loser.regret >= 0 for loser in regrets)
    monkeypatch.setattr(planner, "solve_exactly", lambda one, policy: None)
    programmed = plan(problem, CHEAPEST)
    assert (programmed.answer, programmed.figures.counted) == (OPTIMAL, whole.total)
