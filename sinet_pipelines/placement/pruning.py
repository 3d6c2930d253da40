"""Removes regions of assets that no best plan needs, where no rule but residency binds assets together.

A region goes if another one of the same asset is cheaper by more than all transfers can add when the asset moves there,
wherever its neighbours are (dead-end elimination: Desmet et al., "The dead-end elimination theorem and its use in
protein side-chain positioning", Nature 356, 1992). Removals make bounds tighter, so it is repeated until nothing goes.
The best plan stays; what removed regions would cost is no longer known exactly.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from sinet_pipelines.placement.dynamic import best_in_regions
from sinet_pipelines.placement.policies import Policy
from sinet_pipelines.placement.problem import Asset, Problem

Matrix = npt.NDArray[np.int64]
MOST_ROUNDS = 20  # each one removes something; further ones hardly do


def pruned_options(problem: Problem, policy: Policy) -> dict[str, tuple[int, ...]]:
    """The numbers of the options of each asset that stay: the best one of each region that a best plan can need."""
    tables = _Tables(problem, policy)
    best = {one.name: best_in_regions(one, policy) for one in problem.assets}
    counts = {
        one.name: np.array([policy.of_option(one.options[number]) for number in best[one.name].values()], np.int64)
        for one in problem.assets
    }
    domains = {one.name: np.array([tables.at[region] for region in one.regions]) for one in problem.assets}
    for _ in range(MOST_ROUNDS):
        went = [_prune(tables, one, domains, counts) for one in problem.assets if len(domains[one.name]) > 1]
        if not any(went):
            break
    names = tables.names
    return {one.name: tuple(best[one.name][names[region]] for region in domains[one.name]) for one in problem.assets}


def with_options(problem: Problem, kept: Mapping[str, tuple[int, ...]]) -> Problem:
    """The problem with these options of its assets alone."""
    assets = tuple(replace(one, options=tuple(one.options[at] for at in kept[one.name])) for one in problem.assets)
    return replace(problem, assets=assets)


@dataclass(frozen=True)
class _Tables:
    """What a copy of each asset's data counts between all regions, as matrices."""

    problem: Problem
    policy: Policy
    copies: dict[str, Matrix] = field(default_factory=dict)
    allowed: dict[tuple[str, str], npt.NDArray[np.bool_]] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    at: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        found = dict.fromkeys(region for one in self.problem.assets for region in one.regions)
        self.names.extend(found)
        self.at.update({name: number for number, name in enumerate(found)})
        for edge in self.problem.edges:
            if edge.forbidden:
                table = np.ones((len(found), len(found)), bool)
                for a, b in edge.forbidden:
                    table[self.at[a], self.at[b]] = False
                self.allowed[edge.source, edge.target] = table

    def copy(self, asset: Asset) -> Matrix:
        """(R, R) what a copy counts from each region to each other one."""
        if asset.name not in self.copies:
            known: dict[object, int] = {None: 0}
            table = np.zeros((len(self.names), len(self.names)), np.int64)
            for a, origin in enumerate(self.names):
                for b, target in enumerate(self.names):
                    line = self.problem.lines.get((origin, target)) if a != b else None
                    if line not in known:
                        known[line] = self.policy.of_copy(self.problem, asset, origin, target)
                    table[a, b] = known[line]
            self.copies[asset.name] = table
        return self.copies[asset.name]


def _prune(tables: _Tables, asset: Asset, domains: dict[str, npt.NDArray[np.int64]], counts: dict[str, Matrix]) -> bool:
    """Removes regions of one asset; returns whether any went."""
    own = domains[asset.name]
    added = _added_by_inputs(tables, asset, domains) + _added_by_copies(tables, asset, domains)
    saved = counts[asset.name][:, None] - counts[asset.name][None, :]
    may_replace = (saved > added) & _is_no_stricter(tables, asset, domains)
    goes = may_replace.any(axis=1)
    if not goes.any():
        return False
    domains[asset.name], counts[asset.name] = own[~goes], counts[asset.name][~goes]
    return True


def _added_by_inputs(tables: _Tables, asset: Asset, domains: Mapping[str, npt.NDArray[np.int64]]) -> Matrix:
    """(r, s) the most that copies of inputs add when the asset moves from r to s."""
    own, problem = domains[asset.name], tables.problem
    total = np.zeros((len(own), len(own)), np.int64)
    for name in dict.fromkeys(edge.source for edge in problem.incoming[asset.name]):
        copy = tables.copy(problem.by_name[name])[np.ix_(domains[name], own)]  # (a, r)
        readers = dict.fromkeys(edge.target for edge in problem.outgoing[name])
        others = [one for one in readers if one != asset.name]
        there = {int(domains[one][0]) for one in others if len(domains[one]) == 1}
        is_there = np.isin(own, sorted(there))
        needed = np.where(is_there[None, :], 0, copy)  # a copy that another reader needs anyway costs nothing
        is_spared = np.zeros(len(own), bool) if others else np.ones(len(own), bool)
        spared = np.where(is_spared[None, :], copy, 0)
        total += (needed[:, None, :] - spared[:, :, None]).max(axis=0)
    return total


def _added_by_copies(tables: _Tables, asset: Asset, domains: Mapping[str, npt.NDArray[np.int64]]) -> Matrix:
    """(r, s) the most that copies of its own data add when the asset moves from r to s."""
    own, problem = domains[asset.name], tables.problem
    total = np.zeros((len(own), len(own)), np.int64)
    readers = dict.fromkeys(edge.target for edge in problem.outgoing[asset.name])
    if not readers:
        return total
    copy = tables.copy(asset)[own]  # (r, d)
    change = copy[None, :, :] - copy[:, None, :]  # (r, s, d)
    certain = {int(domains[one][0]) for one in readers if len(domains[one]) == 1}
    for destination in sorted(certain):
        total += change[:, :, destination]
    for one in readers:
        open_ones = [int(d) for d in domains[one] if int(d) not in certain]
        if len(domains[one]) > 1 and open_ones:
            total += np.maximum(change[:, :, open_ones].max(axis=2), 0)
    return total


def _is_no_stricter(
    tables: _Tables, asset: Asset, domains: Mapping[str, npt.NDArray[np.int64]]
) -> npt.NDArray[np.bool_]:
    """(r, s) whether s is allowed beside every region of the neighbours beside which r is allowed."""
    own = domains[asset.name]
    found = ~np.eye(len(own), dtype=bool)
    for edge in (*tables.problem.incoming[asset.name], *tables.problem.outgoing[asset.name]):
        if not edge.forbidden:
            continue
        table = tables.allowed[edge.source, edge.target]
        is_target = edge.target == asset.name
        other = domains[edge.source if is_target else edge.target]
        beside = table[np.ix_(other, own)] if is_target else table[np.ix_(own, other)].T  # (other, own)
        found &= (~beside[:, :, None] | beside[:, None, :]).all(axis=0)
    return found
