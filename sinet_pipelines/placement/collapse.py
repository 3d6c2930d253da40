"""Leaves out options that another option of the same asset and region replaces without a loss under any rule."""

from sinet_pipelines.placement.policies import Policy
from sinet_pipelines.placement.problem import Asset, Option, Problem, Quota


def kept_options(problem: Problem, policy: Policy) -> dict[str, tuple[int, ...]]:
    """The numbers of the options of each asset that a best plan can need.

    An option is left out if another one in its region counts no more, takes no longer, draws no more power where power
    is capped, and uses no quota that this one does not use as much. So an option of a quota that can bind stays.
    """
    rules = _Rules(problem, policy)
    return {one.name: _kept(rules, one) for one in problem.assets}


class _Rules:
    """What makes options of a problem worse than others, looked up once for all of them."""

    def __init__(self, problem: Problem, policy: Policy) -> None:
        self.policy = policy
        self.is_timed = policy.minimises_finish or any(one.latest_ms is not None for one in problem.assets)
        self.capped = frozenset(cap.region for cap in problem.power_caps)
        self.quotas: dict[tuple[str, str], list[Quota]] = {}
        for quota in problem.quotas:
            self.quotas.setdefault((quota.team, quota.hardware), []).append(quota)

    def costs(self, asset: Asset, option: Option) -> tuple[int, int, int]:
        """What an option counts, how long it takes where time matters, and its power where that is capped."""
        took = option.duration_ms + option.wait_ms if self.is_timed else 0
        return self.policy.of_option(option), took, option.power_w if option.region in self.capped else 0

    def used(self, asset: Asset, option: Option) -> dict[int, int]:
        """The device time that an option uses of each quota that counts it."""
        quotas = self.quotas.get((asset.team, option.hardware), ())
        return {id(quota): option.unit_ms for quota in quotas if quota.counts(asset, option)}


def _kept(rules: _Rules, asset: Asset) -> tuple[int, ...]:
    costs = [rules.costs(asset, option) for option in asset.options]
    used = [rules.used(asset, option) for option in asset.options]
    kept: list[int] = []
    for number in sorted(range(len(costs)), key=lambda at: (costs[at], sorted(used[at].values()), at)):
        region = asset.options[number].region
        rivals = [one for one in kept if asset.options[one].region == region]
        if not any(_is_no_worse(costs[one], used[one], costs[number], used[number]) for one in rivals):
            kept.append(number)
    return tuple(sorted(kept))


def _is_no_worse(costs: tuple[int, ...], used: dict[int, int], others: tuple[int, ...], uses: dict[int, int]) -> bool:
    return all(a <= b for a, b in zip(costs, others, strict=True)) and all(
        amount <= uses.get(quota, 0) for quota, amount in used.items()
    )
