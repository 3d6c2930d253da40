"""Makes and executes plans: what goes is decided and removed under one lock, so that no need appears in between.

`retention.json` in the home records since when nothing needs a thing; in a copy of the home all periods begin again.
The lock of MLflow's store is held too, so that no version is registered between the look at the registry and a removal.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sinet_pipelines.errors import BusyError, DiskError, StorageError
from sinet_pipelines.retention.owner import identify, identity_of
from sinet_pipelines.retention.plan import Plan, Thing, first_looks, plan
from sinet_pipelines.retention.policy import Kind, Policy
from sinet_pipelines.retention.survey import Survey
from sinet_pipelines.storage.files import write_whole
from sinet_pipelines.storage.locks import held, holder

LOCK = "retention.lock"  # in a home
SEEN = "retention.json"  # in a home
MLFLOW_LOCK = "mlflow.lock"
FORMAT = 2
PROBE_S = 1.0

Look = Callable[[datetime], Survey]


@dataclass(frozen=True)
class Executed:
    """What an execution did.

    Attributes:
        plan: the plan, made again under the lock.
        removed: the things that were removed.
        notes: sentences on things that could not be removed.
    """

    plan: Plan
    removed: tuple[Thing, ...]
    notes: tuple[str, ...] = ()


def plan_only(home: Path, look: Look, *, policy: Policy, now: datetime) -> Plan:
    """The plan for a home; nothing is written.

    Args:
        home: the home.
        look: lists what is there and what is needed.
        policy: how long unneeded things are kept.
        now: UTC.
    """
    found = look(now)
    return plan(found.things, found.needs, seen=_seen(home), policy=policy, now=now, notes=found.notes)


def execute(
    home: Path, look: Look, *, policy: Policy, now: datetime, remove_run: Callable[[str], None] | None = None
) -> Executed:
    """Removes what nothing needs; after a kill at any point, the next execution removes the rest.

    Args:
        home: the home.
        look: lists what is there and what is needed.
        policy: how long unneeded things are kept.
        now: UTC.
        remove_run: removes a run from the event log.

    Raises:
        BusyError: another process removes things of the home.
    """
    try:
        with held(home / LOCK, wait_s=PROBE_S), held(home / MLFLOW_LOCK):
            return _execute(home, look, policy, now, remove_run)
    except BusyError as error:
        raise BusyError(
            f"another `sinet retain` (process {holder(home / LOCK)}) is in progress in {home}; wait for it"
        ) from error


def _execute(
    home: Path, look: Look, policy: Policy, now: datetime, remove_run: Callable[[str], None] | None
) -> Executed:
    found, seen = look(now), _seen(home)
    decided = plan(found.things, found.needs, seen=seen, policy=policy, now=now, notes=found.notes)
    removed: list[Thing] = []
    notes: list[str] = []
    try:
        _keep_seen(home, first_looks(found.things, found.needs, seen=seen, now=now))
    except DiskError as error:  # full: what goes was unneeded at earlier looks too, and its removal frees space
        notes.append(f"when things became unneeded was not recorded: {error}")
    for thing in decided.going:
        try:
            if thing.kind is Kind.RUNS:
                if remove_run is None:
                    continue
                remove_run(thing.name)
                removed.append(thing)
            elif found.removers[thing.key](thing):
                removed.append(thing)
        except (StorageError, OSError) as error:
            notes.append(f"{thing.kind} {thing.name}: not removed: {error}")
    return Executed(decided, tuple(removed), tuple(notes))


def _seen(home: Path) -> dict[str, datetime]:
    """The recorded first looks; empty where the file is missing, damaged or another home's: all periods begin again."""
    try:
        kept = json.loads((home / SEEN).read_bytes())
        if not isinstance(kept, dict) or kept.get("format") != FORMAT or kept.get("home") != identity_of(home):
            return {}
        found = {str(key): datetime.fromisoformat(at) for key, at in kept["unneeded_since"].items()}
        return {key: at for key, at in found.items() if at.tzinfo is not None}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _keep_seen(home: Path, looks: Mapping[str, str]) -> None:
    path = home / SEEN
    is_there = path.exists()
    if not looks and not is_there:
        return
    facts = {"format": FORMAT, "home": identify(home), "unneeded_since": dict(sorted(looks.items()))}
    content = json.dumps(facts, indent=0).encode()
    if not (is_there and path.read_bytes() == content):
        write_whole(path, content)
