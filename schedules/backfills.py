"""What a person starts: the days and assets that are not what their inputs say, as the fewest runs that mend them.

What is stale is known to `resources/stale.py`; here it becomes runs, each of some assets and at most one range of days.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import dagster as dg
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG

from resources.keys import everywhere, global_key, regional_key
from resources.settings import settings
from resources.stale import Books
from sinet_pipelines.errors import UsageError
from sinet_pipelines.regions import REGIONS

REFITTED = ("regime_cells", "operating_regimes")  # by the training schedule, never because rows came
Span = tuple[date, date]


@dataclass(frozen=True)
class PlannedRun:
    """One run to start.

    Attributes:
        keys: what it makes.
        days: first and last day of its assets with days, None where it has none.
    """

    keys: frozenset[dg.AssetKey]
    days: Span | None = None

    @property
    def tags(self) -> dict[str, str]:
        """The tags that tell Dagster the range of days."""
        if self.days is None:
            return {}
        first, last = self.days
        return {ASSET_PARTITION_RANGE_START_TAG: first.isoformat(), ASSET_PARTITION_RANGE_END_TAG: last.isoformat()}


def open_books(context: dg.SensorEvaluationContext | dg.ScheduleEvaluationContext) -> Books:
    """The books of the settings' home, as a sensor or a schedule sees them."""
    if context.repository_def is None:
        raise UsageError("the context has no definitions; build it with repository_def=defs.get_repository_def()")
    return Books(context.instance, context.repository_def.asset_graph, settings().home)


def plan_repair(
    instance: dg.DagsterInstance,
    graph: BaseAssetGraph,
    home: Path,
    *,
    also: Iterable[dg.AssetKey] = (),
    leave: Collection[str] = REFITTED,
) -> list[PlannedRun]:
    """The fewest runs that make everything what its inputs say, in order; empty where everything is.

    Args:
        instance: whose event log says what was made.
        graph: of the assets.
        home: where the fleet lies.
        also: assets known to be stale for a reason of their own (an endpoint whose server is gone).
        leave: assets, by the last word of their keys, that are left as they are once they exist.
    """
    books = Books(instance, graph, home)
    if books.is_empty:
        return []
    rows, features, drift = (dict[Span, set[dg.AssetKey]]() for _ in range(3))
    for region in REGIONS:
        landed, stale = books.landed(region), books.stale_rows(region)
        _gather(rows, regional_key(region, "raw_telemetry"), contiguous(stale.raw, landed))
        _gather(rows, regional_key(region, "validated_telemetry"), contiguous(stale.validated, landed))
        days = books.stale_features(region, after=stale.validated)
        _gather(features, regional_key(region, "window_features"), contiguous(days, landed))
        _gather(drift, regional_key(region, "input_drift"), contiguous(books.stale_drift(region, after=days), landed))
    with_days = set[dg.AssetKey]().union(*rows.values(), *features.values())
    rest = books.stale_without_days(with_days, leave=leave, also=frozenset(also))
    return _watched(_in_order(_runs(rows), _runs(features), rest), _runs(drift))


def startable(runs: Sequence[PlannedRun], graph: BaseAssetGraph) -> list[PlannedRun]:
    """Those of the planned runs that need nothing of one planned before them, and so may start at once."""
    before, found = set[dg.AssetKey](), []
    for run in runs:
        needs = dg.AssetSelection.assets(*run.keys).upstream().resolve(graph) - run.keys
        if before.isdisjoint(needs):
            found.append(run)
        before |= run.keys
    return found


def contiguous(days: Collection[date], landed: Iterable[date]) -> Iterator[Span]:
    """First and last day of each stretch of the given days that has no other landed day between.

    A given day need not have landed: one whose drops were withdrawn is emptied.

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


def landed_range(books: Books) -> Span | None:
    """First and last landed day over all regions."""
    days = [day for region in REGIONS for day in books.landed(region)]
    return (min(days), max(days)) if days else None


def _gather(keys_of: dict[Span, set[dg.AssetKey]], key: dg.AssetKey, spans: Iterable[Span]) -> None:
    for span in spans:
        keys_of.setdefault(span, set()).add(key)


def _runs(keys_of: Mapping[Span, set[dg.AssetKey]]) -> list[PlannedRun]:
    """Assets and regions that need the same days share a run."""
    return [PlannedRun(frozenset(keys), span) for span, keys in sorted(keys_of.items(), key=lambda item: item[0])]


def _in_order(
    rows: Sequence[PlannedRun], features: Sequence[PlannedRun], rest: frozenset[dg.AssetKey]
) -> list[PlannedRun]:
    """Rows, then features, then what has no days; what may share a run does.

    Regimes that are to be found come before the features that are standardised by them.
    """
    if len(rows) <= 1 and len(features) <= 1 and (not rows or not features or rows[0].days == features[0].days):
        keys = frozenset[dg.AssetKey]().union(*(run.keys for run in (*rows, *features)), rest)
        days = next((run.days for run in (*rows, *features)), None)
        return [PlannedRun(keys, days)] if keys else []
    regimes = rest.intersection([global_key("operating_regimes"), *everywhere("regime_cells")])
    last = features[-1] if features else PlannedRun(frozenset())
    return [
        run
        for run in (*rows, PlannedRun(regimes), *features[:-1], PlannedRun(last.keys | (rest - regimes), last.days))
        if run.keys
    ]


def _watched(runs: Sequence[PlannedRun], drift: Sequence[PlannedRun]) -> list[PlannedRun]:
    """The runs with the watch upon the features' days: in the run that makes these very days, else after all of them.

    A day is held against earlier ones, and the runs of features are in the order of their days.
    """
    last_of = {run.days: number for number, run in enumerate(runs)}
    shared = {last_of[run.days]: run.keys for run in drift if run.days in last_of}
    joined = [PlannedRun(run.keys | shared.get(n, frozenset()), run.days) for n, run in enumerate(runs)]
    return joined + [run for run in drift if run.days not in last_of]
