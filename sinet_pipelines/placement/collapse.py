"""Leaves out options that another option of the same asset and region replaces without a loss under any rule."""

from sinet_pipelines.placement.policies import Policy
from sinet_pipelines.placement.problem import Asset, Option, Problem


def kept_options(problem: Problem, policy: Policy) -> dict[str, tuple[int, ...]]:
    """The numbers of the options of each asset that a best plan can need.

    An option is left out if another one in its region counts no more, takes no longer, draws no more power where power
    is capped, and uses no quota that this one does not use as much. So an option of a quota that can bind stays.
    """
    return {one.name: _kept(problem, policy, one) for one in problem.assets}


def _kept(problem: Problem, policy: Policy, asset: Asset) -> tuple[int, ...]:
    costs = [_costs(problem, policy, asset, option) for option in asset.options]
    kept: list[int] = []
    for number in sorted(range(len(costs)), key=lambda at: (costs[at], at)):
        region = asset.options[number].region
        rivals = (costs[one] for one in kept if asset.options[one].region == region)
        if not any(all(a <= b for a, b in zip(rival, costs[number], strict=True)) for rival in rivals):
            kept.append(number)
    return tuple(sorted(kept))


def _costs(problem: Problem, policy: Policy, asset: Asset, option: Option) -> tuple[int, ...]:
    """Everything by which an option can be worse than another one of its region."""
    is_timed = policy.minimises_finish or any(one.latest_ms is not None for one in problem.assets)
    took = option.duration_ms + option.wait_ms if is_timed else 0
    power = option.power_w if any(cap.region == option.region for cap in problem.power_caps) else 0
    used = [option.unit_ms if quota.counts(asset, option) else 0 for quota in problem.quotas]
    return policy.of_option(option), took, power, *used
