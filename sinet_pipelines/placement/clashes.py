"""Finds rules that clash, by deletion: each rule whose removal leaves the clash is removed.

The set is irreducible: without any one of its rules there is a plan. Another set of fewer rules may exist.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import inf

from sinet_pipelines.placement.checker import deadline_name
from sinet_pipelines.placement.problem import Asset, Edge, PowerCap, Problem, Quota


@dataclass(frozen=True)
class Rule:
    """One hard rule of a problem.

    Attributes:
        name: the rule as text.
        part: the edge, quota, power cap, or the name of the asset with a deadline.
        is_proved: whether a plan exists without it; false where that search ended without an answer.
    """

    name: str
    part: Edge | Quota | PowerCap | str
    is_proved: bool = True

    @property
    def text(self) -> str:
        """The rule, with what is not proved about it."""
        return self.name if self.is_proved else f"{self.name} (perhaps: the search without it ended early)"


def rules_of(problem: Problem) -> list[Rule]:
    """The hard rules of a problem: residency of each edge, quotas, power caps, deadlines."""
    found = []
    for edge in problem.edges:
        if edge.forbidden:
            text = next(iter(edge.forbidden.values()))
            found.append(Rule(f"residency of {edge.source}, which {edge.target} reads: {text}", edge))
    found += [Rule(quota.name, quota) for quota in problem.quotas]
    found += [Rule(cap.name, cap) for cap in problem.power_caps]
    found += [Rule(deadline_name(one), one.name) for one in problem.assets if one.latest_ms is not None]
    return found


def clashing_rules(problem: Problem, is_feasible: Callable[[Problem], bool | None]) -> tuple[Rule, ...]:
    """Rules of an infeasible problem that clash, where the problem without any one of them has a plan.

    A rule also stays where the search without it ended without an answer; it is marked.

    Args:
        problem: infeasible.
        is_feasible: whether a problem has a plan; None for no answer.
    """
    needed: list[Rule] = []
    waiting = [rules_of(problem)]
    while waiting:
        group = waiting.pop(0)
        rest = [rule for other in waiting for rule in other]
        has_plan = is_feasible(_with_rules(problem, [*needed, *rest])) if group else False
        if has_plan is False:
            continue
        if len(group) > 1:
            middle = len(group) // 2
            waiting[:0] = [group[:middle], group[middle:]]
        else:
            needed += [replace(rule, is_proved=has_plan is True) for rule in group]
    return tuple(needed)


def asset_to_leave_out(problem: Problem, rules: Sequence[Rule]) -> str | None:
    """The asset of clashing rules without which the fewest others are affected; None where no rule binds one.

    The last in order of those with a deadline and of readers that residency binds; else the one that needs the largest
    share of a quota or power cap.
    """
    bound = {rule.part: None for rule in rules if isinstance(rule.part, str)}
    bound |= {rule.part.target: None for rule in rules if isinstance(rule.part, Edge)}
    if bound:
        return [one.name for one in problem.ordered if one.name in bound][-1]
    shares = {one.name: _shares(one, rules) for one in problem.assets}
    name = max(sorted(shares), key=lambda one: shares[one], default=None)
    return name if name is not None and shares[name] > (0, 0) else None


def _shares(asset: Asset, rules: Sequence[Rule]) -> tuple[float, float]:
    """The least and the largest share of quotas and power caps that the options of an asset use."""
    shares = []
    for option in asset.options:
        share = 0.0
        for rule in rules:
            if isinstance(rule.part, Quota) and rule.part.counts(asset, option):
                share += option.unit_ms / rule.part.unit_ms if rule.part.unit_ms else inf
            elif isinstance(rule.part, PowerCap) and rule.part.region == option.region:
                share += option.power_w / rule.part.watts if rule.part.watts else inf
        shares.append(share)
    return min(shares), max(shares)


def _with_rules(problem: Problem, rules: Sequence[Rule]) -> Problem:
    """The problem with these of its rules alone."""
    edges = {id(rule.part) for rule in rules if isinstance(rule.part, Edge)}
    bound = {rule.part: None for rule in rules if isinstance(rule.part, str)}
    return Problem(
        assets=tuple(one if one.name in bound else replace(one, latest_ms=None) for one in problem.assets),
        edges=tuple(one if id(one) in edges else replace(one, forbidden={}) for one in problem.edges),
        lines=problem.lines,
        quotas=tuple(rule.part for rule in rules if isinstance(rule.part, Quota)),
        power_caps=tuple(rule.part for rule in rules if isinstance(rule.part, PowerCap)),
    )
