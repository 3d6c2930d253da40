"""What the clock starts: a repair every night, a training every week."""

from collections.abc import Iterator

import dagster as dg

from schedules.backfills import PlannedRun, landed_range, open_books, plan_repair, startable
from schedules.jobs import TRAINING_NAMES, TRAINING_REGIONAL_NAMES, training_keys

NIGHTLY = "30 1-4 * * *"  # after the day's last drops; each hour takes what the hour before made ready
WEEKLY = "0 6 * * 0"  # Sunday, after the night's repair


@dg.schedule(
    name="nightly_repair",
    cron_schedule=NIGHTLY,
    target=dg.AssetSelection.all(),
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Makes what is missing or not what its inputs say; trains nothing anew. Nothing when all is well.",
)
def nightly_repair(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """One run request for each planned run that need not wait for another; the next hour takes the next.

    What a training makes is left to the weekly one as soon as it exists, however many rows came since.
    """
    books = open_books(context)
    runs = plan_repair(books.instance, books.graph, books.home, leave=(*TRAINING_NAMES, *TRAINING_REGIONAL_NAMES))
    if not runs:
        yield dg.SkipReason("everything is what its inputs say")
    at = context.scheduled_execution_time.isoformat()
    for number, run in enumerate(startable(runs, books.graph)):
        yield _request(run, run_key=f"{at}-{number}")


@dg.schedule(
    name="weekly_training",
    cron_schedule=WEEKLY,
    target=dg.AssetSelection.assets(*training_keys()),
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Refits the regimes, makes all features anew by them, trains, judges and registers a challenger.",
)
def weekly_training(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """One run over all landed days."""
    books = open_books(context)
    days = landed_range(books)
    if days is None:
        return dg.SkipReason(f"nothing has landed in {books.home}; `sinet run` or `sinet land` brings a fleet")
    return _request(PlannedRun(training_keys(), days), run_key=context.scheduled_execution_time.isoformat())


def _request(run: PlannedRun, *, run_key: str) -> dg.RunRequest:
    return dg.RunRequest(run_key=run_key, asset_selection=sorted(run.keys), tags=run.tags)
