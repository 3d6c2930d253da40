"""Finds whether something changed that a sensor reads, without evaluating the sensor.

A sensor names in its tag `AFTER` what it reads. A sensor whose last evaluation found nothing to do stores in its cursor
that this holds until a change (`valid_until`). Dagster's daemon then evaluates it again after a change, and at the
latest after `FULL_LOOK_S` seconds (`sinet_pipelines/cli/resting.py`).
"""

import hashlib
import json
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from sinet_pipelines.deployment.endpoint import CURRENT_FILE, SERVING_FOLDER
from sinet_pipelines.storage.layout import LANDING, mlflow_database
from sinet_pipelines.storage.listing import age_of, listing, zones_listing

AFTER = "sinet/evaluated_after"  # tag of a sensor: what it reads
SEEN = "seen"  # in a cursor: the state in which nothing had to be done, and the reason
UNTIL_CHANGE = "until_change"  # in `SEEN`: nothing but a change of this machine's files and events can end that state
FULL_LOOK_S = 300
RECENT_S = 2.0  # a file that changed so recently may change again without another time


class Reads(StrEnum):
    """What a sensor reads; each includes the events of the event log."""

    EVENTS = "events"
    LANDING_ZONES = "landing_zones"
    REGISTRY = "registry"


def valid_until(cursor: str | None) -> float:
    """Until when a sensor with this cursor needs no evaluation without a change, seconds after 1970; 0 for never."""
    try:
        state = json.loads(cursor or "{}")
    except ValueError:
        return 0.0
    seen = state.get(SEEN) if isinstance(state, dict) else None
    if not isinstance(seen, dict) or seen.get(UNTIL_CHANGE) is not True or not isinstance(seen.get("at"), float):
        return 0.0
    return float(seen["at"]) + FULL_LOOK_S


def print_of(home: Path, reads: Reads, newest_event: int | None) -> str:
    """A hash that changes with everything that a sensor reads.

    Args:
        home: home of the deployment.
        reads: what the sensor reads.
        newest_event: id of the newest record of the event log.

    Raises:
        StorageError: the home's record of its regions' folders is damaged.
    """
    now = datetime.now(UTC)
    digest = hashlib.sha256(f"{newest_event} {now:%Y-%m-%d %H}".encode())
    if reads is Reads.LANDING_ZONES:
        lines = sorted([*listing(str(home / LANDING)), *zones_listing(home)])
    else:
        lines = list(_registry_files(home)) if reads is Reads.REGISTRY else []
    for line in lines:
        digest.update(line)
    return digest.hexdigest()


def _registry_files(home: Path) -> Iterator[bytes]:
    """A line for each file of MLflow's database, and for each file that names a running model server."""
    database = mlflow_database(home)
    files = [database, database.with_name(f"{database.name}-wal"), *(home / SERVING_FOLDER).glob(f"*/*/{CURRENT_FILE}")]
    for path in sorted(files):
        try:
            state = path.stat()
        except OSError:
            continue
        is_recent = abs(time.time() - state.st_mtime) < RECENT_S
        yield os.fsencode(path) + age_of(state) + (str(time.time_ns()).encode() if is_recent else b"")
