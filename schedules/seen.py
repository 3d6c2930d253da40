"""Whether anything changed since a sensor last found nothing to do; asked before anything is opened.

Compared are the names, sizes and ages of all files of the landing zone, the newest record of the event log, the day,
and the process (code that was loaded again). What none of these shows (a table removed by hand, events wiped, a run
that waited long enough) is found by a full look, which is made every `FULL_LOOK_S` seconds whatever is the same.
"""

import hashlib
import json
import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.scheduler.instigation import TickStatus

from sinet_pipelines.storage.listing import listing

SEEN = "seen"  # in the cursor: what was there when nothing was to be done, and why
FULL_LOOK_S = 300
FRUITLESS_S = 3600  # how long a tick that found nothing is kept


@dataclass(frozen=True)
class Glance:
    """What a sensor sees before it opens anything.

    Attributes:
        print: of all that is compared.
        reason: why there was nothing to do when all was the same; empty where something changed.
    """

    print: str
    reason: str


def glance(context: dg.SensorEvaluationContext, home: Path) -> Glance:
    """What is there now, held against what the cursor kept."""
    now = _print_of(context.instance, home)
    kept = state_of(context).get(SEEN)
    if not isinstance(kept, dict) or kept.get("print") != now:
        return Glance(now, "")
    at, reason = kept.get("at"), kept.get("reason")
    is_fresh = isinstance(at, float) and 0 <= time.time() - at < FULL_LOOK_S
    return Glance(now, reason if is_fresh and isinstance(reason, str) else "")


def keep(context: dg.SensorEvaluationContext, seen: Glance, reason: str) -> None:
    """Keeps in the cursor that with what was seen nothing was to be done."""
    kept = {"print": seen.print, "at": time.time(), "reason": reason}
    context.update_cursor(json.dumps({**state_of(context), SEEN: kept}))


def state_of(context: dg.SensorEvaluationContext) -> dict[str, Any]:
    """What earlier ticks left in the cursor; nothing where it is none of ours."""
    try:
        kept = json.loads(context.cursor or "{}")
    except ValueError:
        return {}
    return kept if isinstance(kept, dict) else {}


def purge_fruitless_ticks(instance: dg.DagsterInstance) -> None:
    """Removes ticks that found nothing, of all sensors, once they are an hour old: 13,000 come a day."""
    before = time.time() - FRUITLESS_S
    for sensor in instance.all_instigator_state():
        if sensor.instigator_type.value in ("SENSOR", "AUTO_MATERIALIZE"):
            instance.purge_ticks(
                sensor.instigator_origin_id, sensor.selector_id, before=before, tick_statuses=[TickStatus.SKIPPED]
            )


def _print_of(instance: dg.DagsterInstance, home: Path) -> str:
    newest = instance.event_log_storage.get_maximum_record_id()
    digest = hashlib.sha256(f"{os.getpid()} {datetime.now(UTC).date()} {newest}".encode())
    for line in sorted(listing(str(home / "landing"), is_zone=True)):
        digest.update(line)
    return digest.hexdigest()
