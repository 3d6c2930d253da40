"""What a backfill is to make: assets and days of a selection, without those that are good, and the runs that make them.

`resources/materializations/staleness.py` decides what is missing, failed, late or made from older code or inputs.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date

import dagster as dg

from resources.dagster_private import BaseAssetGraph, DagsterEventType
from resources.keys import CONTRACT_CHECK
from resources.materializations.held import as_day
from resources.materializations.staleness import Staleness
from schedules.backfills import Span
from schedules.jobs import REFITTED
from sinet_pipelines.errors import UsageError

SYNTAX = "write Dagster's asset selection syntax: group:features, key:\"EAST/*\", an asset's key with + for neighbours"
SHOWN = 3  # groups that a message names

Cell = tuple[dg.AssetKey, date]


@dataclass(frozen=True)
class Goal:
    """What a backfill is to make.

    Attributes:
        keys: assets of the selection that steps make.
        days: first and last day; None for a selection without days.
        redo_after: with `--all` the newest record of the event log when the backfill began: what was made since is not
            made again; None to make only what is missing, failed, late or of older code or inputs.
    """

    keys: frozenset[dg.AssetKey]
    days: Span | None
    redo_after: int | None = None

    def holds(self, day: date) -> bool:
        """Whether a day is among those of the backfill."""
        return self.days is not None and self.days[0] <= day <= self.days[1]


@dataclass(frozen=True)
class Todo:
    """What is left to make of a goal.

    Attributes:
        cells: the days of each asset with days.
        once: assets without days.
        refused: days that failed their contract with the rows they still have; they would fail again. Such a day keeps
            the rows of an earlier version where it was good once.
        waiting: stale days outside `cells`, since an upstream that was not selected must be made first.
    """

    cells: Mapping[dg.AssetKey, frozenset[date]]
    once: frozenset[dg.AssetKey] = frozenset()
    refused: Mapping[dg.AssetKey, frozenset[date]] = field(default_factory=dict)
    waiting: Mapping[dg.AssetKey, frozenset[date]] = field(default_factory=dict)

    @property
    def days(self) -> list[date]:
        """All days, in order."""
        return sorted(frozenset[date]().union(*self.cells.values()))

    @property
    def count(self) -> int:
        """The number of pairs of asset and day."""
        return sum(len(days) for days in self.cells.values())

    def within(self, days: Span | None) -> "Todo":
        """The part of these days; assets without days are kept."""
        kept = {
            key: found
            for key, wanted in self.cells.items()
            if (found := frozenset(day for day in wanted if days is not None and days[0] <= day <= days[1]))
        }
        return Todo(kept, self.once, self.refused, self.waiting)


def select(graph: BaseAssetGraph, selection: str) -> frozenset[dg.AssetKey]:
    """The assets of a selection that steps make.

    Raises:
        UsageError: it does not parse, or matches no asset that a step makes.
    """
    from dagster_shared.check import CheckError

    try:
        found = dg.AssetSelection.from_string(selection).resolve(graph)
    except dg.DagsterInvalidSubsetError as error:
        raise UsageError(f"the selection {selection!r} names an asset that does not exist; {_known(graph)}") from error
    except dg.DagsterError as error:
        raise UsageError(f"the selection {selection!r} cannot be read; {SYNTAX}") from error
    except (NotImplementedError, CheckError) as error:  # status:, job:, column: and others that are of Dagster's UI
        raise UsageError(
            f"the selection {selection!r} has an attribute that only Dagster's UI has; {SYNTAX}"
        ) from error
    made = frozenset(key for key in found if graph.get(key).is_materializable)
    if not made:
        why = "only files that no step makes" if found else "no asset"
        raise UsageError(f"the selection {selection!r} matches {why}; {_known(graph)}")
    return made


def _known(graph: BaseAssetGraph) -> str:
    groups = sorted({graph.get(key).group_name or "" for key in graph.get_all_asset_keys()})
    return f"`sinet status` shows every asset; groups are {', '.join(groups)}"


def landed_days(staleness: Staleness, keys: Iterable[dg.AssetKey]) -> list[date]:
    """The days on which something landed for any of the assets with days, in order."""
    with_days = [key for key in staleness.keys_with_days() if key in set(keys)]
    return sorted({day for key in with_days for day in staleness.landed(key)})


def settle_days(staleness: Staleness, keys: Collection[dg.AssetKey], wanted: Span | None) -> Span | None:
    """First and last day of a backfill; later days that land while it runs are not added.

    Raises:
        UsageError: the selection has no days, or nothing landed on the requested ones.
    """
    landed = landed_days(staleness, keys)
    has_days = any(staleness.graph.get(key).is_partitioned for key in keys)
    if not has_days and wanted is not None:
        raise UsageError("the selected assets have no days, each exists once; omit --days")
    if not has_days:
        return None
    if not landed:
        raise UsageError(
            f"nothing has landed for the selected assets in {staleness.home}; `sinet run` or `sinet land` lands drops"
        )
    if wanted is None:
        return landed[0], landed[-1]
    if not any(wanted[0] <= day <= wanted[1] for day in landed):
        raise UsageError(
            f"nothing landed from {wanted[0]} to {wanted[1]} for the selected assets (landed are days from {landed[0]} "
            f"to {landed[-1]}); name days of that range"
        )
    return wanted


def todo_of(staleness: Staleness, goal: Goal, *, but: Collection[Cell | dg.AssetKey] = ()) -> Todo:
    """What is left to make of a goal at this moment.

    Args:
        staleness: of the home, just read.
        goal: of the backfill.
        but: days and assets to leave as they are, since making them failed.
    """
    cells: dict[dg.AssetKey, frozenset[date]] = {}
    refused: dict[dg.AssetKey, frozenset[date]] = {}
    waiting: dict[dg.AssetKey, frozenset[date]] = {}
    for key in staleness.keys_with_days():
        if key not in goal.keys or not staleness.is_active(key):
            continue
        parents = [cells[one] for one in staleness.parents_with_days(key) if one in cells]
        stale = frozenset(filter(goal.holds, staleness.stale_after(key, frozenset[date]().union(*parents))))
        failing = refused_days(staleness, key, goal) - stale
        if goal.redo_after is not None and not staleness.is_awaited(key):
            again = frozenset(filter(goal.holds, staleness.landed(key)))
            stale |= again - _made_since(staleness.instance, key, goal.redo_after)
        found = frozenset(day for day in stale if (key, day) not in but)
        for kept, days in ((cells, found), (refused, failing - stale)):
            if days:
                kept[key] = days
        if late := frozenset(filter(goal.holds, staleness.stale(key))) - stale:
            waiting[key] = late
    return Todo(cells, _once(staleness, goal, cells, but), refused, waiting)


def _once(
    staleness: Staleness, goal: Goal, changing: Iterable[dg.AssetKey], but: Collection[Cell | dg.AssetKey]
) -> frozenset[dg.AssetKey]:
    selected = frozenset(key for key in goal.keys if not staleness.graph.get(key).is_partitioned and key not in but)
    selected = frozenset(key for key in selected if staleness.is_active(key))
    if not selected:
        return frozenset()
    if goal.redo_after is None:
        return staleness.stale_without_days(changing, leave=REFITTED) & selected
    records = staleness.instance.get_asset_records(sorted(selected))
    since = {
        record.asset_entry.asset_key
        for record in records
        if (record.asset_entry.last_materialization_storage_id or 0) > goal.redo_after
    }
    return selected - since


def refused_days(staleness: Staleness, key: dg.AssetKey, goal: Goal) -> frozenset[date]:
    """The days of a goal that failed the asset's contract when they were last made."""
    return frozenset(filter(goal.holds, staleness.kept.refusals(dg.AssetCheckKey(key, CONTRACT_CHECK))))


def _made_since(instance: dg.DagsterInstance, key: dg.AssetKey, after: int) -> frozenset[date]:
    newest = instance.event_log_storage.get_latest_storage_id_by_partition(key, DagsterEventType.ASSET_MATERIALIZATION)
    return frozenset(day for name, number in newest.items() if number > after and (day := as_day(name)))
