"""Sensors that start runs when rows or events land, or when inputs drift."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

import dagster as dg

from resources.dagster_private import SENSOR_NAME_TAG
from resources.deployment import Deployment
from resources.keys import APPLICATION_TAG, CONTRACT_CHECK, DRIFT_CHECK, ROLE_TAG, Cadence, Role, name_of, with_tag
from resources.killed_runs import end_killed_runs
from resources.materializations.published import Published
from resources.materializations.staleness import Staleness
from resources.materializations.state import is_run_in_progress
from resources.materializations.versions import days_made, days_refused
from resources.materializations.zones import Zones
from resources.placement import REGION_TAG
from resources.unused import record_unused, warnings_of
from schedules.backfills import PlannedRun, contiguous, landed_range, staleness_of
from schedules.jobs import training_keys, training_selection
from schedules.observations import observations
from schedules.requests import UNFINISHED, turn_of, unfinished_runs
from schedules.seen import forget, glance, is_settled, keep, purge_fruitless_ticks, state_of
from sinet_pipelines.deployment.changes import AFTER, Reads
from sinet_pipelines.inventory.regions import Region
from sinet_pipelines.monitoring.input_drift import drifting_since
from sinet_pipelines.storage.fingerprint import fingerprint
from sinet_pipelines.words import counted

NAME = "landing"
DRIFT_NAME = "drift"
COOL_DOWN = timedelta(days=7)  # one training covers the drifts of a week; the weekly training comes anyway
UNUSED = "unused"  # in the cursor: hashes of the warnings that were logged
WARNINGS_AT_ONCE = 20  # of one tick
WITHDRAWN = "withdrawn"  # the content of a day without drops


@dg.sensor(
    name=NAME,
    target=dg.AssetSelection.groups("ingestion", "validation"),
    minimum_interval_seconds=10,
    tags={AFTER: Reads.LANDING_ZONES.value},
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Requests raw and validated telemetry for each region's contiguous range of days whose drops changed.",
)
def landing(
    context: dg.SensorEvaluationContext, deployment: dg.ResourceParam[Deployment]
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """One run request for each region and contiguous range of days whose tables differ from the landed rows.

    A region with a run in progress waits, so that two runs never write the same day. A request whose run failed is made
    again after a delay (`schedules/requests.py`).
    """
    home = deployment.home
    if is_run_in_progress(home):
        forget(context)
        yield dg.SkipReason(f"`sinet run` is in progress in {home}; the sensor continues afterwards")
        return
    # they would fill the queue, and no run could start
    end_killed_runs(context.instance, home, executor=deployment.settings.executor)
    observed = [] if deployment.is_one_machine else list(observations(staleness_of(context, deployment), NAME))
    yield from observed
    seen = glance(context, deployment, zones := Zones(deployment))
    if seen.reason:
        yield from [] if observed else [dg.SkipReason(seen.reason)]
        return
    staleness = staleness_of(context, deployment, zones)
    busy = _regions_at_work(context.instance)
    idle = [region for region in deployment.regions if region.name not in busy]
    found = [one for region in idle for one in (*_rows(staleness, region.name), *_events(staleness, region.name))]
    requests = [one for one in found if isinstance(one, dg.RunRequest)]
    waiting = [one for one in found if isinstance(one, str)]
    unused = _warn_of_unused(context, deployment, staleness.published)
    if requests:
        forget(context)
    yield from requests
    if requests:
        return
    waiting += [_left(*place, folders) for place, folders in staleness.published.left.items()]
    reason = "; ".join(waiting) or _why_nothing(context.instance, staleness, idle, unused=unused, busy=busy)
    if busy or waiting:
        forget(context)
    else:
        keep(context, seen, reason, until_change=is_settled(context.instance, deployment))
        purge_fruitless_ticks(context.instance)
    yield from [] if observed else [dg.SkipReason(reason)]


def _left(region: str, application: str, folders: Sequence[str]) -> str:
    """Why an observation is not complete."""
    which = f"{counted(len(folders), 'folder')} ({folders[0]} to {folders[-1]})"
    return f"drops of {region}/{application} are read: {which} left, the next tick continues"


def _warn_of_unused(context: dg.SensorEvaluationContext, deployment: Deployment, published: Published) -> int:
    """Warns of each unused file once, and again when its folder changed; returns the number of unused files."""
    files = record_unused(context.instance, deployment, published)
    warnings = warnings_of(files)
    known = state_of(context).get(UNUSED, [])
    fresh = [text for key, text in warnings.items() if key not in known]
    for text in fresh[:WARNINGS_AT_ONCE]:
        context.log.warning(text)
    if len(fresh) > WARNINGS_AT_ONCE:
        context.log.warning(f"and {len(fresh) - WARNINGS_AT_ONCE} more folders with unused files: see `sinet status`")
    if sorted(warnings) != sorted(known):
        context.update_cursor(json.dumps({**state_of(context), UNUSED: sorted(warnings)}))
    return len({one for found in files.values() for one in found})


def _why_nothing(
    instance: dg.DagsterInstance, staleness: Staleness, idle: Sequence[Region], *, unused: int, busy: set[str]
) -> str:
    """Why nothing is requested; "every drop is in the tables" only where none is withheld, unused or in progress."""
    withheld = {
        f"{name_of(key)} {day}"
        for region in idle
        for key in _validated_keys(staleness, region.name)
        for day in set(days_refused(instance, key, CONTRACT_CHECK)).intersection(staleness.landed(key))
    }
    but = [
        f"{', '.join(sorted(busy))} at work" if busy else "",
        f"days withheld by their contract: {len(withheld)} ({_some(withheld)})" if withheld else "",
        f"files not used: {unused} (`sinet status` lists them)" if unused else "",
    ]
    reasons = "; ".join(reason for reason in but if reason)
    return f"no drop has changed; {reasons}" if reasons else "every drop is in the tables"


def _validated_keys(staleness: Staleness, region: str) -> list[dg.AssetKey]:
    """The region's assets whose days can fail their contract."""
    keys = (key.asset_key for key in staleness.graph.asset_check_keys if key.name == CONTRACT_CHECK)
    return sorted(key for key in keys if name_of(key).region == region)


def _some(names: set[str]) -> str:
    return ", ".join(sorted(names)[:3]) + (", ..." if len(names) > 3 else "")


def _regions_at_work(instance: dg.DagsterInstance) -> set[str]:
    """The regions with an unfinished run of this sensor."""
    return {run.tags[REGION_TAG] for run in unfinished_runs(instance, NAME) if REGION_TAG in run.tags}


def _rows(staleness: Staleness, region: str) -> Iterator[dg.RunRequest | str]:
    """Requests for rows that were landed or withdrawn in a region, or the reason why one waits."""
    keys_of: dict[str, list[dg.AssetKey]] = {}
    for key in staleness.keys_with_days(Cadence.LANDING):
        if name_of(key).region == region:
            keys_of.setdefault(name_of(key).application, []).append(key)
    for application, keys in keys_of.items():
        stale = frozenset[date]().union(*(staleness.stale(key) for key in keys))
        if (region, application) in staleness.published.left:  # a day that is not read yet is not withdrawn
            stale &= frozenset(staleness.landed(keys[0]))
        landed = staleness.inputs_by_day(keys[0])  # in the order of the graph: the first is made from drops
        for first, last in contiguous(stale, staleness.landed(keys[0])):
            days = (day for day in sorted(stale) if first <= day <= last)
            content = fingerprint(*(landed.get(day, WITHDRAWN) for day in days))
            tags = {**PlannedRun(frozenset(keys), (first, last)).tags, REGION_TAG: region}
            target = f"{region}-{application}-{first}-{last}"
            yield _request(staleness.instance, target, content, keys=sorted(keys), tags=tags)


def _events(staleness: Staleness, region: str) -> Iterator[dg.RunRequest | str]:
    """Requests for events that were landed or withdrawn in a region, or the reason why one waits."""
    for key, content in staleness.stale_events(region).items():
        target = f"{region}-{name_of(key).application}-{name_of(key).name}"
        yield _request(staleness.instance, target, content, keys=[key], tags={REGION_TAG: region})


def _request(
    instance: dg.DagsterInstance, target: str, content: str, *, keys: Sequence[dg.AssetKey], tags: Mapping[str, str]
) -> dg.RunRequest | str:
    turn = turn_of(instance, target, content, keys=keys)
    if turn.run_key is None:
        return turn.why_not
    return dg.RunRequest(run_key=turn.run_key, asset_selection=keys, tags={**tags, **turn.tags})


@dg.sensor(
    name=DRIFT_NAME,
    target=training_selection(),
    minimum_interval_seconds=60,
    tags={AFTER: Reads.LANDING_ZONES.value},
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Requests one training for a drift of the inputs that lasts, and no other for a week.",
)
def drift(
    context: dg.SensorEvaluationContext, deployment: dg.ResourceParam[Deployment]
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """One run request for the newest lasting drift of each application; none after a recent training or during one.

    A training that failed is requested again after an hour, then after growing delays.
    """
    home = deployment.home
    if is_run_in_progress(home):
        forget(context)
        yield dg.SkipReason(f"`sinet run` is in progress in {home}; the sensor continues afterwards")
        return
    seen = glance(context, deployment, zones := Zones(deployment))
    if seen.reason:
        yield dg.SkipReason(seen.reason)
        return
    staleness = staleness_of(context, deployment, zones)
    lasting: dict[str, list[tuple[date, str]]] = {}
    for key in with_tag(staleness.graph, ROLE_TAG, Role.DRIFT):
        if since := _drifting_since(context.instance, key):
            lasting.setdefault(name_of(key).application, []).append((since, str(name_of(key))))
    if not lasting:
        why = "no region's newest day has drifted"
        if staleness.published.left:
            forget(context)
        else:
            keep(context, seen, why, until_change=is_settled(context.instance, deployment))
        yield dg.SkipReason(why)
        return
    forget(context)
    # the newest drift of an application: older ones were requested when they began
    found = [_training(context.instance, staleness, name, max(days)) for name, days in sorted(lasting.items())]
    requests = [one for one in found if isinstance(one, dg.RunRequest)]
    yield from requests
    if not requests:  # a tick either requests runs or is skipped
        yield dg.SkipReason("; ".join(one for one in found if isinstance(one, str)))


def _training(
    instance: dg.DagsterInstance, staleness: Staleness, application: str, drifted: tuple[date, str]
) -> dg.RunRequest | str:
    """A request for a training of an application, or the reason why there is none."""
    since, name = drifted
    request_filter = dg.RunsFilter(
        tags={SENSOR_NAME_TAG: DRIFT_NAME, APPLICATION_TAG: application},
        statuses=[*UNFINISHED, dg.DagsterRunStatus.SUCCESS],
        created_after=datetime.now(UTC) - COOL_DOWN,
    )
    if instance.get_runs(request_filter, limit=1):
        within = f"a training of {application} was requested within {COOL_DOWN.days} days"
        return f"{within}; inputs that still drift afterwards request another"
    turn = turn_of(
        instance,
        f"{DRIFT_NAME}-{application}",
        f"{name}-{since}",
        keys=(),  # runs other than trainings also make these assets
        first_wait=timedelta(hours=1),
        longest_wait=timedelta(days=1),
    )
    if turn.run_key is None:
        return turn.why_not
    days = landed_range(staleness, application)
    left = [place for place in staleness.published.left if place[1] == application]
    if left:  # the training would lack their days, and the next one comes in a week
        places = ", ".join("/".join(place) for place in left)
        return f"a training of {application} waits: new drops of {places} are still read"
    trained = training_keys(staleness.graph, application)
    reason = {"sinet/reason": f"inputs drift since {since}: {name}", APPLICATION_TAG: application}
    return dg.RunRequest(
        run_key=turn.run_key,
        asset_selection=sorted(trained),
        tags={**PlannedRun(trained, days).tags, **turn.tags, **reason},
    )


def _drifting_since(instance: dg.DagsterInstance, key: dg.AssetKey) -> date | None:
    return drifting_since(days_made(instance, key), days_refused(instance, key, DRIFT_CHECK))
