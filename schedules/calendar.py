"""What the clock starts: a repair every night, a training every week."""

from collections.abc import Iterator

import dagster as dg

from resources.settings import settings
from schedules.backfills import PlannedRun, landed_range, plan_repair
from schedules.jobs import training_keys

NIGHTLY = "30 2 * * *"  # after the day's last drops, before the plants' morning
WEEKLY = "0 4 * * 0"  # Sunday, after the night's repair


@dg.schedule(
    name="nightly_repair",
    cron_schedule=NIGHTLY,
    target=dg.AssetSelection.all(),
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Makes what is missing or not what its inputs say; nothing on a night when everything is.",
)
def nightly_repair(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """One run request for each planned run; later ones find their days mended by earlier ones."""
    runs = plan_repair(context.instance, context.repository_def.asset_graph, settings().home)
    if not runs:
        yield dg.SkipReason("everything is what its inputs say")
    at = context.scheduled_execution_time.isoformat()
    for number, run in enumerate(runs):
        yield _request(run, run_key=f"{at}-{number}")


@dg.schedule(
    name="weekly_training",
    cron_schedule=WEEKLY,
    target=dg.AssetSelection.assets(*(dg.AssetKey(path) for path in training_keys())),
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Refits the regimes, makes all features anew by them, trains, judges and registers a challenger.",
)
def weekly_training(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """One run over all landed days."""
    days = landed_range(settings().home)
    if days is None:
        return dg.SkipReason(f"nothing has landed in {settings().home}; `sinet run` or `sinet land` brings a fleet")
    keys = frozenset(dg.AssetKey(path) for path in training_keys())
    return _request(PlannedRun(keys, days), run_key=context.scheduled_execution_time.isoformat())


def _request(run: PlannedRun, *, run_key: str) -> dg.RunRequest:
    return dg.RunRequest(run_key=run_key, asset_selection=sorted(run.keys), tags=run.tags)
