"""Plans the whole graph at once: collapses options, chooses the exact method or the programme, checks the result.

Without quotas, deadlines and power caps the plan is computed exactly by dynamic programming where the graph is narrow
enough, else by HiGHS. An answer is `optimal` with a proof, `feasible` with its bound and gap, `infeasible` with rules
that clash, or `unknown` where the search ended without a plan and without a proof.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import isfinite

from sinet_pipelines.errors import PlacementError, PlacementInputError
from sinet_pipelines.placement.baselines import greedy
from sinet_pipelines.placement.changes import improved
from sinet_pipelines.placement.checker import Figures, broken_rules, figures, require_plan, schedule
from sinet_pipelines.placement.clashes import Rule, clashing_rules
from sinet_pipelines.placement.collapse import kept_options
from sinet_pipelines.placement.dynamic import Exact, solve_exactly
from sinet_pipelines.placement.feasible import feasible_plan
from sinet_pipelines.placement.highs import Limits, Run, run
from sinet_pipelines.placement.labelling import FORBIDDEN
from sinet_pipelines.placement.policies import Policy, in_order, most_counted
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
        gap: how far the plan may be from the best one, relative to it; 0 with a proof, None without a plan or a bound.
        solver: the method, with its version.
        because: rules that clash; removing any one of them leaves a problem with a plan.
        clash: the same as values.
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
    clash: tuple[Rule, ...] = ()
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
    if not problem.assets:
        return Plan(OPTIMAL, policy, {}, require_plan(problem, policy, {}, counted=0), 0.0, DYNAMIC)
    if policy.minimises_finish:
        return _fastest(problem, policy, limits)
    if policy.first:
        policy = in_order(problem, policy)
    elif (most := most_counted(problem, policy)) >= FORBIDDEN:
        raise PlacementInputError(
            f"a plan may count ${most / 1e6:.3g} by the policy {policy.name}, and at most ${FORBIDDEN / 1e6:.3g} is "
            "counted exactly; lower its weights, or the prices, hours and sizes that they multiply"
        )
    if problem.has_joint_rules:
        return _with_joint_rules(problem, policy, limits)
    return _without_joint_rules(problem, policy, limits)


def _with_joint_rules(problem: Problem, policy: Policy, limits: Limits) -> Plan:
    """First without the joint rules: a best plan that satisfies them anyway is the best one, and else it is a bound."""
    assets = tuple(replace(one, latest_ms=None) for one in problem.assets)
    free = _without_joint_rules(replace(problem, assets=assets, quotas=(), power_caps=()), policy, limits)
    if free.answer == INFEASIBLE:
        return free
    if free.answer == OPTIMAL and not broken_rules(problem, free.chosen):
        return replace(free, figures=require_plan(problem, policy, free.chosen, counted=None), exact=None)
    found = _searched(problem, policy, limits, kept=kept_options(problem, policy))
    if found.answer != FEASIBLE or free.answer != OPTIMAL or found.figures is None or free.figures is None:
        return found
    if policy.first:  # its gap is that of two searches, not of their sum
        return found
    gap = (found.figures.counted - free.figures.counted) / max(found.figures.counted, 1)
    return replace(found, gap=gap if found.gap is None else min(gap, found.gap))


def _without_joint_rules(problem: Problem, policy: Policy, limits: Limits) -> Plan:
    """By dynamic programming, if need be after worse regions are removed; where that is too wide, by HiGHS."""
    if most_counted(problem, policy) >= FORBIDDEN:  # the sum of a policy with an order
        return _searched(problem, policy, limits, kept=kept_options(problem, policy))
    exact, kept = solve_exactly(problem, policy), None
    if exact is None:
        kept = pruned_options(problem, policy)
        exact = solve_exactly(with_options(problem, kept), policy)
    if exact is None:
        return _searched(problem, policy, limits, kept=kept or kept_options(problem, policy))
    if exact.chosen is None:
        return _infeasible(problem, policy, DYNAMIC, limits)
    if kept is not None:
        chosen = {name: kept[name][number] for name, number in exact.chosen.items()}
        exact = replace(exact, chosen=chosen, is_whole=False)
    found = require_plan(problem, policy, exact.chosen or {}, counted=exact.total, tolerance=0.0)
    return Plan(OPTIMAL, policy, exact.chosen or {}, found, 0.0, DYNAMIC, exact=exact)


def _searched(problem: Problem, policy: Policy, limits: Limits, *, kept: Mapping[str, tuple[int, ...]]) -> Plan:
    """By HiGHS: in one search, or in two where the policy has an order."""
    problem, search = _in_name_order(problem), _first_then_cost if policy.first else _programmed
    return _settled(problem, search(problem, policy, limits, kept=kept))


def _in_name_order(problem: Problem) -> Problem:
    """The same problem with its parts in the order of their names: the search does not depend on another order."""
    return replace(
        problem,
        assets=tuple(sorted(problem.assets, key=lambda one: one.name)),
        edges=tuple(sorted(problem.edges, key=lambda one: (one.source, one.target))),
        quotas=tuple(sorted(problem.quotas, key=lambda one: (one.name, one.unit_ms))),
        power_caps=tuple(sorted(problem.power_caps, key=lambda one: one.region)),
    )


def _settled(problem: Problem, found: Plan) -> Plan:
    """A plan of which no single asset can be improved, and none returns to an earlier option at no cost."""
    if found.figures is None:
        return found
    chosen = improved(problem, found.policy, found.chosen)
    return replace(found, chosen=chosen, figures=require_plan(problem, found.policy, chosen, counted=None))


def _known(problem: Problem, policy: Policy) -> dict[str, int]:
    """A plan without an optimiser, which a search that ends early returns if it satisfies the rules."""
    return feasible_plan(problem, policy) if problem.has_joint_rules else greedy(problem, policy)


def is_feasible(problem: Problem, policy: Policy, limits: Limits) -> bool | None:
    """Whether any plan satisfies the rules; None where the search ended without an answer."""
    built = PlacementProgramme(problem, replace(policy, minimises_finish=True), kept_options(problem, policy))
    programme = built.build()
    programme.costs = [0.0] * len(programme.costs)
    return run(programme, limits, absolute_gap=PROOF).is_feasible


def _fastest(problem: Problem, policy: Policy, limits: Limits) -> Plan:
    """The earliest finish first, then the least cost among plans that finish as early."""
    problem = _in_name_order(problem)
    built = PlacementProgramme(problem, policy, kept_options(problem, policy), minimises_finish=True)
    programme = built.build()
    first = run(programme, limits, absolute_gap=PROOF_S)
    if not first.values:
        return _without_plan(problem, policy, first, limits)
    chosen = built.chosen(first.values)
    options = {one.name: one.options[chosen[one.name]] for one in problem.assets}
    finish_ms = max(schedule(problem, options)[1].values(), default=0)
    kept = kept_options(problem, policy)
    second = _programmed(problem, policy, limits, kept=kept, finish_ms=finish_ms, baseline=lambda *_: chosen)
    finish_gap = _gap(finish_ms / 1000, first)
    if second.figures is None:  # the search for cheaper ones ended without a plan; this one is as early
        second = replace(second, chosen=chosen, figures=require_plan(problem, policy, chosen, counted=None), because=())
    return _settled(problem, _in_both(second, finish_gap, first))


def _first_then_cost(problem: Problem, policy: Policy, limits: Limits, *, kept: Mapping[str, tuple[int, ...]]) -> Plan:
    """The least carbon, or the least moved data, first; then the least cost among plans that are equal in it."""
    alone, cost = replace(policy, first_weight=1, cost_weight=0), replace(policy, first_weight=0)
    first = _programmed(problem, alone, limits, kept=kept)
    if first.figures is None:
        return replace(first, policy=policy)
    bound = alone, first.figures.counted
    second = _programmed(problem, cost, limits, kept=kept, baseline=lambda *_: first.chosen, bound=bound)
    if second.figures is None or figures(problem, alone, second.chosen).counted > first.figures.counted:
        second = replace(second, answer=FEASIBLE, gap=None, chosen=first.chosen, because=())
    is_proved = first.answer == second.answer == OPTIMAL
    gap = None if first.gap is None or second.gap is None else max(first.gap, second.gap)
    return replace(
        second,
        policy=policy,
        figures=require_plan(problem, policy, second.chosen, counted=None),
        answer=OPTIMAL if is_proved else FEASIBLE,
        gap=gap,
        is_reproducible=first.is_reproducible and second.is_reproducible,
    )


def _in_both(second: Plan, finish_gap: float | None, first: Run) -> Plan:
    """The plan of the second search, with the gaps and the proofs of both."""
    is_proved = second.answer == OPTIMAL and first.is_proved
    gap = None if second.gap is None or finish_gap is None else max(second.gap, finish_gap)
    return replace(
        second,
        answer=OPTIMAL if is_proved else FEASIBLE,
        gap=0.0 if is_proved else gap,
        is_reproducible=second.is_reproducible and not first.is_cut_off,
    )


def _programmed(
    problem: Problem,
    policy: Policy,
    limits: Limits,
    *,
    kept: Mapping[str, tuple[int, ...]],
    finish_ms: int | None = None,
    baseline: Callable[[Problem, Policy], Mapping[str, int]] = _known,
    bound: tuple[Policy, int] | None = None,
) -> Plan:
    counted = replace(policy, minimises_finish=False)
    built = PlacementProgramme(problem, counted, kept, finish_ms=finish_ms, bound=bound)
    programme = built.build()
    # the known plan is no start of the search: with one, HiGHS 1.16 returned the values of the start as the best ones
    found = run(programme, limits, absolute_gap=PROOF)
    known = {} if found.is_proved and found.values else baseline(problem, counted)
    is_allowed = bool(known) and not broken_rules(problem, known)
    if found.is_feasible is False and is_allowed and finish_ms is None and bound is None:
        raise PlacementError(
            f"HiGHS {found.version} claims that no plan satisfies the rules, and one does; report this with the output "
            "of `pip show highspy`"
        )
    if not found.values and not is_allowed:
        return _without_plan(problem, policy, found, limits)
    chosen = built.chosen(found.values) if found.values else known
    claimed = round(found.objective / SCALE) if found.is_proved and found.values else None  # others may count too much
    checked = require_plan(problem, counted, chosen, counted=claimed)
    if is_allowed and figures(problem, counted, known).counted < checked.counted:
        chosen, checked = known, require_plan(problem, counted, known, counted=None)
    is_proved = found.is_proved and bool(found.values)
    gap = 0.0 if is_proved else _gap(checked.counted * SCALE, found)
    answer = OPTIMAL if is_proved else FEASIBLE
    name = f"HiGHS {found.version}"
    return Plan(answer, policy, chosen, checked, gap, name, is_reproducible=not found.is_cut_off)


def _gap(value: float, found: Run) -> float | None:
    """The relative distance between a plan and its bound; None where no bound was found."""
    if not isfinite(found.bound):
        return None
    return max(0.0, (value - found.bound) / value) if value > 0 else 0.0


def _without_plan(problem: Problem, policy: Policy, found: Run, limits: Limits) -> Plan:
    name = f"HiGHS {found.version}"
    if found.is_feasible is False:
        return _infeasible(problem, policy, name, limits)
    because = (f"the search ended after {found.nodes} nodes without a plan and without a proof",)
    return Plan(UNKNOWN, policy, {}, None, None, name, because, is_reproducible=not found.is_cut_off)


def _infeasible(problem: Problem, policy: Policy, solver: str, limits: Limits) -> Plan:
    until = time.monotonic() + limits.seconds  # of the whole explanation

    def has_plan(part: Problem) -> bool | None:
        left = until - time.monotonic()
        return is_feasible(part, policy, replace(limits, seconds=left)) if left > 0 else None

    clash = clashing_rules(problem, has_plan)
    return Plan(INFEASIBLE, policy, {}, None, None, solver, tuple(rule.text for rule in clash), clash)
