"""What an event starts: rows and events that landed."""

from collections.abc import Iterator

import dagster as dg

from resources.settings import settings
from resources.versions import fingerprint, inputs_made_from
from schedules.backfills import PlannedRun, contiguous, regional, stale_days
from sinet_pipelines.ingestion.landing import LandingZone
from sinet_pipelines.regions import REGIONS

RUN_TAG = "sinet/run"  # the tag of runs that `sinet run` started
EVENT_KINDS = {"failure_events": "failures", "truth_events": "truth"}
_GOING_ON = [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]


@dg.sensor(
    name="landing",
    target=dg.AssetSelection.groups("ingestion", "validation"),
    minimum_interval_seconds=10,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Requests raw and validated telemetry for each region's contiguous range of days whose drops changed.",
)
def landing(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """One run request for each region and contiguous range; its key is what landed, so each arrival runs once."""
    going_on = context.instance.get_runs(dg.RunsFilter(statuses=_GOING_ON, tags={RUN_TAG: "true"}), limit=1)
    if going_on:
        yield dg.SkipReason(f"`sinet run` is at work (run {going_on[0].run_id[:8]}); what it leaves is looked at next")
        return
    requests = [*_changed_days(context), *_changed_events(context)]
    yield from requests or [dg.SkipReason("every drop is in the tables")]


def _changed_days(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest]:
    home, zone = settings().home, LandingZone(settings().home / "landing")
    for region in REGIONS:
        stale = stale_days(context.instance, context.repository_def.asset_graph, home, region).validated
        early = sorted(day for day in stale if day < settings().first_day)
        if early:
            context.log.warning(
                f"{region.name} has drops of {early[0]}, before the first day {settings().first_day}; "
                "set first_day in landing/fleet.json and reload the code location to take them in"
            )
        for first, last in contiguous(stale.difference(early)):
            content = fingerprint(
                *(zone.fingerprint(region.name, day) for day in sorted(stale) if first <= day <= last)
            )
            keys = frozenset(regional(region, name) for name in ("raw_telemetry", "validated_telemetry"))
            run = PlannedRun(keys, (first, last))
            yield dg.RunRequest(
                run_key=f"{region.name}-{first}-{last}-{content}",
                asset_selection=sorted(run.keys),
                tags={**run.tags, "sinet/region": region.name},
            )


def _changed_events(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest]:
    zone = LandingZone(settings().home / "landing")
    graph = context.repository_def.asset_graph
    for region in REGIONS:
        for name, kind in EVENT_KINDS.items():
            key = regional(region, name)
            landed = fingerprint(graph.get(key).code_version, zone.events_fingerprint(region.name, kind))
            if inputs_made_from(context.instance, key) != landed:
                yield dg.RunRequest(
                    run_key=f"{region.name}-{name}-{landed}",
                    asset_selection=[key],
                    tags={"sinet/region": region.name},
                )
