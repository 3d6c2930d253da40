"""Makes and executes plans: what goes is decided without MLflow's lock, and the needs are read again at each removal.

`retention.json` in the home records since when nothing needs a thing; in a copy of the home all periods begin again.
MLflow's lock is held for one removal at a time, so that a step that logs or registers waits for one removal at most.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from sinet_pipelines.errors import BusyError, DiskError, StorageError
from sinet_pipelines.retention.owner import identify, identity_of
from sinet_pipelines.retention.plan import Needs, Plan, Thing, first_looks, plan
from sinet_pipelines.retention.policy import OBSERVED, Kind, Policy
from sinet_pipelines.retention.survey import Survey
from sinet_pipelines.storage.files import write_whole
from sinet_pipelines.storage.layout import mlflow_database
from sinet_pipelines.storage.locks import held, holder

LOCK = "retention.lock"  # in a home
SEEN = "retention.json"  # in a home
MLFLOW_LOCK = "mlflow.lock"
FORMAT = 2
PROBE_S = 1.0
MLFLOW_S = 10.0  # longest wait for a step that logs or registers

Look = Callable[[datetime], Survey]


@dataclass(frozen=True)
class Executed:
    """What an execution did.

    Attributes:
        plan: the plan, made at the beginning.
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
        with held(home / LOCK, wait_s=PROBE_S):
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
    latest = _Latest(home, found)
    for thing in decided.going:
        try:
            with held(home / MLFLOW_LOCK, wait_s=MLFLOW_S) if thing.kind in OBSERVED else nullcontext():
                if why := latest.why_kept(thing):
                    notes.append(f"{thing.kind} {thing.name}: not removed: {why[0]} since the plan")
                elif _remove(found, thing, remove_run):
                    removed.append(thing)
        except BusyError as error:
            notes.append(f"{thing.kind} {thing.name} and what follows: not removed: {error}; the next execution does")
            break
        except (StorageError, OSError) as error:
            notes.append(f"{thing.kind} {thing.name}: not removed: {error}")
    return Executed(decided, tuple(removed), tuple(notes))


def _remove(found: Survey, thing: Thing, remove_run: Callable[[str], None] | None) -> bool:
    if thing.kind is not Kind.RUNS:
        return found.removers[thing.key](thing)
    if remove_run is None:
        return False
    remove_run(thing.name)
    return True


@dataclass
class _Latest:
    """The needs, read again at each kind, at each training set and after each change of MLflow's database.

    MLflow's own pages and clients take no lock of the platform, so a version may be registered at any time.
    """

    home: Path
    found: Survey
    needs: Needs = field(default_factory=Needs)
    state: tuple[object, ...] = ()

    def why_kept(self, thing: Thing) -> Sequence[str]:
        """Why a thing stays now; empty where it may go."""
        database = mlflow_database(self.home)
        files = [_file_state(path) for path in (database, database.with_name(f"{database.name}-wal"))]
        state = (thing.kind, thing.name if thing.kind is Kind.TRAINING_SETS else "", *files)
        if state != self.state:
            self.needs, self.state = self.found.again(), state
        held_by = self.needs.held(thing)
        return self.needs.by_thing.get(thing.key) or ([held_by] if held_by else [])


def _file_state(path: Path) -> tuple[int, int]:
    try:
        state = path.stat()
    except FileNotFoundError:
        return 0, 0
    return state.st_mtime_ns, state.st_size


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
