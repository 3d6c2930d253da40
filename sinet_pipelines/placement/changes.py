"""What a plan counts, and which rules it breaks, if one asset changes its option and all others stay as they are.

Only what such a change affects is computed again: the copies of its data and of its inputs, the quotas it uses, the
steps after it, the power of its site.
"""

import heapq
from collections.abc import Mapping
from dataclasses import replace

from sinet_pipelines.placement.checker import broken_rules, drawn_power, figures
from sinet_pipelines.placement.policies import Policy
from sinet_pipelines.placement.problem import Asset, Option, Problem, Quota


class Changes:
    """The changes of single assets of a plan that breaks no rule.

    Attributes:
        chosen: the number of the chosen option of each asset, with the changes that were taken.
    """

    def __init__(self, problem: Problem, policy: Policy, chosen: Mapping[str, int]) -> None:
        self._problem, self._policy = problem, replace(policy, minimises_finish=False)
        self._has_finish = policy.minimises_finish
        self._is_timed = self._has_finish or any(one.latest_ms is not None for one in problem.assets)
        self._at = {one.name: number for number, one in enumerate(problem.ordered)}
        self._quotas: dict[tuple[str, str], list[Quota]] = {}
        for quota in problem.quotas:
            self._quotas.setdefault((quota.team, quota.hardware), []).append(quota)
        self.chosen = dict(chosen)
        self._begin()

    def _begin(self) -> None:
        problem = self._problem
        self._options = {one.name: one.options[self.chosen[one.name]] for one in problem.assets}
        self._ends = figures(problem, self._policy, self.chosen).ends_ms if self._is_timed else {}
        self._finish_ms = max(self._ends.values(), default=0)
        self._used: dict[int, int] = {}
        for asset in problem.assets:
            for quota in self._quotas_of(asset, self._options[asset.name]):
                self._used[id(quota)] = self._used.get(id(quota), 0) + self._options[asset.name].unit_ms

    def take(self, asset: Asset, number: int) -> None:
        """Changes the option of an asset for good."""
        self.chosen[asset.name] = number
        self._begin()

    def counts_more(self, asset: Asset, number: int) -> int:
        """What the plan counts more with another option of an asset; less than 0 for a better one."""
        before, after = self._options[asset.name], asset.options[number]
        more = self._policy.of_option(after) - self._policy.of_option(before)
        return more + self.moves_more(asset, after.region)

    def moves_more(self, asset: Asset, region: str) -> int:
        """What copies count more if an asset moves to a region."""
        before = self._options[asset.name].region
        if before == region:
            return 0
        more = self._copies_of(asset, region) - self._copies_of(asset, before)
        for name in dict.fromkeys(edge.source for edge in self._problem.incoming[asset.name]):
            source, origin = self._problem.by_name[name], self._options[name].region
            readers = dict.fromkeys(edge.target for edge in self._problem.outgoing[name])
            others = {self._options[one].region for one in readers if one != asset.name}
            for place, sign in ((region, 1), (before, -1)):
                if place not in others:
                    more += sign * self._policy.of_copy(self._problem, source, origin, place)
        return more

    def ends_later_ms(self, asset: Asset, number: int) -> int:
        """How much later the plan ends, in milliseconds, where its finish is minimised; else 0."""
        if not self._has_finish:
            return 0
        ends = {**self._ends, **self._changed_ends(asset, number)}
        return max(ends.values(), default=0) - self._finish_ms

    def broken(self, asset: Asset, number: int) -> str:
        """The first rule that the plan breaks with another option of an asset; empty for none."""
        checks = (self._barred, self._exceeded, self._late, self._overloaded)
        if not any(check(asset, number) for check in checks):
            return ""
        return next(iter(broken_rules(self._problem, {**self.chosen, asset.name: number})), "")

    def _copies_of(self, asset: Asset, origin: str) -> int:
        regions = dict.fromkeys(self._options[edge.target].region for edge in self._problem.outgoing[asset.name])
        return sum(self._policy.of_copy(self._problem, asset, origin, region) for region in regions)

    def _quotas_of(self, asset: Asset, option: Option) -> list[Quota]:
        quotas = self._quotas.get((asset.team, option.hardware), ())
        return [quota for quota in quotas if quota.counts(asset, option)]

    def _barred(self, asset: Asset, number: int) -> bool:
        region = asset.options[number].region
        reads = self._problem.incoming[asset.name]
        return any((self._options[edge.source].region, region) in edge.forbidden for edge in reads) or any(
            (region, self._options[edge.target].region) in edge.forbidden for edge in self._problem.outgoing[asset.name]
        )

    def _exceeded(self, asset: Asset, number: int) -> bool:
        before, after = self._options[asset.name], asset.options[number]
        own = {id(quota) for quota in self._quotas_of(asset, before)}
        return any(
            self._used.get(id(quota), 0) - (before.unit_ms if id(quota) in own else 0) + after.unit_ms > quota.unit_ms
            for quota in self._quotas_of(asset, after)
        )

    def _late(self, asset: Asset, number: int) -> bool:
        if not self._is_timed:
            return False
        latest = self._problem.by_name
        return any(
            (limit := latest[name].latest_ms) is not None and end > limit
            for name, end in self._changed_ends(asset, number).items()
        )

    def _overloaded(self, asset: Asset, number: int) -> bool:
        before, after = self._options[asset.name], asset.options[number]
        caps = [cap for cap in self._problem.power_caps if cap.region == after.region]
        if not caps or (before.region == after.region and after.power_w <= before.power_w):
            return False
        options = {**self._options, asset.name: after}
        return any(drawn_power(self._problem, options, cap) > cap.watts for cap in caps)

    def _changed_ends(self, asset: Asset, number: int) -> dict[str, int]:
        """The ends of the steps that a change makes later or earlier, in milliseconds."""
        options = {asset.name: asset.options[number]}
        changed: dict[str, int] = {}
        waiting, seen = [(self._at[asset.name], asset.name)], {asset.name}
        while waiting:
            _, name = heapq.heappop(waiting)
            end = self._end(name, options, changed)
            if end == self._ends[name] and name != asset.name:
                continue
            changed[name] = end
            for edge in self._problem.outgoing[name]:
                if edge.is_order and edge.target not in seen:
                    seen.add(edge.target)
                    heapq.heappush(waiting, (self._at[edge.target], edge.target))
        return changed

    def _end(self, name: str, options: Mapping[str, Option], changed: Mapping[str, int]) -> int:
        own, start = options.get(name, self._options[name]), 0
        for edge in self._problem.incoming[name]:
            if edge.is_order:
                origin = options.get(edge.source, self._options[edge.source]).region
                took = self._problem.copy_ms(self._problem.by_name[edge.source], origin, own.region)
                start = max(start, changed.get(edge.source, self._ends[edge.source]) + took)
        return start + own.wait_ms + own.duration_ms


def improved(problem: Problem, policy: Policy, chosen: Mapping[str, int]) -> dict[str, int]:
    """A plan that no change of one asset improves: none counts less, and of equal ones the first option is chosen.

    Assets are tried in the order of their names, so that their order in the problem changes nothing.

    Args:
        problem: the problem.
        policy: what is minimised.
        chosen: a plan that breaks no rule.
    """
    changes = Changes(problem, policy, chosen)
    names = sorted(chosen)
    is_changed = True
    while is_changed:
        is_changed = False
        for name in names:
            asset = problem.by_name[name]
            now = policy.of_option(asset.options[changes.chosen[name]])
            moves = {region: changes.moves_more(asset, region) for region in asset.regions}
            better = []
            for number, option in enumerate(asset.options):
                more = policy.of_option(option) - now + moves[option.region]
                if more < 0 or (more == 0 and number < changes.chosen[name]):
                    better.append((more, number))
            for _, number in sorted(better):
                if changes.ends_later_ms(asset, number) <= 0 and not changes.broken(asset, number):
                    changes.take(asset, number)
                    is_changed = True
                    break
    return changes.chosen
