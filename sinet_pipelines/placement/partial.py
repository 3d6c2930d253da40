"""Plans what fits: where rules clash, one asset after the other is left out with the clash, and the rest is placed."""

from dataclasses import replace

from sinet_pipelines.placement.assembly import Assembly
from sinet_pipelines.placement.clashes import asset_to_leave_out
from sinet_pipelines.placement.highs import Limits
from sinet_pipelines.placement.planner import INFEASIBLE, Plan, plan
from sinet_pipelines.placement.policies import Policy
from sinet_pipelines.placement.problem import Problem

MOST_LEFT_OUT = 50  # further clashes than these are a fault of the inventory, which its owner has to see


def plan_what_fits(assembly: Assembly, policy: Policy, *, limits: Limits | None = None) -> tuple[Assembly, Plan]:
    """The best plan of the assets that fit, and the assembly with the others as unplaced.

    The plan's `because` has the rules that clash. Where nothing fits, the plan and the assembly are those of all.

    Args:
        assembly: whose problem is planned.
        policy: what is minimised.
        limits: when a search ends without a proof.

    Raises:
        PlacementInputError: the problem contradicts itself.
        PlacementError: the solver fails, or returns a plan that the checker rejects.
    """
    whole = found = plan(assembly.problem, policy, limits=limits)
    rest, left_out, because = assembly.problem, dict[str, str](), dict[str, None]()
    while found.answer == INFEASIBLE and len(left_out) < MOST_LEFT_OUT:
        name = asset_to_leave_out(rest, found.clash)
        if name is None:
            break
        left_out[name] = f"no plan satisfies these rules together: {'; '.join(found.because)}"
        because |= dict.fromkeys(found.because)
        rest = _without(rest, name)
        found = plan(rest, policy, limits=limits)
    if not left_out or found.figures is None or not rest.assets:
        return assembly, whole
    missing = {name: list(ones) for name, ones in assembly.missing.items() if name not in left_out}
    for edge in assembly.problem.edges:
        if edge.is_order and edge.source in left_out and edge.target not in left_out:
            missing.setdefault(edge.target, []).append(edge.source)
    fitting = replace(
        assembly,
        problem=rest,
        unplaced={**assembly.unplaced, **left_out},
        missing={name: tuple(ones) for name, ones in missing.items()},
    )
    return fitting, replace(found, because=tuple(because))


def _without(problem: Problem, name: str) -> Problem:
    return replace(
        problem,
        assets=tuple(one for one in problem.assets if one.name != name),
        edges=tuple(one for one in problem.edges if name not in (one.source, one.target)),
    )
