"""Exact labelling by bucket elimination: the cheapest region of every asset where no rule binds assets together.

Dynamic programming over the graph (Dechter, "Bucket elimination: a unifying framework for reasoning", Artificial
Intelligence 113, 1999): assets are eliminated one by one; each leaves a table over the regions of its neighbours. All
figures are integers, so the result is exact. A second pass, from the last asset to the first, returns for each asset
and each region the best total of all plans with that choice (its *min-marginal*): the regret of every loser, with
everything else optimised again.
"""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FORBIDDEN = 2**60  # more than any plan counts; sums stop here, so that two of them add up without overflow
MOST_CELLS = 5_000_000  # of one table: 40 MB
MOST_CELLS_ALTOGETHER = 2 * MOST_CELLS

Table = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Factor:
    """What a choice of regions of a few assets counts.

    Attributes:
        scope: numbers of the assets, in rising order.
        table: an axis for each of them.
    """

    scope: tuple[int, ...]
    table: Table


@dataclass(frozen=True)
class Labelling:
    """The best choice of labels.

    Attributes:
        labels: of each variable.
        total: what it counts; `FORBIDDEN` or more where every choice is forbidden.
        marginals: for each variable the best total with each of its labels.
    """

    labels: tuple[int, ...]
    total: int
    marginals: tuple[Table, ...]


@dataclass(frozen=True)
class _Bucket:
    variable: int
    scope: tuple[int, ...]  # with the variable


def factor_of(scope: Sequence[int], table: Table) -> Factor:
    """A factor with its axes in rising order of the variables."""
    order = sorted(range(len(scope)), key=lambda at: scope[at])
    return Factor(tuple(scope[at] for at in order), np.ascontiguousarray(np.transpose(table, order)))


def solve(sizes: Sequence[int], factors: Sequence[Factor]) -> Labelling | None:
    """The best choice of labels; None where a table would be too large.

    Args:
        sizes: number of labels of each variable.
        factors: the total is their sum.
    """
    buckets = _elimination(sizes, [one.scope for one in factors])
    if buckets is None:
        return None
    position = {bucket.variable: at for at, bucket in enumerate(buckets)}
    own: list[list[Factor]] = [[] for _ in buckets]
    constant = 0
    for factor in factors:
        if factor.scope:
            own[min(position[one] for one in factor.scope)].append(factor)
        else:
            constant += int(factor.table)
    tables: list[Table] = []
    parents: list[tuple[int, Factor] | None] = []
    for bucket, given in zip(buckets, own, strict=True):
        table = np.zeros([sizes[one] for one in bucket.scope], np.int64)
        for factor in given:
            np.minimum(table + _aligned(factor, bucket.scope), FORBIDDEN, out=table)
        tables.append(table)
        rest = tuple(one for one in bucket.scope if one != bucket.variable)
        message = Factor(rest, table.min(axis=bucket.scope.index(bucket.variable)))
        if rest:
            parent = min(position[one] for one in rest)
            own[parent].append(message)
            parents.append((parent, message))
        else:
            constant += int(message.table)
            parents.append(None)
    labels = _decoded(buckets, tables, len(sizes))
    return Labelling(labels, constant, _marginals(buckets, tables, parents, constant))


def _decoded(buckets: Sequence[_Bucket], tables: Sequence[Table], count: int) -> tuple[int, ...]:
    """The labels, from the last eliminated variable to the first; the first of equal ones."""
    labels = [0] * count
    for bucket, table in zip(reversed(buckets), reversed(tables), strict=True):
        at = tuple(slice(None) if one == bucket.variable else labels[one] for one in bucket.scope)
        labels[bucket.variable] = int(np.argmin(table[at]))
    return tuple(labels)


def _marginals(
    buckets: Sequence[_Bucket],
    tables: Sequence[Table],
    parents: Sequence[tuple[int, Factor] | None],
    total: int,
) -> tuple[Table, ...]:
    """The second pass: each table is completed with what the rest of the graph counts."""
    beliefs: list[Table] = [np.empty(0, np.int64)] * len(buckets)
    found: dict[int, Table] = {}
    for at in range(len(buckets) - 1, -1, -1):
        bucket, table, parent = buckets[at], tables[at], parents[at]
        if parent is None:
            belief = table + (min(total, FORBIDDEN) - table.min())  # other components of the graph are at their best
        else:
            above, message = parent
            rest = beliefs[above] - _aligned(message, buckets[above].scope)
            axes = tuple(n for n, one in enumerate(buckets[above].scope) if one not in message.scope)
            belief = table + _aligned(Factor(message.scope, rest.min(axis=axes)), bucket.scope)
        belief = np.minimum(belief, FORBIDDEN)
        beliefs[at] = belief
        others = tuple(n for n, one in enumerate(bucket.scope) if one != bucket.variable)
        found[bucket.variable] = belief.min(axis=others)
    return tuple(found[variable] for variable in range(len(buckets)))


def _aligned(factor: Factor, scope: Sequence[int]) -> Table:
    """The table of a factor with axes of length 1 for the other variables of a scope."""
    lengths = iter(factor.table.shape)
    return factor.table.reshape([next(lengths) if one in factor.scope else 1 for one in scope])


def _elimination(sizes: Sequence[int], scopes: Sequence[tuple[int, ...]]) -> list[_Bucket] | None:
    """The order of elimination, always the variable that makes the smallest table; None where that is too large."""
    neighbours: Mapping[int, dict[int, None]] = {one: {} for one in range(len(sizes))}
    for scope in scopes:
        for one in scope:
            neighbours[one].update(dict.fromkeys(other for other in scope if other != one))

    def cells(variable: int) -> int:
        count = sizes[variable]
        for other in neighbours[variable]:
            count *= sizes[other]
        return count

    waiting = [(cells(one), one) for one in range(len(sizes))]
    heapq.heapify(waiting)
    done: dict[int, None] = {}
    buckets, altogether = [], 0
    while waiting:
        count, variable = heapq.heappop(waiting)
        if variable in done:
            continue
        if count != (now := cells(variable)):
            heapq.heappush(waiting, (now, variable))
            continue
        altogether += count
        if count > MOST_CELLS or altogether > MOST_CELLS_ALTOGETHER:
            return None
        around = sorted(neighbours[variable])
        buckets.append(_Bucket(variable, tuple(sorted([variable, *around]))))
        done[variable] = None
        for one in around:
            neighbours[one].pop(variable)
            neighbours[one].update(dict.fromkeys(other for other in around if other != one))
        for one in around:
            heapq.heappush(waiting, (cells(one), one))
    return buckets
