"""Finds a plan that satisfies quotas, deadlines and power caps, for a search that ends without a better one.

Assets are placed one after the other, each where no quota is exceeded. What is scarce has a price: the device time of a
quota that ran out, the power of a site, the time of assets on a path that ends too late. Prices rise until every rule
holds and then fall again, and the cheapest plan seen that satisfies the rules is returned (after Fisher, "The
Lagrangian relaxation method for solving integer programming problems", Management Science 27, 1981).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from sinet_pipelines.placement.checker import broken_rules, figures, schedule
from sinet_pipelines.placement.policies import MS_PER_HOUR, Policy
from sinet_pipelines.placement.problem import Asset, Option, Problem

ROUNDS = 30
FIRST_USD_PER_HOUR = 0.05  # of an asset on a late path: a core of a cloud
FIRST_SHARE = 0.05  # of a device's own price, for a quota that ran out
FIRST_PER_WATT = 10.0  # micro-dollars an hour: a kilowatt hour for a cent
RISE, FALL = 1.4, 0.85  # of prices in a round
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Choices:
    """The options of an asset as arrays (options,), and the copies it needs (regions,)."""

    regions: npt.NDArray[np.int64]
    counted: Array
    hours: Array
    unit_hours: Array
    watt_hours: Array
    quotas: tuple[tuple[int, npt.NDArray[np.bool_]], ...]


@dataclass
class _Prices:
    """Prices of scarce things, in micro-dollars: of an hour by asset, of a device hour by quota, of a watt hour."""

    time: dict[str, float] = field(default_factory=dict)
    quotas: dict[int, float] = field(default_factory=dict)
    power: dict[str, float] = field(default_factory=dict)


def feasible_plan(problem: Problem, policy: Policy) -> dict[str, int]:
    """A plan that satisfies all rules; empty where none was found, which proves nothing."""
    choices = {one.name: _choices(problem, policy, one) for one in problem.assets}
    prices, best, least = _Prices(), dict[str, int](), 0
    for _ in range(ROUNDS):
        chosen, exhausted = _greedy(problem, policy, choices, prices)
        _adjust(problem, chosen, exhausted, prices, fall=FALL if best else 1.0)  # until a plan is found none falls
        if not broken_rules(problem, chosen):
            counted = figures(problem, policy, chosen).counted
            if not best or counted < least:
                best, least = chosen, counted
    return best


def _choices(problem: Problem, policy: Policy, asset: Asset) -> _Choices:
    options = asset.options
    marks = [
        (number, np.array([quota.counts(asset, one) for one in options]))
        for number, quota in enumerate(problem.quotas)
        if quota.team == asset.team
    ]
    return _Choices(
        regions=np.array([asset.regions.index(one.region) for one in options]),
        counted=np.array([policy.of_option(one) for one in options], float),
        hours=np.array([one.wait_ms + one.duration_ms for one in options]) / MS_PER_HOUR,
        unit_hours=np.array([one.unit_ms for one in options]) / MS_PER_HOUR,
        watt_hours=np.array([one.power_w * one.duration_ms for one in options]) / MS_PER_HOUR,
        quotas=tuple((number, mark) for number, mark in marks if mark.any()),
    )


def _greedy(
    problem: Problem, policy: Policy, choices: Mapping[str, _Choices], prices: _Prices
) -> tuple[dict[str, int], dict[int, None]]:
    """Each asset after its inputs on its best option under these prices, and the quotas that barred one."""
    left = {number: quota.unit_ms / MS_PER_HOUR for number, quota in enumerate(problem.quotas)}
    chosen: dict[str, int] = {}
    regions: dict[str, str] = {}
    copied: dict[tuple[str, str], None] = {}
    exhausted: dict[int, None] = {}
    for asset in problem.ordered:
        own = choices[asset.name]
        copies, took, barred = _inputs(problem, policy, asset, regions, copied)
        time = prices.time.get(asset.name, 0.0)
        power = np.array([prices.power.get(region, 0.0) for region in asset.regions])
        total = own.counted + (copies + time * took)[own.regions] + time * own.hours
        total = total + power[own.regions] * own.watt_hours
        is_barred = barred[own.regions]
        for number, mark in own.quotas:
            total = total + mark * own.unit_hours * prices.quotas.get(number, 0.0)
            is_over = mark & (own.unit_hours > left[number])
            if is_over.any():
                exhausted[number] = None
                is_barred = is_barred | is_over
        best = int(np.argmin(np.where(is_barred, total + total.max() + 1e15, total)))
        for number, mark in own.quotas:
            if mark[best]:
                left[number] -= own.unit_hours[best]
        chosen[asset.name], regions[asset.name] = best, asset.options[best].region
        copied.update(dict.fromkeys((edge.source, regions[asset.name]) for edge in problem.incoming[asset.name]))
    return chosen, exhausted


def _inputs(
    problem: Problem,
    policy: Policy,
    asset: Asset,
    regions: Mapping[str, str],
    copied: Mapping[tuple[str, str], None],
) -> tuple[Array, Array, npt.NDArray[np.bool_]]:
    """For each region of an asset: what new copies of its inputs count, their hours, and whether residency bars it."""
    count, took = np.zeros(len(asset.regions)), np.zeros(len(asset.regions))
    barred = np.zeros(len(asset.regions), bool)
    for edge in problem.incoming[asset.name]:
        if edge.source not in regions:
            continue
        source, origin = problem.by_name[edge.source], regions[edge.source]
        for at, region in enumerate(asset.regions):
            if region != origin:
                if (edge.source, region) not in copied:
                    count[at] += policy.of_copy(problem, source, origin, region)
                if edge.is_order:
                    took[at] = max(took[at], problem.copy_ms(source, origin, region) / MS_PER_HOUR)
                barred[at] |= (origin, region) in edge.forbidden
    return count, took, barred


def _adjust(
    problem: Problem, chosen: Mapping[str, int], exhausted: Mapping[int, None], prices: _Prices, *, fall: float
) -> None:
    """Raises the prices of what is scarce and lowers the others."""
    options = {one.name: one.options[chosen[one.name]] for one in problem.assets}
    for number, quota in enumerate(problem.quotas):
        if number in exhausted:
            same = [o.unit_microusd_per_hour for one in problem.assets for o in one.options if quota.counts(one, o)]
            first = FIRST_SHARE * max(same, default=0)
            prices.quotas[number] = max(prices.quotas.get(number, 0.0) * RISE, first)
        elif number in prices.quotas:
            prices.quotas[number] *= fall
    late = _late(problem, options)
    for name in {**prices.time, **late}:
        before = prices.time.get(name, 0.0)
        prices.time[name] = max(before * RISE, FIRST_USD_PER_HOUR * 1e6) if name in late else before * fall
    broken = broken_rules(problem, chosen) if problem.power_caps else []
    for cap in problem.power_caps:
        before = prices.power.get(cap.region, 0.0)
        is_over = any(one.startswith(cap.name) for one in broken)
        prices.power[cap.region] = max(before * RISE, FIRST_PER_WATT) if is_over else before * fall


def _late(problem: Problem, options: Mapping[str, Option]) -> dict[str, None]:
    """The assets on a path that ends after a latest finish."""
    if all(one.latest_ms is None for one in problem.assets):
        return {}
    _, ends, _ = schedule(problem, options)
    latest: dict[str, float] = {}
    for asset in reversed(problem.ordered):
        bound = float("inf") if asset.latest_ms is None else float(asset.latest_ms)
        for edge in problem.outgoing[asset.name]:
            if edge.is_order:
                after = options[edge.target]
                took = problem.copy_ms(asset, options[asset.name].region, after.region)
                bound = min(bound, latest[edge.target] - after.duration_ms - after.wait_ms - took)
        latest[asset.name] = bound
    return {name: None for name, end in ends.items() if end > latest[name]}
