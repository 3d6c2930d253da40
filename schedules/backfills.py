"""Plans the fewest runs that make stale assets and days again.

`resources/materializations/staleness.py` finds what is stale. This module turns it into runs, each of some assets and
at most one range of days.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import dagster as dg

from resources.dagster_private import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG, BaseAssetGraph
from resources.deployment import Deployment
from resources.keys import Cadence, name_of
from resources.materializations.published import Published
from resources.materializations.staleness import Staleness
from resources.materializations.zones import Zones
from schedules.jobs import REFITTED
from sinet_pipelines.errors import UsageError
from sinet_pipelines.ingestion.reading_time import ReadingTime

Span = tuple[date, date]
#: Seconds of a tick in which new drops are open: other sensors wait, and Dagster ends a tick after 60 s.
READ_S = 4.0
ROWS, FEATURES, WATCH = range(3)  # levels of assets with days


@dataclass(frozen=True)
class PlannedRun:
    """One run to start.

    Attributes:
        keys: the assets it makes.
        days: first and last day of its assets with days; None where it has none.
    """

    keys: frozenset[dg.AssetKey]
    days: Span | None = None

    @property
    def tags(self) -> dict[str, str]:
        """The tags that pass the range of days to Dagster."""
        if self.days is None:
            return {}
        first, last = self.days
        return {ASSET_PARTITION_RANGE_START_TAG: first.isoformat(), ASSET_PARTITION_RANGE_END_TAG: last.isoformat()}


def staleness_of(
    context: dg.SensorEvaluationContext | dg.ScheduleEvaluationContext,
    deployment: Deployment,
    zones: Zones | None = None,
) -> Staleness:
    """The staleness of the deployment's home, for a sensor or a schedule; new drops are read for `READ_S` seconds.

    Args:
        context: of the tick.
        deployment: home and regions.
        zones: the states of its landing zones, if they are known already.
    """
    if context.repository_def is None:
        raise UsageError("the context has no definitions; build it with repository_def=defs.get_repository_def()")
    read = Published(deployment, ReadingTime(READ_S), zones)
    return Staleness(context.instance, context.repository_def.asset_graph, deployment, read)


def plan_repair(
    instance: dg.DagsterInstance,
    graph: BaseAssetGraph,
    deployment: Deployment,
    *,
    also: Iterable[dg.AssetKey] = (),
    leave: Collection[str] = REFITTED,
    read: Published | None = None,
) -> list[PlannedRun]:
    """The fewest runs that make every stale asset and day again, in order; empty where nothing is stale.

    Args:
        instance: its event log records what was made.
        graph: of the assets.
        deployment: home and regions.
        also: further assets to make (an endpoint whose server is gone).
        leave: cadences whose assets without days are not made again once they exist.
        read: as in `Staleness`.
    """
    staleness = Staleness(instance, graph, deployment, read)
    if not staleness.active:
        return []
    levels: dict[int, dict[Span, set[dg.AssetKey]]] = {}
    level_of = levels_of(staleness)
    for key, level in level_of.items():
        if staleness.is_active(key):
            _gather(levels.setdefault(level, {}), key, contiguous(staleness.stale(key), staleness.landed(key)))
    known = {key for key in also if graph.has(key) and staleness.is_active(key)}
    made_again = {key for level, spans in levels.items() if level < WATCH for keys in spans.values() for key in keys}
    rest = staleness.stale_without_days(made_again, leave=leave, also=frozenset(known))
    before = rest & _ancestors(graph, [key for key, level in level_of.items() if level == FEATURES])
    rows, features, watch = (_runs(levels.get(level, {})) for level in (ROWS, FEATURES, WATCH))
    return _watched(_in_order(rows, features, rest, before=before), watch)


def levels_of(staleness: Staleness) -> dict[dg.AssetKey, int]:
    """The assets with days in order, each with its level: landed rows, features, monitors of features."""
    found: dict[dg.AssetKey, int] = {}
    for key in staleness.keys_with_days():
        parents = [found[one] for one in staleness.parents_with_days(key) if one in found]
        found[key] = ROWS if staleness.cadence(key) == Cadence.LANDING else min(1 + max(parents, default=ROWS), WATCH)
    return found


def _ancestors(graph: BaseAssetGraph, keys: Collection[dg.AssetKey]) -> set[dg.AssetKey]:
    return set(dg.AssetSelection.assets(*keys).upstream().resolve(graph)) - set(keys) if keys else set()


def startable(runs: Sequence[PlannedRun], graph: BaseAssetGraph) -> list[PlannedRun]:
    """The planned runs that depend on no earlier planned run, and so may start at once."""
    before, found = set[dg.AssetKey](), []
    for run in runs:
        needs = dg.AssetSelection.assets(*run.keys).upstream().resolve(graph) - run.keys
        if before.isdisjoint(needs):
            found.append(run)
        before |= run.keys
    return found


def without(runs: Sequence[PlannedRun], keys: Collection[dg.AssetKey], graph: BaseAssetGraph) -> list[PlannedRun]:
    """The planned runs without some assets and all assets downstream of these."""
    left_out = set(dg.AssetSelection.assets(*keys).downstream().resolve(graph)) if keys else set()
    return [replace(run, keys=run.keys - left_out) for run in runs if run.keys - left_out]


def contiguous(days: Collection[date], landed: Iterable[date]) -> Iterator[Span]:
    """First and last day of each range of the passed days without another landed day in between.

    A passed day need not have landed: a day whose drops were withdrawn is emptied.

    >>> first, second, fourth, fifth = (date(2026, 1, day) for day in (1, 2, 4, 5))
    >>> [(a.day, b.day) for a, b in contiguous([first, second, fourth], [first, second, fourth, fifth])]
    [(1, 4)]
    >>> [(a.day, b.day) for a, b in contiguous([first, fourth], [first, second, fourth])]
    [(1, 1), (4, 4)]
    """
    stretch: list[date] = []
    for day in sorted({*landed, *days}):
        if day in days:
            stretch.append(day)
        elif stretch:
            yield stretch[0], stretch[-1]
            stretch = []
    if stretch:
        yield stretch[0], stretch[-1]


def landed_range(staleness: Staleness, application: str | None = None) -> Span | None:
    """First and last landed day over all regions: of an application, or of all."""
    keys = [key for key in staleness.keys_with_days(Cadence.LANDING) if application in (None, name_of(key).application)]
    days = [day for key in keys for day in staleness.landed(key)]
    return (min(days), max(days)) if days else None


def _gather(keys_of: dict[Span, set[dg.AssetKey]], key: dg.AssetKey, spans: Iterable[Span]) -> None:
    for span in spans:
        keys_of.setdefault(span, set()).add(key)


def _runs(keys_of: Mapping[Span, set[dg.AssetKey]]) -> list[PlannedRun]:
    """Runs in which assets and regions with the same days share a run."""
    return [PlannedRun(frozenset(keys), span) for span, keys in sorted(keys_of.items(), key=lambda item: item[0])]


def _in_order(
    rows: Sequence[PlannedRun],
    features: Sequence[PlannedRun],
    rest: frozenset[dg.AssetKey],
    *,
    before: Collection[dg.AssetKey],
) -> list[PlannedRun]:
    """Orders runs: rows, then features, then assets without days; combines runs where possible.

    Args:
        rows: runs of tables of rows.
        features: runs of tables computed from rows.
        rest: assets without days.
        before: those of `rest` from which features are computed; they come before the features.
    """
    if len(rows) <= 1 and len(features) <= 1 and (not rows or not features or rows[0].days == features[0].days):
        keys = frozenset[dg.AssetKey]().union(*(run.keys for run in (*rows, *features)), rest)
        days = next((run.days for run in (*rows, *features)), None)
        return [PlannedRun(keys, days)] if keys else []
    first = rest.intersection(before)
    last = features[-1] if features else PlannedRun(frozenset())
    return [
        run
        for run in (*rows, PlannedRun(first), *features[:-1], PlannedRun(last.keys | (rest - first), last.days))
        if run.keys
    ]


def _watched(runs: Sequence[PlannedRun], drift: Sequence[PlannedRun]) -> list[PlannedRun]:
    """Adds the monitors of the features' days: to the run that makes exactly these days, else after all runs.

    A day is compared with earlier ones, and the runs of features are in the order of their days.
    """
    last_of = {run.days: number for number, run in enumerate(runs)}
    shared = {last_of[run.days]: run.keys for run in drift if run.days in last_of}
    joined = [PlannedRun(run.keys | shared.get(n, frozenset()), run.days) for n, run in enumerate(runs)]
    return joined + [run for run in drift if run.days not in last_of]
