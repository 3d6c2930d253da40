"""Finds a smallest set of rules that clash, by deletion: each rule whose removal leaves the clash is removed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sinet_pipelines.placement.checker import deadline_name
from sinet_pipelines.placement.problem import Edge, PowerCap, Problem, Quota


@dataclass(frozen=True)
class Rule:
    """One hard rule of a problem.

    Attributes:
        name: the rule as text.
        part: the edge, quota, power cap, or the name of the asset with a deadline.
    """

    name: str
    part: Edge | Quota | PowerCap | str


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


def clashing_rules(problem: Problem, is_feasible: Callable[[Problem], bool | None]) -> tuple[str, ...]:
    """A set of rules of an infeasible problem that clash, where the problem without any one of them has a plan.

    A rule also stays where the search without it ended without an answer.

    Args:
        problem: infeasible.
        is_feasible: whether a problem has a plan; None for no answer.
    """
    needed: list[Rule] = []
    waiting = [rules_of(problem)]
    while waiting:
        group = waiting.pop(0)
        rest = [rule for other in waiting for rule in other]
        if group and is_feasible(_with_rules(problem, [*needed, *rest])) is False:
            continue
        if len(group) > 1:
            middle = len(group) // 2
            waiting[:0] = [group[:middle], group[middle:]]
        else:
            needed += group
    return tuple(rule.name for rule in needed)


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
