"""Checks a plan on its own: computes cost, schedule, quotas, power and residency again and rejects a broken rule.

It reads the problem and the chosen options, copy by copy and step by step, and computes egress, transfers, device time
and power without the code that the solvers use. The weights of a policy and the order of the assets are the same for
both. Each plan passes it before anyone sees the plan.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sinet_pipelines.errors import PlacementError
from sinet_pipelines.placement.antichains import heaviest_antichain
from sinet_pipelines.placement.policies import Policy
from sinet_pipelines.placement.problem import GIB, Asset, Option, PowerCap, Problem


@dataclass(frozen=True)
class Figures:
    """What a plan amounts to.

    Attributes:
        counted: what the policy minimises, in micro-dollars.
        cost_microusd: steps and egress.
        carbon_mg: of the steps.
        finish_ms: end of the last step after the plan's start, if a step starts as soon as its data are there.
        starts_ms: start of each asset's wait, after its data have arrived.
        ends_ms: end of each asset's step.
        copies: what each copy costs, by (asset, destination).
        transfers_ms: the longest transfer into each asset.
    """

    counted: int
    cost_microusd: int
    carbon_mg: int
    finish_ms: int
    starts_ms: Mapping[str, int]
    ends_ms: Mapping[str, int]
    copies: Mapping[tuple[str, str], int]
    transfers_ms: Mapping[str, int]


def broken_rules(problem: Problem, chosen: Mapping[str, int]) -> list[str]:
    """The hard rules that a plan breaks, as sentences; none for a plan that may be used.

    Args:
        problem: the problem.
        chosen: the number of the chosen option of each asset.
    """
    found = [f"{one.name} has no place" for one in problem.assets if one.name not in chosen]
    found += [f"{name} is no asset of the problem" for name in chosen if name not in problem.by_name]
    found += [
        f"{one.name} has no option {chosen[one.name]}"
        for one in problem.assets
        if one.name in chosen and not 0 <= chosen[one.name] < len(one.options)
    ]
    if found:
        return found
    options = {one.name: one.options[chosen[one.name]] for one in problem.assets}
    for edge in problem.edges:
        pair = options[edge.source].region, options[edge.target].region
        if pair in edge.forbidden:
            found.append(f"{edge.target} reads {edge.source} from {pair[0]} in {pair[1]}: {edge.forbidden[pair]}")
    for quota in problem.quotas:
        used = 0
        for asset in problem.assets:
            own = options[asset.name]
            if (asset.team, own.hardware) == (quota.team, quota.hardware) and quota.region in ("", own.region):
                used += own.duration_ms * own.milliunits // 1000
        if used > quota.unit_ms:
            found.append(f"{quota.name}; the plan uses {used / 3_600_000:g}")
    _, ends, _ = schedule(problem, options)
    for asset in problem.assets:
        if asset.latest_ms is not None and ends[asset.name] > asset.latest_ms:
            found.append(deadline_name(asset) + f"; the plan ends it at {ends[asset.name] / 1000:g} s")
    for cap in problem.power_caps:
        drawn = drawn_power(problem, options, cap)
        if drawn > cap.watts:
            found.append(f"{cap.name}; steps that can run at the same time draw {drawn / 1000:g} kW")
    return found


def deadline_name(asset: Asset) -> str:
    """The rule of an asset's latest finish, as text."""
    return f"latest finish of {asset.name}: {(asset.latest_ms or 0) / 1000:g} s after the start"


def figures(problem: Problem, policy: Policy, chosen: Mapping[str, int]) -> Figures:
    """What a plan amounts to, computed from its options alone."""
    options = {one.name: one.options[chosen[one.name]] for one in problem.assets}
    copies: dict[tuple[str, str], int] = {}
    counted = sum(policy.of_option(one) for one in options.values())
    for edge in problem.edges:
        origin, target = options[edge.source].region, options[edge.target].region
        if origin != target and (edge.source, target) not in copies:
            source = problem.by_name[edge.source]
            price = problem.line(origin, target).microusd_per_gib
            copies[edge.source, target] = (source.bytes * price + GIB - 1) // GIB
            counted += policy.of_copy(problem, source, origin, target)
    starts, ends, transfers = schedule(problem, options)
    return Figures(
        counted=counted,
        cost_microusd=sum(one.cost_microusd for one in options.values()) + sum(copies.values()),
        carbon_mg=sum(one.carbon_mg for one in options.values()),
        finish_ms=max(ends.values(), default=0),
        starts_ms=starts,
        ends_ms=ends,
        copies=copies,
        transfers_ms=transfers,
    )


def schedule(problem: Problem, options: Mapping[str, Option]) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
    """The earliest start and end of each asset in milliseconds, and the longest transfer into it."""
    starts, ends, transfers = dict[str, int](), dict[str, int](), dict[str, int]()
    for asset in problem.ordered:
        own, start, longest = options[asset.name], 0, 0
        for edge in problem.incoming[asset.name]:
            took = _transfer_ms(problem, edge.source, options[edge.source].region, own.region)
            if edge.is_order:
                start, longest = max(start, ends[edge.source] + took), max(longest, took)
        starts[asset.name], transfers[asset.name] = start, longest
        ends[asset.name] = start + own.wait_ms + own.duration_ms
    return starts, ends, transfers


def require_plan(
    problem: Problem, policy: Policy, chosen: Mapping[str, int], *, counted: int | None, tolerance: float = 1e-6
) -> Figures:
    """The figures of a plan that breaks no rule.

    Args:
        problem: the problem.
        policy: what was minimised.
        chosen: the number of the chosen option of each asset.
        counted: what the solver claims that the plan counts, in micro-dollars; None where it makes no claim.
        tolerance: how far the claim may be off, relative to it; 0 for integers.

    Raises:
        PlacementError: the plan breaks a hard rule, or its figures are not those that the solver claims.
    """
    if broken := broken_rules(problem, chosen):
        more = f"; and {len(broken) - 3} more" if len(broken) > 3 else ""
        raise PlacementError(
            f"the solver returned a plan that breaks a rule: {'; '.join(broken[:3])}{more}. The plan is not used; "
            "report this with the output of `pip show highspy`"
        )
    found = figures(problem, policy, chosen)
    if counted is not None and abs(found.counted - counted) > (1 + abs(counted) * tolerance if tolerance else 0):
        raise PlacementError(
            f"the solver claims {counted} micro-dollars for a plan of {found.counted}. The plan is not used; report "
            "this with the output of `pip show highspy`"
        )
    return found


def _transfer_ms(problem: Problem, name: str, origin: str, target: str) -> int:
    if origin == target:
        return 0
    line = problem.line(origin, target)
    return line.latency_ms + (problem.by_name[name].bytes * line.ms_per_gib + GIB - 1) // GIB


def drawn_power(problem: Problem, options: Mapping[str, Option], cap: PowerCap) -> int:
    """The highest power at a site over all orders in which its steps may run, in W.

    Steps may run at the same time if neither starts after the other one's end.
    """
    powers = {name: one.power_w for name, one in options.items() if one.region == cap.region and one.power_w}
    after = {one.name: [e.target for e in problem.outgoing[one.name] if e.is_order] for one in problem.assets}
    return heaviest_antichain(powers, after)
