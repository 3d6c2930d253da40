"""A plan as facts for `sinet place --json` and for pages: places, reasons, losers, totals, and what was assumed."""

from collections.abc import Mapping, Sequence
from typing import Any

from sinet_pipelines.errors import PlacementError
from sinet_pipelines.placement.assembly import Assembly
from sinet_pipelines.placement.baselines import greedy, per_asset_cheapest
from sinet_pipelines.placement.changes import Changes
from sinet_pipelines.placement.checker import Figures, broken_rules, figures
from sinet_pipelines.placement.losers import Loser, losers_of, turning_price
from sinet_pipelines.placement.options import Removed, Work
from sinet_pipelines.placement.planner import INFEASIBLE, OPTIMAL, Plan
from sinet_pipelines.placement.policies import CARBON, MOVED
from sinet_pipelines.placement.problem import Asset, Option
from sinet_pipelines.words import counted

USD = 1_000_000
SHOWN = 3  # assets that a sentence names
#: What the whole plan has, with this option of an asset.
SUPERLATIVES = {
    "cheapest": "the cheapest plan",
    "fastest": "the plan that ends first",
    "greenest": "the plan with the least carbon",
    "closest": "the plan that moves the least data",
}


def plan_facts(
    assembly: Assembly, plan: Plan, *, without: Sequence[str], seconds: float, asset: str | None = None
) -> dict[str, Any]:
    """The facts of a plan.

    Args:
        assembly: whose problem was planned.
        plan: the answer.
        without: regions and places that were left out.
        seconds: time to assemble and plan.
        asset: the one asset whose placement is explained; None for all.
    """
    explained = [one for one in assembly.problem.assets if asset in (None, one.name) and plan.figures is not None]
    changes = Changes(assembly.problem, plan.policy, plan.chosen) if plan.figures is not None else None
    placements = [_placement(assembly, plan, one, changes) for one in explained]
    unplaced = [{"asset": name, "reason": reason} for name, reason in assembly.unplaced.items()]
    if plan.figures is None:
        why = f"no plan satisfies these rules together: {'; '.join(plan.because)}"
        why = why if plan.answer == INFEASIBLE else plan.because[0]
        unplaced += [{"asset": one.name, "reason": why} for one in assembly.problem.assets]
    return {
        "answer": plan.answer,
        "policy": plan.policy.name,
        "without": list(without),
        "placements": placements,
        "unplaced": unplaced,
        "because": list(plan.because),
        "gap": plan.gap,
        "seconds": round(seconds, 3),
        "solver": plan.solver,
        "is_reproducible": plan.is_reproducible,
        "totals": _totals(assembly, plan) if plan.figures is not None else {},
        "notes": list(_notes(assembly)),
    }


def _placement(assembly: Assembly, plan: Plan, asset: Asset, changes: Changes | None) -> dict[str, Any]:
    found, work = _required(plan), assembly.works[asset.name]
    option = asset.options[plan.chosen[asset.name]]
    losers = losers_of(assembly.problem, plan, asset.name, changes=changes)
    egress = sum(cost for (source, _), cost in found.copies.items() if source == asset.name)
    return {
        "asset": asset.name,
        "region": option.region,
        "hardware": option.hardware,
        "count": option.count,
        "flavour": option.flavour,
        "cost_usd": (option.cost_microusd + egress) / USD,
        "egress_usd": egress / USD,
        "transfer_s": found.transfers_ms[asset.name] / 1000,
        "wait_s": option.wait_ms / 1000,
        "duration_s": option.duration_ms / 1000,
        "co2_g": option.carbon_mg / 1000,
        "moved_from": work.region if option.region != work.region else None,
        "missing_inputs": list(assembly.missing.get(asset.name, ())),
        "reason": _reason(assembly, plan, asset, losers),
        "losers": [
            *(_loser_facts(plan, one) for one in losers),
            *(_removed_facts(one) for one in assembly.removed[asset.name]),
        ],
    }


def _required(plan: Plan) -> Figures:
    if plan.figures is None:
        raise PlacementError(f"an answer {plan.answer!r} has no plan to report; show its reason instead")
    return plan.figures


def _reason(assembly: Assembly, plan: Plan, asset: Asset, losers: Sequence[Loser]) -> str:
    work = assembly.works[asset.name]
    option = asset.options[plan.chosen[asset.name]]
    parts = []
    if option.region != work.region:
        parts.append(_why_moved(assembly, plan, work, losers))
    if len(asset.options) == 1:
        parts.append(f"the only place that the rules allow ({work.pinned_by})" if not parts else "the only place left")
    else:
        parts.append(_comparison(plan, asset, option, list(losers)))
    if missing := assembly.missing.get(asset.name, ()):
        parts.append(
            f"its input {missing[0]} has no place"
            if len(missing) == 1
            else f"its inputs {_named(missing)} have no place"
        )
    return "; ".join(parts)


def _why_moved(assembly: Assembly, plan: Plan, work: Work, losers: Sequence[Loser]) -> str:
    """Why an asset is not in the region of its definition: a rule, or what it would add there."""
    home = (work.region, work.hardware)
    here = [one for one in losers if (one.option.region, one.option.hardware) == home]
    if here and here[0].regret is not None:
        units, microusd = plan.policy.split(here[0].regret)
        return f"moved from {work.region}, where it {_more(plan, units, microusd)}"
    if here:
        return f"moved from {work.region}: {here[0].broken}"
    own = next((one for one in assembly.removed[work.asset] if (one.region, one.hardware) == home), None)
    return f"moved from {work.region}" + (f": {own.reason}" if own is not None else "")


def _comparison(plan: Plan, asset: Asset, option: Option, losers: list[Loser]) -> str:
    allowed = [one for one in losers if one.regret is not None]
    whole = SUPERLATIVES.get(plan.policy.name, "the plan that counts least")
    bound = "no bound is known" if plan.gap is None else f"at most {100 * plan.gap:.2g} % from the best one"
    doubt = "" if plan.answer == OPTIMAL else f", as far as the search came ({bound})"
    text = f"{whole} uses this one of {counted(len(asset.options), 'option')}{doubt}"
    if not allowed:
        return f"{text}; each other one breaks a rule"
    turn = turning_price(plan, asset, losers)
    if turn is None:
        return text
    price, best = turn
    now = option.unit_microusd_per_hour / USD
    where = f"{option.hardware} ({option.flavour}) in {option.region}"
    at = f"{best.option.hardware} ({best.option.flavour}) in {best.option.region}"
    local = ", with the other assets as they are" if best.is_local else ""
    than = f"costs more than ${price / USD:.4g}/h for this asset (now ${now:.4g}/h){local}"
    return f"{text}; {at} wins if {where} {than}"


def _loser_facts(plan: Plan, loser: Loser) -> dict[str, Any]:
    option = loser.option
    place = {"region": option.region, "hardware": option.hardware, "flavour": option.flavour}
    if loser.regret is None:
        held = "with the others as they are, " if loser.is_local else ""
        return {**place, "rule": "joint", "reason": f"{held}{loser.broken}", "regret_usd": None}
    units, microusd = plan.policy.split(loser.regret)
    others = "local: the others as they are" if loser.is_local else "the others optimised again"
    price = option.unit_microusd_per_hour / USD
    if loser.regret < 0:
        turns = "; the search ended before it tried this"
    elif loser.wins_below is not None and loser.regret:
        turns = f"; wins below ${loser.wins_below / USD:.4g}/h for this asset (now ${price:.4g}/h)"
    else:
        turns = "; no price of its device changes that" if loser.regret else ""
    reason = f"{_more(plan, units, microusd)} ({others}){turns}"
    return {**place, "rule": "", "reason": reason, **_regrets(plan, units, microusd), "is_local": loser.is_local}


def _more(plan: Plan, units: int, microusd: int) -> str:
    """What an option adds, in words."""
    if not units and not microusd:
        return "counts the same; one of the equals is chosen"
    if units:
        amount = f"{abs(units) / 1000:.4g} g of CO2" if plan.policy.first == CARBON else f"{abs(units) / 1024:.4g} MiB"
        verb = "has" if plan.policy.first == CARBON else "moves"
        return f"{verb} {amount} {'more' if units > 0 else 'less'}"
    return f"counts ${abs(microusd) / USD:.4g} {'more' if microusd > 0 else 'less'}"


def _regrets(plan: Plan, units: int, microusd: int) -> dict[str, Any]:
    """What an option adds, as numbers; the sum of a weighted policy is no money."""
    if plan.policy.is_weighted:
        return {"regret_usd": None, "regret_weighted_usd": microusd / USD}
    first = {CARBON: {"regret_co2_g": units / 1000}, MOVED: {"regret_moved_mib": units / 1024}}
    return {"regret_usd": microusd / USD, **first.get(plan.policy.first, {})}


def _removed_facts(removed: Removed) -> dict[str, Any]:
    return {
        "region": removed.region,
        "hardware": removed.hardware,
        "flavour": removed.flavour,
        "rule": removed.rule,
        "reason": removed.reason,
        "regret_usd": None,
    }


def _totals(assembly: Assembly, plan: Plan) -> dict[str, Any]:
    """Money, time and carbon of the plan, by region and team, beside plans without an optimiser."""
    found, problem = _required(plan), assembly.problem
    by_region: dict[str, dict[str, float]] = {}
    by_team: dict[str, dict[str, float]] = {}
    for asset in problem.assets:
        option = asset.options[plan.chosen[asset.name]]
        egress = sum(cost for (source, _), cost in found.copies.items() if source == asset.name)
        for group, name in ((by_region, option.region), (by_team, asset.team)):
            own = group.setdefault(name, {"assets": 0, "cost_usd": 0.0, "hours": 0.0, "co2_g": 0.0})
            own["assets"] += 1
            own["cost_usd"] += (option.cost_microusd + egress) / USD
            own["hours"] += option.duration_ms / 3_600_000
            own["co2_g"] += option.carbon_mg / 1000
    baselines = {"per_asset_cheapest": per_asset_cheapest, "greedy": greedy}
    beside = {}
    for name, method in baselines.items():
        chosen = method(problem, plan.policy)
        is_allowed = not broken_rules(problem, chosen)
        cost = figures(problem, plan.policy, chosen).cost_microusd / USD
        beside[name] = {"cost_usd": cost, "is_allowed": is_allowed}
    return {
        "cost_usd": found.cost_microusd / USD,
        "egress_usd": sum(found.copies.values()) / USD,
        "co2_g": found.carbon_mg / 1000,
        "finish_s": found.finish_ms / 1000,
        "by_region": by_region,
        "by_team": by_team,
        "beside": beside,
    }


def _notes(assembly: Assembly) -> list[str]:
    """What a reader of the numbers has to know."""
    works = [assembly.works[one.name] for one in assembly.problem.assets]
    if not works:
        return list(assembly.notes)
    found = []
    for what, source in (("duration", "hours_from"), ("size", "bytes_from")):
        kinds: dict[str, list[Work]] = {}
        for work in works:
            kinds.setdefault(getattr(work, source), []).append(work)
        counts = ", ".join(f"{counted(len(ones), 'asset')}: {name}" for name, ones in kinds.items())
        found.append(f"{what} of {counts}")
    return [*found, *assembly.notes, "waits in queues count as 0 s: no past wait is recorded"]


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}"


def facts_of(facts: Mapping[str, Any], asset: str) -> dict[str, Any]:
    """The facts of one asset alone, with those of the whole plan beside them."""
    return {
        **facts,
        "placements": [one for one in facts["placements"] if one["asset"] == asset],
        "unplaced": [one for one in facts["unplaced"] if one["asset"] == asset],
    }
