"""Decides when a sensor may make a request: at once for new content, after growing delays when its runs keep failing.

Dagster starts only one run for each run key, whatever its result. So a key consists of the content, the last run that
was requested for the same target, and the last materialisation of the run's assets. Content that occurred before, or
whose run failed, so has a new key each time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import takewhile

import dagster as dg

from resources.dagster_private import SENSOR_NAME_TAG
from sinet_pipelines.words import counted

TARGET_TAG = "sinet/request"  # the target of a requested run: a region and its days, or a table of events
CONTENT_TAG = "sinet/request_content"  # the fingerprint of the inputs at the time of the request
FIRST_WAIT = timedelta(seconds=30)  # a full disk or a lost lock is rarely repaired sooner
LONGEST_WAIT = timedelta(hours=1)
MANY_SUCCESSES = 3  # in sequence for one content: further requests come from a defect, not from new content
PATIENCE = timedelta(hours=2)  # a run without events for longer was killed with its machine
LOOK_BACK = 20  # runs; with more failures the delay is the longest anyway
#: Statuses of a run that has not ended.
UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_FAILED = (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)


@dataclass(frozen=True)
class Turn:
    """Whether a request may be made now.

    Attributes:
        run_key: of the request; None where it must wait.
        tags: of the run.
        why_not: reason for the page of the sensor's ticks.
    """

    run_key: str | None
    tags: Mapping[str, str]
    why_not: str = ""


def turn_of(
    instance: dg.DagsterInstance,
    target: str,
    content: str,
    *,
    keys: Sequence[dg.AssetKey],
    first_wait: timedelta = FIRST_WAIT,
    longest_wait: timedelta = LONGEST_WAIT,
) -> Turn:
    """Decides on a request.

    Args:
        instance: its run storage has the earlier requests.
        target: what the run would make.
        content: fingerprint of the run's inputs.
        keys: the assets that the run makes.
        first_wait: after one failure; doubled for each further one.
        longest_wait: upper limit.
    """
    tags = {TARGET_TAG: target, CONTENT_TAG: content}
    before = instance.get_run_records(dg.RunsFilter(tags={TARGET_TAG: target}), limit=LOOK_BACK)
    same = list(takewhile(lambda record: record.dagster_run.tags.get(CONTENT_TAG) == content, before))
    failed = len(list(takewhile(lambda record: record.dagster_run.status in _FAILED, same)))
    tries = failed or max(0, len(same) - MANY_SUCCESSES + 1)
    if tries:
        wait = min(first_wait * 2 ** (tries - 1), longest_wait)
        since = datetime.now(UTC) - _ended(same[0])
        if timedelta(0) <= since < wait:  # an end in the future means that the clock was set back
            runs, what = counted(failed or len(same), "run"), "failed" if failed else "changed nothing"
            at = datetime.now(UTC) + wait - since
            return Turn(
                None, tags, f"{target} waits: {runs} of it {what}, the next one is requested at {at:%H:%M:%S} UTC"
            )
    last_run = before[0].dagster_run.run_id if before else "none"
    return Turn(f"{target}-{content}-after-{last_run}-{_last_made(instance, keys)}", tags)


def is_requested(instance: dg.DagsterInstance, sensor: str) -> bool:
    """Whether a run that a sensor requested is in progress or waiting."""
    return bool(unfinished_runs(instance, sensor))


def unfinished_runs(instance: dg.DagsterInstance, sensor: str) -> list[dg.DagsterRun]:
    """The runs that a sensor requested and that have not ended, without those that were killed with their machine.

    A run in the queue writes no events, however long the runs before it take; the queue survives the machine.
    """
    tags, since = {SENSOR_NAME_TAG: sensor}, datetime.now(UTC) - PATIENCE
    queued = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED], tags=tags))
    return [*queued, *instance.get_runs(dg.RunsFilter(statuses=UNFINISHED, tags=tags, updated_after=since))]


def _last_made(instance: dg.DagsterInstance, keys: Sequence[dg.AssetKey]) -> int:
    """The event id of the latest materialisation of some assets; 0 where there is none."""
    entries = (record.asset_entry for record in instance.get_asset_records(keys))
    return max((entry.last_materialization_storage_id or 0 for entry in entries), default=0)


def _ended(record: dg.RunRecord) -> datetime:
    if record.end_time is None:
        return record.update_timestamp
    return datetime.fromtimestamp(record.end_time, UTC)
