"""What an event starts: rows and events that landed, inputs that drift."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

import dagster as dg
from dagster._core.storage.tags import SENSOR_NAME_TAG

from resources.keys import CONTRACT_CHECK, DRIFT_CHECK, regional_key
from resources.killed_runs import end_killed_runs
from resources.placement import REGION_TAG
from resources.settings import settings
from resources.stale import Books
from resources.state import is_walked
from resources.unused import record_unused, warnings_of
from resources.versions import days_made, days_refused
from schedules.backfills import PlannedRun, contiguous, landed_range, open_books
from schedules.jobs import training_keys
from schedules.requests import UNFINISHED, turn_of, unfinished_runs
from schedules.seen import glance, keep, purge_fruitless_ticks, state_of
from sinet_pipelines.monitoring.input_drift import drifting_since
from sinet_pipelines.regions import REGIONS, Region
from sinet_pipelines.storage.fingerprint import fingerprint

NAME = "landing"
DRIFT_NAME = "drift"
COOL_DOWN = timedelta(days=7)  # one training takes in what drifts within a week; the weekly one comes anyway
UNUSED = "unused"  # in the cursor: hashes of the warnings that were logged
WARNINGS_AT_ONCE = 20  # of one tick
WITHDRAWN = "withdrawn"  # stands for the content of a day of which no drop is left


@dg.sensor(
    name=NAME,
    target=dg.AssetSelection.groups("ingestion", "validation"),
    minimum_interval_seconds=10,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Requests raw and validated telemetry for each region's contiguous range of days whose drops changed.",
)
def landing(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """One run request for each region and contiguous range of days that are not what landed.

    A region whose last arrival is still being taken in waits, so that two runs never write the same day. A request
    whose run failed is made again after a while (`schedules/requests.py`).
    """
    home = settings().home
    if is_walked(home):
        yield dg.SkipReason(f"`sinet run` is at work in {home}; what it leaves is looked at next")
        return
    end_killed_runs(context.instance, home)  # they would fill the queue's places, and no run would start again
    seen = glance(context, home)
    if seen.reason:
        yield dg.SkipReason(seen.reason)
        return
    books = open_books(context)
    busy = _regions_at_work(context.instance)
    idle = [region for region in REGIONS if region.name not in busy]
    found = [one for region in idle for one in (*_rows(books, region), *_events(books, region))]
    requests = [one for one in found if isinstance(one, dg.RunRequest)]
    waiting = [one for one in found if isinstance(one, str)]
    unused = _warn_of_unused(context, books)
    yield from requests
    if requests:
        return
    reason = "; ".join(waiting) or _why_nothing(context.instance, books, unused=unused, busy=busy)
    if not busy and not waiting:
        keep(context, seen, reason)
        purge_fruitless_ticks(context.instance)
    yield dg.SkipReason(reason)


def _warn_of_unused(context: dg.SensorEvaluationContext, books: Books) -> int:
    """How many files no table takes rows from; each is warned of once, and again when its folder changed."""
    files = record_unused(context.instance, books.home)
    warnings = warnings_of(files)
    known = state_of(context).get(UNUSED, [])
    fresh = [text for key, text in warnings.items() if key not in known]
    for text in fresh[:WARNINGS_AT_ONCE]:
        context.log.warning(text)
    if len(fresh) > WARNINGS_AT_ONCE:
        context.log.warning(f"and {len(fresh) - WARNINGS_AT_ONCE} folders more with unused files: see `sinet status`")
    if sorted(warnings) != sorted(known):
        context.update_cursor(json.dumps({**state_of(context), UNUSED: sorted(warnings)}))
    return len({one for found in files.values() for one in found})


def _why_nothing(instance: dg.DagsterInstance, books: Books, *, unused: int, busy: set[str]) -> str:
    """Why nothing is requested: every drop is in the tables only where none is withheld, unused or on its way."""
    idle = [region for region in REGIONS if region.name not in busy]
    withheld = {
        f"{region.name} {day}"
        for region in idle
        for day in _withheld(instance, region).intersection(books.landed(region))
    }
    but = [
        f"{', '.join(sorted(busy))} at work" if busy else "",
        f"days withheld by their contract: {len(withheld)} ({_some(withheld)})" if withheld else "",
        f"files not used: {unused} (`sinet status` lists them)" if unused else "",
    ]
    reasons = "; ".join(reason for reason in but if reason)
    return f"no drop has changed; {reasons}" if reasons else "every drop is in the tables"


def _withheld(instance: dg.DagsterInstance, region: Region) -> set[date]:
    return set(days_refused(instance, regional_key(region, "validated_telemetry"), CONTRACT_CHECK))


def _some(names: set[str]) -> str:
    return ", ".join(sorted(names)[:3]) + (", ..." if len(names) > 3 else "")


def _regions_at_work(instance: dg.DagsterInstance) -> set[str]:
    """The regions for which a run of this sensor is not finished."""
    return {run.tags[REGION_TAG] for run in unfinished_runs(instance, NAME) if REGION_TAG in run.tags}


def _rows(books: Books, region: Region) -> Iterator[dg.RunRequest | str]:
    """Requests for rows that came or went, or why one waits."""
    stale = books.stale_rows(region)
    keys = frozenset(regional_key(region, name) for name in ("raw_telemetry", "validated_telemetry"))
    for first, last in contiguous(stale.validated, books.landed(region)):
        days = (day for day in sorted(stale.validated) if first <= day <= last)
        content = fingerprint(*(stale.content.get(day, WITHDRAWN) for day in days))
        tags = {**PlannedRun(keys, (first, last)).tags, REGION_TAG: region.name}
        yield _request(books.instance, f"{region.name}-{first}-{last}", content, keys=sorted(keys), tags=tags)


def _events(books: Books, region: Region) -> Iterator[dg.RunRequest | str]:
    """Requests for events that came or went, or why one waits."""
    for key, content in books.stale_events(region).items():
        target = f"{region.name}-{key.path[-1]}"
        yield _request(books.instance, target, content, keys=[key], tags={REGION_TAG: region.name})


def _request(
    instance: dg.DagsterInstance, target: str, content: str, *, keys: Sequence[dg.AssetKey], tags: Mapping[str, str]
) -> dg.RunRequest | str:
    turn = turn_of(instance, target, content, keys=keys)
    if turn.run_key is None:
        return turn.why_not
    return dg.RunRequest(run_key=turn.run_key, asset_selection=keys, tags={**tags, **turn.tags})


@dg.sensor(
    name=DRIFT_NAME,
    target=dg.AssetSelection.assets(*training_keys()),
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Requests one training for a drift of the inputs that lasts, and no other for a week.",
)
def drift(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """One run request for the newest drift that lasts; none while a training is fresh or at work.

    A training that failed is requested again after an hour, then later and later.
    """
    home = settings().home
    if is_walked(home):
        return dg.SkipReason(f"`sinet run` is at work in {home}; what it leaves is looked at next")
    seen = glance(context, home)
    if seen.reason:
        return dg.SkipReason(seen.reason)
    books = open_books(context)
    lasting = [(since, region.name) for region in REGIONS if (since := _drifting_since(context.instance, region))]
    days = landed_range(books)
    if not lasting or days is None:
        keep(context, seen, "no region's newest day has drifted")
        return dg.SkipReason("no region's newest day has drifted")
    asked = dg.RunsFilter(
        tags={SENSOR_NAME_TAG: DRIFT_NAME},
        statuses=[*UNFINISHED, dg.DagsterRunStatus.SUCCESS],
        created_after=datetime.now(UTC) - COOL_DOWN,
    )
    if context.instance.get_runs(asked, limit=1):
        return dg.SkipReason(
            f"a training was asked for within {COOL_DOWN.days} days; what still drifts then asks again"
        )
    since, name = max(lasting)  # the newest: an older one was asked for when it began
    turn = turn_of(
        context.instance,
        DRIFT_NAME,
        f"{name}-{since}",
        keys=(),  # a training makes much that changes without it
        first_wait=timedelta(hours=1),
        longest_wait=timedelta(days=1),
    )
    if turn.run_key is None:
        return dg.SkipReason(turn.why_not)
    reason = {"sinet/reason": f"inputs of {name} drift since {since}"}
    return dg.RunRequest(
        run_key=turn.run_key,
        asset_selection=sorted(training_keys()),
        tags={**PlannedRun(training_keys(), days).tags, **turn.tags, **reason},
    )


def _drifting_since(instance: dg.DagsterInstance, region: Region) -> date | None:
    key = regional_key(region, "input_drift")
    return drifting_since(days_made(instance, key), days_refused(instance, key, DRIFT_CHECK))
