"""Schedules: a repair every night, a training every week."""

from collections.abc import Collection, Iterator

import dagster as dg

from resources.deployment import Deployment
from resources.keys import Cadence, name_of
from resources.materializations.staleness import Staleness
from schedules.backfills import PlannedRun, landed_range, plan_repair, staleness_of, startable, without
from schedules.jobs import TRAINED, training_keys, training_selection

NIGHTLY = "30 1-4 * * *"  # after the day's last drops; each hour makes what became ready in the hour before
WEEKLY = "0 6 * * 0"  # Sunday, after the night's repair


@dg.schedule(
    name="nightly_repair",
    cron_schedule=NIGHTLY,
    target=dg.AssetSelection.all(),
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Makes what is missing or stale, without new trainings. Requests nothing when nothing is stale.",
)
def nightly_repair(
    context: dg.ScheduleEvaluationContext, deployment: dg.ResourceParam[Deployment]
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """One run request for each planned run that depends on no other planned run; the next hour requests the rest.

    Assets of a training are left to the weekly training once they exist, however many rows came since.
    """
    staleness = staleness_of(context, deployment)
    read = staleness.published
    runs = plan_repair(staleness.instance, staleness.graph, staleness.deployment, leave=TRAINED, read=read)
    if read.left:  # a day that is not read yet must not count as withdrawn, and what follows waits for it
        runs = without(runs, _made_from(staleness, read.left), staleness.graph)
    if not runs and read.left:
        yield dg.SkipReason(f"new drops of {', '.join('/'.join(place) for place in read.left)} are still read")
    elif not runs:
        yield dg.SkipReason("nothing is stale")
    at = context.scheduled_execution_time.isoformat()
    for number, run in enumerate(startable(runs, staleness.graph)):
        yield _request(run, run_key=f"{at}-{number}")


@dg.schedule(
    name="weekly_training",
    cron_schedule=WEEKLY,
    target=training_selection(),
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Trains, evaluates and registers a challenger of each application.",
)
def weekly_training(
    context: dg.ScheduleEvaluationContext, deployment: dg.ResourceParam[Deployment]
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """One run for each application, over all of its landed days."""
    staleness = staleness_of(context, deployment)
    if not staleness.active:
        yield dg.SkipReason(f"nothing has landed in {staleness.home}; `sinet run` or `sinet land` lands drops")
    for name in sorted(staleness.active):
        planned = PlannedRun(training_keys(staleness.graph, name), landed_range(staleness, name))
        yield _request(planned, run_key=f"{context.scheduled_execution_time.isoformat()}-{name}")


def _made_from(staleness: Staleness, places: Collection[tuple[str, str]]) -> list[dg.AssetKey]:
    """The assets that are made from the files of landing zones, which are named by region and application."""
    keys = [*staleness.keys_with_days(Cadence.LANDING), *staleness.events()]
    return [key for key in keys if (staleness.region(key), name_of(key).application) in places]


def _request(run: PlannedRun, *, run_key: str) -> dg.RunRequest:
    return dg.RunRequest(run_key=run_key, asset_selection=sorted(run.keys), tags=run.tags)
