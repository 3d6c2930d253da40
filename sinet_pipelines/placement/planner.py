"""Plans the whole graph at once: collapses options, chooses the exact method or the programme, checks the result.

Without quotas, deadlines and power caps the plan is computed exactly by dynamic programming where the graph is narrow
enough, else by HiGHS. An answer is `optimal` with a proof, `feasible` with its bound and gap, `infeasible` with a
smallest set of rules that clash, or `unknown` where the search ended without a plan and without a proof.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from sinet_pipelines.placement.baselines import earliest_finish, greedy
from sinet_pipelines.placement.checker import Figures, broken_rules, require_plan, schedule
from sinet_pipelines.placement.clashes import clashing_rules
from sinet_pipelines.placement.collapse import kept_options
from sinet_pipelines.placement.dynamic import Exact, solve_exactly
from sinet_pipelines.placement.highs import Limits, Run, run
from sinet_pipelines.placement.policies import Policy
from sinet_pipelines.placement.problem import Problem, require_sound
from sinet_pipelines.placement.program import SCALE, PlacementProgramme
from sinet_pipelines.placement.pruning import pruned_options, with_options

OPTIMAL, FEASIBLE, INFEASIBLE, UNKNOWN = "optimal", "feasible", "infeasible", "unknown"
DYNAMIC = "dynamic programming"
PROOF = 0.9 * SCALE  # less than a micro-dollar of the objective
PROOF_S = 0.0009  # less than a millisecond of the finish


@dataclass(frozen=True)
class Plan:
    """The answer to a placement problem.

    Attributes:
        answer: `optimal`, `feasible`, `infeasible` or `unknown`.
        policy: what was minimised.
        chosen: the number of the chosen option of each asset; empty without a plan.
        figures: what the plan amounts to, as the checker computed it; None without a plan.
        gap: how far the plan may be from the best one, relative to it; 0 with a proof, None without a plan.
        solver: the method, with its version.
        because: rules that clash; removing any one of them leaves a problem with a plan.
        exact: of dynamic programming, the best total with each region of each asset.
        is_reproducible: whether the same problem gives the same plan everywhere: no clock ended the search.
    """

    answer: str
    policy: Policy
    chosen: Mapping[str, int]
    figures: Figures | None
    gap: float | None
    solver: str
    because: tuple[str, ...] = ()
    exact: Exact | None = None
    is_reproducible: bool = True


def plan(problem: Problem, policy: Policy, *, limits: Limits | None = None) -> Plan:
    """The best plan of a problem.

    Args:
        problem: with at least one option for each asset.
        policy: what is minimised.
        limits: when a search ends without a proof.

    Raises:
        PlacementInputError: the problem contradicts itself.
        PlacementError: the solver fails, or returns a plan that the checker rejects.
    """
    limits = limits or Limits()
    require_sound(problem)
    if policy.minimises_finish:
        return _fastest(problem, policy, limits)
    if problem.has_joint_rules:
        return _programmed(problem, policy, limits, kept=kept_options(problem, policy))
    return _without_joint_rules(problem, policy, limits)


def _without_joint_rules(problem: Problem, policy: Policy, limits: Limits) -> Plan:
    """By dynamic programming, if need be after worse regions are removed; where that is too wide, by HiGHS."""
    exact, kept = solve_exactly(problem, policy), None
    if exact is None:
        kept = pruned_options(problem, policy)
        exact = solve_exactly(with_options(problem, kept), policy)
    if exact is None:
        return _programmed(problem, policy, limits, kept=kept or kept_options(problem, policy))
    if exact.chosen is None:
        return _infeasible(problem, policy, DYNAMIC, limits)
    if kept is not None:
        chosen = {name: kept[name][number] for name, number in exact.chosen.items()}
        exact = replace(exact, chosen=chosen, is_whole=False)
    found = require_plan(problem, policy, exact.chosen or {}, counted=exact.total)
    return Plan(OPTIMAL, policy, exact.chosen or {}, found, 0.0, DYNAMIC, exact=exact)


def is_feasible(problem: Problem, policy: Policy, limits: Limits) -> bool | None:
    """Whether any plan satisfies the rules; None where the search ended without an answer."""
    built = PlacementProgramme(problem, replace(policy, minimises_finish=True), kept_options(problem, policy))
    programme = built.build()
    programme.costs = [0.0] * len(programme.costs)
    return run(programme, limits, absolute_gap=PROOF).is_feasible


def _fastest(problem: Problem, policy: Policy, limits: Limits) -> Plan:
    """The earliest finish first, then the least cost among plans that finish as early."""
    built = PlacementProgramme(problem, policy, kept_options(problem, policy), minimises_finish=True)
    programme = built.build()
    start = _start(problem, policy, built, earliest_finish)
    first = run(programme, limits, absolute_gap=PROOF_S, start=start)
    if not first.values:
        return _without_plan(problem, policy, first, limits)
    chosen = built.chosen(first.values)
    options = {one.name: one.options[chosen[one.name]] for one in problem.assets}
    finish_ms = max(schedule(problem, options)[1].values(), default=0)
    kept = kept_options(problem, policy)
    second = _programmed(problem, policy, limits, kept=kept, finish_ms=finish_ms, baseline=lambda *_: chosen)
    finish_gap = _gap(finish_ms / 1000, first)
    gap = max(second.gap or 0.0, finish_gap)
    is_proved = second.answer == OPTIMAL and first.is_proved
    is_reproducible = second.is_reproducible and not first.is_cut_off
    answer = OPTIMAL if is_proved else FEASIBLE
    return replace(second, answer=answer, gap=0.0 if is_proved else gap, is_reproducible=is_reproducible)


def _programmed(
    problem: Problem,
    policy: Policy,
    limits: Limits,
    *,
    kept: Mapping[str, tuple[int, ...]],
    finish_ms: int | None = None,
    baseline: Callable[[Problem, Policy], dict[str, int]] = greedy,
) -> Plan:
    counted = replace(policy, minimises_finish=False)
    built = PlacementProgramme(problem, counted, kept, finish_ms=finish_ms)
    programme = built.build()
    found = run(programme, limits, absolute_gap=PROOF, start=_start(problem, counted, built, baseline))
    if not found.values:
        return _without_plan(problem, policy, found, limits)
    chosen = built.chosen(found.values)
    claimed = round(found.objective / SCALE) if found.is_proved else None  # copies of others may be counted too high
    checked = require_plan(problem, counted, chosen, counted=claimed)
    gap = 0.0 if found.is_proved else _gap(checked.counted * SCALE, found)
    answer = OPTIMAL if found.is_proved else FEASIBLE
    name = f"HiGHS {found.version}"
    return Plan(answer, policy, chosen, checked, gap, name, is_reproducible=not found.is_cut_off)


def _start(
    problem: Problem,
    policy: Policy,
    built: PlacementProgramme,
    baseline: Callable[[Problem, Policy], dict[str, int]],
) -> dict[int, float]:
    """The values of a baseline's plan, if it satisfies the rules."""
    chosen = baseline(problem, policy)
    return {} if broken_rules(problem, chosen) else built.start(chosen)


def _gap(value: float, found: Run) -> float:
    """The relative distance between a plan and its bound."""
    return max(0.0, (value - found.bound) / value) if value > 0 else 0.0


def _without_plan(problem: Problem, policy: Policy, found: Run, limits: Limits) -> Plan:
    name = f"HiGHS {found.version}"
    if found.is_feasible is False:
        return _infeasible(problem, policy, name, limits)
    because = (f"the search ended after {found.nodes} nodes without a plan and without a proof",)
    return Plan(UNKNOWN, policy, {}, None, None, name, because, is_reproducible=not found.is_cut_off)


def _infeasible(problem: Problem, policy: Policy, solver: str, limits: Limits) -> Plan:
    because = clashing_rules(problem, lambda part: is_feasible(part, policy, limits))
    return Plan(INFEASIBLE, policy, {}, None, None, solver, because)
