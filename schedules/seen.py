"""Finds whether anything changed since a sensor last found nothing to do, before the sensor opens anything.

Compares what the regions published (on one machine, the names, sizes and times of all files that landed), the latest
record of the event log, the day, and the process (code that was reloaded). Some changes appear in none of these: a
table removed by hand, wiped events, a run that waited long enough. A full evaluation every `FULL_LOOK_S` seconds finds
them.

While a change alone can give a sensor something to do, Dagster's daemon compares the same things, and evaluates the
sensor only after a change (`sinet_pipelines/deployment/changes.py`).
"""

import hashlib
import json
import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from resources.dagster_private import TickStatus
from resources.deployment import Deployment
from resources.killed_runs import AT_WORK
from resources.materializations.publishing import landed_files
from resources.materializations.zones import Zones
from sinet_pipelines.deployment.changes import FULL_LOOK_S, SEEN, UNTIL_CHANGE
from sinet_pipelines.retention.policy import FRUITLESS_TICKS
from sinet_pipelines.storage.roots import stored_roots


@dataclass(frozen=True)
class Glance:
    """What a sensor can compare before it opens anything.

    Attributes:
        print: hash of everything that is compared.
        reason: why there was nothing to do in the same state; empty where something changed.
    """

    print: str
    reason: str


def glance(context: dg.SensorEvaluationContext, deployment: Deployment, zones: Zones) -> Glance:
    """Compares the current state with the one in the cursor.

    Args:
        context: of the tick.
        deployment: home and regions.
        zones: the states of its landing zones.
    """
    now = _print_of(context.instance, deployment, zones)
    kept = state_of(context).get(SEEN)
    if not isinstance(kept, dict) or kept.get("print") != now:
        return Glance(now, "")
    at, reason = kept.get("at"), kept.get("reason")
    is_fresh = isinstance(at, float) and 0 <= time.time() - at < FULL_LOOK_S
    return Glance(now, reason if is_fresh and isinstance(reason, str) else "")


def keep(context: dg.SensorEvaluationContext, seen: Glance, reason: str, *, until_change: bool) -> None:
    """Stores in the cursor that nothing had to be done in this state.

    Args:
        context: of the sensor's evaluation.
        seen: the state.
        reason: why nothing had to be done.
        until_change: whether only a change can give the sensor something to do: the daemon waits for one.
    """
    kept = {"print": seen.print, "at": time.time(), "reason": reason, UNTIL_CHANGE: until_change}
    context.update_cursor(json.dumps({**state_of(context), SEEN: kept}))


def forget(context: dg.SensorEvaluationContext) -> None:
    """Removes from the cursor that nothing had to be done: the sensor is evaluated again at its interval."""
    state = state_of(context)
    if state.pop(SEEN, None) is not None:
        context.update_cursor(json.dumps(state))


def is_settled(instance: dg.DagsterInstance, deployment: Deployment) -> bool:
    """Whether files and events of this machine show every change of landing zones and runs.

    They do not where regions run apart or are on stores, and while a run is in progress, whose process may be killed.
    """
    if not deployment.is_one_machine or stored_roots(deployment.home):
        return False
    return not instance.get_runs(dg.RunsFilter(statuses=AT_WORK), limit=1)


def state_of(context: dg.SensorEvaluationContext) -> dict[str, Any]:
    """The cursor of earlier ticks as a dictionary; empty where it has another format."""
    try:
        kept = json.loads(context.cursor or "{}")
    except ValueError:
        return {}
    return kept if isinstance(kept, dict) else {}


def purge_fruitless_ticks(instance: dg.DagsterInstance) -> None:
    """Removes ticks without a request, of all sensors, after an hour: there are 13,000 a day."""
    before = time.time() - FRUITLESS_TICKS.total_seconds()
    for sensor in instance.all_instigator_state():
        if sensor.instigator_type.value in ("SENSOR", "AUTO_MATERIALIZE"):
            instance.purge_ticks(
                sensor.instigator_origin_id, sensor.selector_id, before=before, tick_statuses=[TickStatus.SKIPPED]
            )


def _print_of(instance: dg.DagsterInstance, deployment: Deployment, zones: Zones) -> str:
    newest = instance.event_log_storage.get_maximum_record_id()
    digest = hashlib.sha256(f"{os.getpid()} {datetime.now(UTC).date()} {newest}".encode())
    for line in sorted(landed_files(deployment, zones)):
        digest.update(line)
    return digest.hexdigest()
