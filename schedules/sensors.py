"""What an event starts: rows and events that landed, inputs that drift."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import dagster as dg
from dagster._core.storage.tags import SENSOR_NAME_TAG

from resources.keys import DRIFT_CHECK, regional_key
from resources.placement import REGION_TAG
from resources.settings import settings
from resources.stale import Books
from resources.state import is_walked
from resources.versions import days_made, days_refused
from schedules.backfills import PlannedRun, contiguous, landed_range, open_books
from schedules.jobs import training_keys
from sinet_pipelines.monitoring.input_drift import drifting_since
from sinet_pipelines.regions import REGIONS, Region
from sinet_pipelines.storage.fingerprint import fingerprint

NAME = "landing"
DRIFT_NAME = "drift"
COOL_DOWN = timedelta(days=7)  # one training takes in what drifts within a week; the weekly one comes anyway
PATIENCE = timedelta(hours=2)  # a run that says nothing for longer was killed with its machine
_UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


@dg.sensor(
    name=NAME,
    target=dg.AssetSelection.groups("ingestion", "validation"),
    minimum_interval_seconds=10,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Requests raw and validated telemetry for each region's contiguous range of days whose drops changed.",
)
def landing(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """One run request for each region and contiguous range; its key is what landed, so each arrival runs once.

    A region whose last arrival is still being taken in waits, so that two runs never write the same day.
    """
    books = open_books(context)
    if is_walked(books.home):
        yield dg.SkipReason(f"`sinet run` is at work in {books.home}; what it leaves is looked at next")
        return
    busy = _regions_at_work(context.instance)
    idle = [region for region in REGIONS if region.name not in busy]
    requests = [request for region in idle for request in (*_rows(context, books, region), *_events(books, region))]
    waiting = f"; {', '.join(sorted(busy))} at work" if busy else ""
    yield from requests
    if not requests:
        yield dg.SkipReason(f"every drop is in the tables{waiting}")


def _regions_at_work(instance: dg.DagsterInstance) -> set[str]:
    """The regions for which a run of this sensor is not finished."""
    since = datetime.now(UTC) - PATIENCE
    asked = dg.RunsFilter(statuses=_UNFINISHED, tags={SENSOR_NAME_TAG: NAME}, updated_after=since)
    return {run.tags[REGION_TAG] for run in instance.get_runs(asked) if REGION_TAG in run.tags}


def _rows(context: dg.SensorEvaluationContext, books: Books, region: Region) -> Iterator[dg.RunRequest]:
    outside = books.outside(region)
    if outside:
        context.log.warning(
            f"{region.name} has drops of {', '.join(map(str, outside))}, which are no days of this fleet (allowed: "
            f"{settings().first_day} to today); to take earlier ones in, set first_day in landing/fleet.json and reload"
        )
    stale = books.stale_rows(region)
    keys = frozenset(regional_key(region, name) for name in ("raw_telemetry", "validated_telemetry"))
    for first, last in contiguous(stale.validated, books.landed(region)):
        content = fingerprint(*(stale.content[day] for day in sorted(stale.validated) if first <= day <= last))
        yield dg.RunRequest(
            run_key=f"{region.name}-{first}-{last}-{content}",
            asset_selection=sorted(keys),
            tags={**PlannedRun(keys, (first, last)).tags, REGION_TAG: region.name},
        )


def _events(books: Books, region: Region) -> Iterator[dg.RunRequest]:
    for key, landed in books.stale_events(region).items():
        run_key = f"{region.name}-{key.path[-1]}-{landed}"
        yield dg.RunRequest(run_key=run_key, asset_selection=[key], tags={REGION_TAG: region.name})


@dg.sensor(
    name=DRIFT_NAME,
    target=dg.AssetSelection.assets(*training_keys()),
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Requests one training for a drift of the inputs that lasts, and no other for a week.",
)
def drift(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """One run request for each drift; its key is the region and the day on which it began, so it is asked for once."""
    books = open_books(context)
    if is_walked(books.home):
        return dg.SkipReason(f"`sinet run` is at work in {books.home}; what it leaves is looked at next")
    lasting = [(since, region.name) for region in REGIONS if (since := _drifting_since(context.instance, region))]
    days = landed_range(books)
    if not lasting or days is None:
        return dg.SkipReason("no region's newest day has drifted")
    asked = dg.RunsFilter(tags={SENSOR_NAME_TAG: DRIFT_NAME}, created_after=datetime.now(UTC) - COOL_DOWN)
    if context.instance.get_runs(asked, limit=1):
        return dg.SkipReason(
            f"a training was asked for within {COOL_DOWN.days} days; what still drifts then asks again"
        )
    since, name = max(lasting)  # the newest: an older one was asked for when it began
    return dg.RunRequest(
        run_key=f"{name}-{since}",
        asset_selection=sorted(training_keys()),
        tags={**PlannedRun(training_keys(), days).tags, "sinet/reason": f"inputs of {name} drift since {since}"},
    )


def _drifting_since(instance: dg.DagsterInstance, region: Region) -> date | None:
    key = regional_key(region, "input_drift")
    return drifting_since(days_made(instance, key), days_refused(instance, key, DRIFT_CHECK))
