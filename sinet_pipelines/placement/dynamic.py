"""Solves a placement problem without quotas, deadlines and power caps exactly, by a labelling with regions.

Within a region only the best option counts then. Egress is charged once for each copy and destination: assets that
read the same data in one region share the copy.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sinet_pipelines.placement.labelling import FORBIDDEN, Factor, Labelling, factor_of, solve
from sinet_pipelines.placement.policies import Policy
from sinet_pipelines.placement.problem import Asset, Edge, Problem

MOST_DIRECT_CELLS = 20_000  # of a table over an asset and all its readers; four of 12 regions


@dataclass(frozen=True)
class Exact:
    """An exact solution.

    Attributes:
        chosen: the number of the chosen option of each asset; None where residency forbids every plan.
        total: what the plan counts.
        by_region: for each asset and region what the best plan with that choice counts; absent for one region alone.
        is_whole: whether every region was looked at; otherwise a missing one was removed beforehand as worse.
    """

    chosen: Mapping[str, int] | None
    total: int
    by_region: Mapping[str, Mapping[str, int]]
    is_whole: bool = True


def best_in_regions(asset: Asset, policy: Policy) -> dict[str, int]:
    """The number of the best option in each region of an asset; the first of equal ones."""
    found: dict[str, int] = {}
    for number, option in enumerate(asset.options):
        before = found.get(option.region)
        if before is None or policy.of_option(option) < policy.of_option(asset.options[before]):
            found[option.region] = number
    return found


def solve_exactly(problem: Problem, policy: Policy) -> Exact | None:
    """The best plan; None where the graph is too wide for this method."""
    best = {one.name: best_in_regions(one, policy) for one in problem.assets}
    free = [one for one in problem.assets if len(best[one.name]) > 1]
    sizes = [len(best[one.name]) for one in free]
    numbers = {one.name: at for at, one in enumerate(free)}
    factors: list[Factor] = []
    for asset in problem.assets:
        counts = [policy.of_option(asset.options[number]) for number in best[asset.name].values()]
        scope = [numbers[asset.name]] if asset.name in numbers else []
        factors.append(Factor(tuple(scope), np.array(counts if scope else counts[0], np.int64)))
        factors += _copies(problem, policy, asset, numbers, sizes)
    factors += [_allowed(problem, edge, numbers) for edge in problem.edges if edge.forbidden]
    found = solve(sizes, factors)
    return None if found is None else _exact(problem, best, free, found)


def _exact(problem: Problem, best: Mapping[str, Mapping[str, int]], free: list[Asset], found: Labelling) -> Exact:
    if found.total >= FORBIDDEN:
        return Exact(None, found.total, {})
    chosen = {one.name: next(iter(best[one.name].values())) for one in problem.assets}
    marginals = {}
    for asset, label, totals in zip(free, found.labels, found.marginals, strict=False):
        chosen[asset.name] = best[asset.name][asset.regions[label]]
        marginals[asset.name] = {
            region: int(total) for region, total in zip(asset.regions, totals, strict=True) if total < FORBIDDEN
        }
    return Exact(chosen, found.total, marginals)


def _copies(
    problem: Problem, policy: Policy, source: Asset, numbers: Mapping[str, int], sizes: list[int]
) -> list[Factor]:
    """What the copies of an asset's data count, as factors over it and its readers with several regions."""
    readers = [problem.by_name[name] for name in dict.fromkeys(edge.target for edge in problem.outgoing[source.name])]
    origins = source.regions
    certain = dict.fromkeys(one.regions[0] for one in readers if len(one.regions) == 1)
    open_readers = [one for one in readers if len(one.regions) > 1]
    fixed = np.array(
        [sum(policy.of_copy(problem, source, origin, region) for region in certain) for origin in origins], np.int64
    )
    scope = [numbers[source.name]] if source.name in numbers else []
    found = [Factor(tuple(scope), fixed if scope else fixed[0])] if fixed.any() else []
    destinations = [
        region for region in dict.fromkeys(r for one in open_readers for r in one.regions) if region not in certain
    ]
    counts = {
        region: np.array([policy.of_copy(problem, source, origin, region) for origin in origins], np.int64)
        for region in destinations
    }
    counts = {region: count for region, count in counts.items() if count.any()}
    if not counts:
        return found
    shape = [len(origins), *(len(one.regions) for one in open_readers)]
    if np.prod(shape, dtype=float) > MOST_DIRECT_CELLS:
        return found + _copies_by_switch(counts, scope, open_readers, numbers, sizes)
    table = np.zeros(shape, np.int64)
    for region, count in counts.items():
        table += count.reshape([-1, *[1] * len(open_readers)]) * _reads_in(open_readers, region)
    if not scope:
        table = table[0]
    return [*found, factor_of([*scope, *(numbers[one.name] for one in open_readers)], table)]


def _copies_by_switch(
    counts: Mapping[str, npt.NDArray[np.int64]],
    scope: list[int],
    readers: list[Asset],
    numbers: Mapping[str, int],
    sizes: list[int],
) -> list[Factor]:
    """The same with a further variable for each destination: whether the data are there.

    A table over all readers would be too large; these factors are over two variables each.
    """
    found = []
    for region, count in counts.items():
        switch = len(sizes)
        sizes.append(2)
        table = np.stack([np.zeros_like(count), count], axis=1)
        found.append(factor_of([*scope, switch], table if scope else table[0]))
        for reader in readers:
            if region in reader.regions:
                absent = [FORBIDDEN if one == region else 0 for one in reader.regions]
                pair = np.stack([np.array(absent, np.int64), np.zeros(len(absent), np.int64)], axis=1)
                found.append(factor_of([numbers[reader.name], switch], pair))
    return found


def _reads_in(readers: list[Asset], region: str) -> np.ndarray:
    """Whether any reader is in a region, for every choice of their regions, behind an axis of length 1."""
    found = np.zeros([1, *[1] * len(readers)], bool)
    for at, reader in enumerate(readers):
        shape = [1, *[1] * len(readers)]
        shape[at + 1] = len(reader.regions)
        found = found | np.array([one == region for one in reader.regions]).reshape(shape)
    return found


def _allowed(problem: Problem, edge: Edge, numbers: Mapping[str, int]) -> Factor:
    source, target = problem.by_name[edge.source], problem.by_name[edge.target]
    pairs = [[FORBIDDEN if (a, b) in edge.forbidden else 0 for b in target.regions] for a in source.regions]
    table = np.array(pairs, np.int64)
    ends = [(one.name, axis) for axis, one in enumerate((source, target)) if one.name in numbers]
    if len(ends) == 2:
        return factor_of([numbers[name] for name, _ in ends], table)
    return Factor(tuple(numbers[name] for name, _ in ends), table.reshape(-1) if ends else table[0, 0])
