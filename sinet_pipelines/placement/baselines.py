"""Plans without an optimiser, for comparison: each asset alone, or one after the other."""

from collections.abc import Callable, Mapping
from typing import Any

from sinet_pipelines.placement.policies import Policy
from sinet_pipelines.placement.problem import Asset, Option, Problem


def per_asset_cheapest(problem: Problem, policy: Policy) -> dict[str, int]:
    """Each asset by itself on its best option; transfers are not looked at."""
    return _one_by_one(problem, lambda asset, option, _: policy.of_option(option))


def greedy(problem: Problem, policy: Policy) -> dict[str, int]:
    """Each asset after its inputs: the best option together with the copies that it adds."""
    copied: dict[tuple[str, str], None] = {}

    def counts(asset: Asset, option: Option, regions: Mapping[str, str]) -> int:
        total = policy.of_option(option)
        for edge in problem.incoming[asset.name]:
            if edge.source in regions and (edge.source, option.region) not in copied:
                source = problem.by_name[edge.source]
                total += policy.of_copy(problem, source, regions[edge.source], option.region)
        return total

    def note(asset: Asset, option: Option) -> None:
        copied.update(dict.fromkeys((edge.source, option.region) for edge in problem.incoming[asset.name]))

    return _one_by_one(problem, counts, note)


def earliest_finish(problem: Problem, policy: Policy) -> dict[str, int]:
    """Each asset after its inputs on the option that ends first; of equal ones the cheapest."""
    ends: dict[str, int] = {}

    def end(asset: Asset, option: Option, regions: Mapping[str, str]) -> int:
        start = 0
        for edge in problem.incoming[asset.name]:
            if edge.is_order:
                took = problem.copy_ms(problem.by_name[edge.source], regions[edge.source], option.region)
                start = max(start, ends[edge.source] + took)
        ends[asset.name] = start + option.wait_ms + option.duration_ms
        return ends[asset.name]

    def counts(asset: Asset, option: Option, regions: Mapping[str, str]) -> tuple[int, int]:
        return end(asset, option, regions), policy.of_option(option)

    regions: dict[str, str] = {}
    return _one_by_one(problem, counts, lambda asset, option: _note(end, asset, option, regions))


def _note(end: Callable[..., int], asset: Asset, option: Option, regions: dict[str, str]) -> None:
    """Records the end of the chosen option, after other options have been tried."""
    end(asset, option, regions)
    regions[asset.name] = option.region


def _one_by_one(
    problem: Problem,
    counts: Callable[[Asset, Option, Mapping[str, str]], Any],
    note: Callable[[Asset, Option], None] = lambda asset, option: None,
) -> dict[str, int]:
    """The best option of each asset, upstream assets first, among those that residency allows after its inputs."""
    chosen: dict[str, int] = {}
    regions: dict[str, str] = {}
    for asset in problem.ordered:
        allowed = [
            number
            for number, option in enumerate(asset.options)
            if not any(
                (regions.get(edge.source, ""), option.region) in edge.forbidden for edge in problem.incoming[asset.name]
            )
        ]
        numbers = allowed or range(len(asset.options))
        best = min(numbers, key=lambda number: counts(asset, asset.options[number], regions))
        chosen[asset.name], regions[asset.name] = best, asset.options[best].region
        note(asset, asset.options[best])
    return chosen
