"""What runs of other processes are making now: backfills of the UI, sensors, schedules."""

import time
from datetime import date

import dagster as dg

from resources.dagster_private import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG, BaseAssetGraph
from resources.materializations.held import as_day

PARTITION_TAG = "dagster/partition"
HEARTBEAT_S = 120  # a daemon writes one every 30 s; without a daemon nothing takes a run from the queue
STARTED = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
LONGEST_DAYS = 20_000  # a range of more is a mistake in a tag


def being_made(instance: dg.DagsterInstance, graph: BaseAssetGraph) -> list[tuple[dg.AssetKey, date | None]]:
    """The assets and days that runs in progress or in the queue of a living daemon make; None for all days."""
    statuses = [*STARTED, dg.DagsterRunStatus.QUEUED] if _has_daemon(instance) else STARTED
    busy: list[tuple[dg.AssetKey, date | None]] = []
    for run in instance.get_runs(dg.RunsFilter(statuses=statuses)):
        days = _days_of(run)
        for key in sorted(run.asset_selection or ()):
            has_days = graph.has(key) and graph.get(key).is_partitioned
            busy += [(key, day) for day in days] if has_days and days else [(key, None)]
    return busy


def _has_daemon(instance: dg.DagsterInstance) -> bool:
    beats = instance.get_daemon_heartbeats().values()
    return any(time.time() - beat.timestamp < HEARTBEAT_S for beat in beats)


def _days_of(run: dg.DagsterRun) -> list[date]:
    """The days of a run, from its tags; none where it names none."""
    if (one := as_day(run.tags.get(PARTITION_TAG))) is not None:
        return [one]
    first = as_day(run.tags.get(ASSET_PARTITION_RANGE_START_TAG))
    last = as_day(run.tags.get(ASSET_PARTITION_RANGE_END_TAG))
    if first is None or last is None or (last - first).days > LONGEST_DAYS:
        return []
    return [date.fromordinal(number) for number in range(first.toordinal(), last.toordinal() + 1)]
