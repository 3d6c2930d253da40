"""Why a plan puts an asset where it does: what each other option would add, and the price at which the answer turns.

A regret is exact where the plan was computed by dynamic programming: everything else is optimised again. Otherwise it
is *local*, with everything else as it is, and labelled so: a local regret is too high, since the others do not adapt.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sinet_pipelines.placement.changes import Changes
from sinet_pipelines.placement.dynamic import Exact
from sinet_pipelines.placement.planner import Plan
from sinet_pipelines.placement.policies import MS_PER_HOUR
from sinet_pipelines.placement.problem import Asset, Option, Problem


@dataclass(frozen=True)
class Loser:
    """An option that the plan does not choose.

    Attributes:
        option: the option.
        regret: what the best plan with it counts more, by `Policy.split` of the plan's policy in its unit and in
            micro-dollars; None where it breaks a rule. Less than 0 where a search ended before its best plan.
        is_local: whether everything else stays as it is in that plan.
        broken: the rule that it breaks with everything else as it is; empty for none.
        wins_below: price of its device for an hour, in micro-dollars, below which it wins; None where no price of it
            or no money decides.
    """

    option: Option
    regret: int | None
    is_local: bool
    broken: str = ""
    wins_below: int | None = None


def losers_of(problem: Problem, plan: Plan, name: str, *, changes: Changes | None = None) -> list[Loser]:
    """The other options of an asset, the one with the least regret first.

    Args:
        problem: the problem.
        plan: a plan of it.
        name: of the asset.
        changes: of this plan, made once for several assets; None to make them here.
    """
    asset = problem.by_name[name]
    changes = changes or Changes(problem, plan.policy, plan.chosen)
    if plan.exact is not None:
        found = [_exact(plan, asset, number, plan.exact, changes) for number in _others(plan, asset)]
    else:
        found = [_local(asset, number, changes) for number in _others(plan, asset)]
    found = [_with_threshold(plan, one) for one in found]
    return sorted(found, key=lambda one: (one.regret is None, one.regret or 0))


def turning_price(plan: Plan, asset: Asset, losers: list[Loser]) -> tuple[int, Loser] | None:
    """The price of the chosen device for an hour, in micro-dollars, above which another option wins, and that option.

    None where no other option is allowed, or where the policy does not minimise money.
    """
    chosen = asset.options[plan.chosen[asset.name]]
    best = next((one for one in losers if one.regret is not None), None)
    if best is None or best.regret is None or not _is_about_money(plan) or not chosen.unit_ms:
        return None
    units, more_microusd = plan.policy.split(best.regret)
    if units or more_microusd < 0:
        return None
    return chosen.unit_microusd_per_hour + -(-more_microusd * MS_PER_HOUR // chosen.unit_ms), best


def _others(plan: Plan, asset: Asset) -> list[int]:
    return [number for number in range(len(asset.options)) if number != plan.chosen[asset.name]]


def _is_about_money(plan: Plan) -> bool:
    return not plan.policy.minimises_finish


def _exact(plan: Plan, asset: Asset, number: int, exact: Exact, changes: Changes) -> Loser:
    option = asset.options[number]
    totals: Mapping[str, int] = exact.by_region.get(asset.name, {option.region: exact.total})
    is_known = exact.is_whole or (option.region in totals and (asset.name in exact.by_region or len(asset.regions) < 2))
    if not is_known:
        return _local(asset, number, changes)
    if option.region not in totals:
        broken = changes.broken(asset, number) or "residency forbids every plan with it"
        return Loser(option, None, is_local=False, broken=broken)
    best = min(plan.policy.of_option(one) for one in asset.options if one.region == option.region)
    return Loser(option, totals[option.region] - exact.total + plan.policy.of_option(option) - best, is_local=False)


def _local(asset: Asset, number: int, changes: Changes) -> Loser:
    option = asset.options[number]
    if broken := changes.broken(asset, number):
        return Loser(option, None, is_local=True, broken=broken)
    if (later_ms := changes.ends_later_ms(asset, number)) > 0:
        return Loser(option, None, is_local=True, broken=f"the plan would end {later_ms / 1000:g} s later")
    return Loser(option, changes.counts_more(asset, number), is_local=True)


def _with_threshold(plan: Plan, loser: Loser) -> Loser:
    if loser.regret is None or not _is_about_money(plan) or not loser.option.unit_ms:
        return loser
    units, more_microusd = plan.policy.split(loser.regret)
    if units or more_microusd < 0:
        return loser
    least = loser.option.unit_microusd_per_hour - -(-more_microusd * MS_PER_HOUR // loser.option.unit_ms)
    return replace(loser, wins_below=max(least, 0)) if least > 0 else loser
