"""Orders what a backfill makes into runs: the newest days first, each after the days that it is computed from."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import dagster as dg

from resources.dagster_private import BaseAssetGraph
from resources.materializations.staleness import Staleness
from schedules.backfill_goal import Todo
from schedules.backfills import WATCH, PlannedRun, Span, contiguous, levels_of

ALL_DAYS = 100_000  # as days of one run: no split
LAST = 1_000  # depth of assets without days that no day is computed from


@dataclass(frozen=True)
class _Part:
    """Assets that can share a run.

    Attributes:
        keys: of one depth, none of them an upstream of another.
        days: their days; None for assets without days.
        depth: number of upstreams with days above them; -1 for assets without days that days are computed from.
        is_monitor: whether a day of theirs is compared with other days of their upstreams.
    """

    keys: frozenset[dg.AssetKey]
    days: Span | None
    depth: int
    is_monitor: bool = False


def in_runs(staleness: Staleness, todo: Todo, *, days_per_run: int = ALL_DAYS) -> list[PlannedRun]:
    """The runs of a backfill, in order.

    A run makes all of its days of all of its assets, so assets share a run where the same days are left. A day waits
    for the days of its upstreams that it reads, and a monitor for all days of its upstreams. So the newest rows come
    first, then the rows of the days before, then the newest features.

    Args:
        staleness: of the home.
        todo: what is left to make.
        days_per_run: the most days of one run.
    """
    graph = staleness.graph
    parts = [*_parts_with_days(staleness, todo, days_per_run), *_parts_without_days(graph, todo)]
    above = {keys: _above(graph, keys) for keys in dict.fromkeys(part.keys for part in parts)}
    needs = {part: _needs(graph, part, parts, above[part.keys]) for part in parts}
    left = sorted(parts, key=lambda part: (-(part.days[1].toordinal() if part.days else 0), part.depth))
    done: set[_Part] = set()
    runs = []
    while left:
        # assets that need one another through an asset without days are in no order: each look plans anew, so any is
        first = next((part for part in left if needs[part] <= done), left[0])
        run = _joined(first, left, needs, done)
        done |= set(run)
        left = [part for part in left if part not in done]
        keys = frozenset[dg.AssetKey]().union(*(part.keys for part in run))
        runs.append(PlannedRun(keys, next((part.days for part in run if part.days), None)))
    return runs


def _joined(
    first: _Part, left: Sequence[_Part], needs: Mapping[_Part, frozenset[_Part]], done: Collection[_Part]
) -> list[_Part]:
    """A part with all others that can share its run: of the same days, and computed from nothing that comes later."""
    run, days = [first], first.days
    rest = [part for part in left if part is not first]
    while True:
        near = (part for part in rest if days is None or part.days in (None, days))
        found = next((part for part in near if needs[part] <= {*done, *run}), None)
        if found is None:
            return run
        run.append(found)
        rest.remove(found)
        days = days or found.days


def _parts_with_days(staleness: Staleness, todo: Todo, days_per_run: int) -> list[_Part]:
    newest, level_of, depth_of = todo.days[::-1], levels_of(staleness), _depths(staleness)
    chunks = [frozenset(newest[at : at + days_per_run]) for at in range(0, len(newest), days_per_run)]
    parts = []
    for kind in sorted({(depth_of[key], level_of[key] == WATCH) for key in todo.cells}):
        for chunk in chunks:
            keys_of: dict[Span, set[dg.AssetKey]] = {}
            for key in (one for one in todo.cells if (depth_of[one], level_of[one] == WATCH) == kind):
                for span in contiguous(todo.cells[key] & chunk, staleness.landed(key)):
                    keys_of.setdefault(span, set()).add(key)
            parts += [_Part(frozenset(keys), span, *kind) for span, keys in sorted(keys_of.items(), reverse=True)]
    return parts


def _depths(staleness: Staleness) -> dict[dg.AssetKey, int]:
    """How many upstreams with days are above each asset with days, one above the other."""
    found: dict[dg.AssetKey, int] = {}
    for key in staleness.keys_with_days():
        found[key] = 1 + max((found[one] for one in staleness.parents_with_days(key) if one in found), default=-1)
    return found


def _parts_without_days(graph: BaseAssetGraph, todo: Todo) -> list[_Part]:
    """Assets without days: first those that days are computed from, then the rest."""
    above = dg.AssetSelection.assets(*todo.cells).upstream().resolve(graph) if todo.cells else frozenset()
    first, rest = todo.once & above, todo.once - above
    parts = [_Part(frozenset([key]), None, -1) for key in sorted(first)]
    return [*parts, _Part(rest, None, LAST)] if rest else parts


def _above(graph: BaseAssetGraph, keys: frozenset[dg.AssetKey]) -> frozenset[dg.AssetKey]:
    return frozenset(dg.AssetSelection.assets(*keys).upstream().resolve(graph))


def _needs(
    graph: BaseAssetGraph, part: _Part, parts: Sequence[_Part], above: frozenset[dg.AssetKey]
) -> frozenset[_Part]:
    """The parts that must be made before.

    Args:
        graph: of the assets.
        part: the part.
        parts: all parts.
        above: the part's assets and all of their upstreams.
    """
    others = [one for one in parts if one is not part and above & one.keys]
    if part.days is None:
        return frozenset(one for one in (parts if part.depth == LAST else others) if one is not part)
    once = frozenset(one for one in others if one.days is None)
    reach = _reach(graph, part.keys)
    found = set()
    for one in others:
        if one.days is not None and one.depth < part.depth:
            back = max((reach.get(key, 0) for key in one.keys), default=0)
            is_read = one.days[0] <= part.days[1] and one.days[1] >= part.days[0] - timedelta(days=back)
            if is_read or part.is_monitor:
                found.add(one)
    return once | found


def _reach(graph: BaseAssetGraph, keys: Collection[dg.AssetKey]) -> Mapping[dg.AssetKey, int]:
    """How many days before its own any of the assets reads of each upstream."""
    reach: dict[dg.AssetKey, int] = {}
    for key in sorted(keys):
        for parent, mapping in graph.get(key).partition_mappings.items():
            if isinstance(mapping, dg.TimeWindowPartitionMapping):
                reach[parent] = max(reach.get(parent, 0), -mapping.start_offset)
    return reach


def cells_of(run: PlannedRun, todo: Todo) -> dict[dg.AssetKey, frozenset[date]]:
    """The days of each asset with days that a run makes."""
    first, last = run.days or (date.max, date.min)
    found = {
        key: frozenset(day for day in todo.cells[key] if first <= day <= last) for key in run.keys if key in todo.cells
    }
    return {key: days for key, days in found.items() if days}


def touches(run: PlannedRun, busy: Collection[tuple[dg.AssetKey, date | None]]) -> bool:
    """Whether a run would make a day, or an asset without days, that another run is making.

    Args:
        run: the planned run.
        busy: what other runs make; the day is None for all of an asset.
    """
    for key, day in busy:
        if key in run.keys and (day is None or run.days is None or run.days[0] <= day <= run.days[1]):
            return True
    return False
