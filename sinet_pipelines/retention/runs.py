"""Runs in Dagster's event log and the output of their steps: what the log holds, and which runs are needed."""

import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from sinet_pipelines.backfills import record as kinds
from sinet_pipelines.backfills.journal import journals
from sinet_pipelines.backfills.record import record_of
from sinet_pipelines.retention.blobs import NEWEST
from sinet_pipelines.retention.models import ModelNeed
from sinet_pipelines.retention.owner import is_inside
from sinet_pipelines.retention.plan import Thing
from sinet_pipelines.retention.policy import Kind

_OUTPUT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|__repository__")  # of a run, and of all ticks


@dataclass(frozen=True)
class EndedRun:
    """One ended run.

    Attributes:
        run_id: its id.
        ended_at: UTC.
        size: bytes of its events.
        versions: the registered versions that its materialisations record, as `<name>/<version>`.
    """

    run_id: str
    ended_at: datetime
    size: int
    versions: tuple[str, ...] = ()


@dataclass(frozen=True)
class EventLog:
    """What retention reads from the event log.

    Attributes:
        in_progress: ids of runs in progress.
        oldest_start: UTC; the creation of the oldest of them, None for none.
        ended: all ended runs, the newest first.
        newest: ids of runs with the newest event of an asset, of a day of it or of a check.
        blobs: blobs that newest materialisations record, as `REGION/<sha256>`.
    """

    in_progress: Sequence[str] = ()
    oldest_start: datetime | None = None
    ended: Sequence[EndedRun] = ()
    newest: frozenset[str] = frozenset()
    blobs: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Outputs:
    """The folders with the output of runs and ticks.

    Attributes:
        folders: by name.
    """

    folders: Mapping[str, Path] = field(default_factory=dict)

    def things(self) -> Iterator[Thing]:
        """The folders; one that another process has just removed is left out."""
        for name, path in self.folders.items():
            try:
                at = path.stat().st_mtime
            except FileNotFoundError:
                continue
            yield Thing(Kind.OUTPUT, name, _size(path), datetime.fromtimestamp(at, UTC))

    def remove(self, thing: Thing) -> bool:
        """Removes a folder.

        Raises:
            OSError: it cannot be removed.
        """
        shutil.rmtree(self.folders[thing.name])
        return True


def outputs_of(home: Path) -> Outputs:
    """The output of a home's runs and ticks; folders of other names, and links, are left out."""
    folder = home / "dagster" / "compute_logs"
    found = sorted(folder.glob("*")) if is_inside(folder, home) else ()
    return Outputs(
        {path.name: path for path in found if _OUTPUT.fullmatch(path.name) and path.is_dir() and not path.is_symlink()}
    )


def things_of(log: EventLog) -> Iterator[Thing]:
    """The ended runs."""
    for one in log.ended:
        yield Thing(Kind.RUNS, one.run_id, one.size, one.ended_at)


def needs_of(
    log: EventLog, models: Iterable[ModelNeed], backfills: Mapping[str, Sequence[str]], *, newest_runs: int
) -> dict[str, tuple[str, ...]]:
    """What needs each ended run, by its id.

    Args:
        log: the event log.
        models: of versions and endpoints.
        backfills: open backfills by the id of each of their runs.
        newest_runs: number of runs that are kept in any case.
    """
    by_version: dict[str, list[str]] = {}
    for need in models:
        by_version.setdefault(need.version, []).append(need.by)
    found: dict[str, tuple[str, ...]] = {}
    for position, run in enumerate(log.ended):
        reasons = [by for version in run.versions for by in by_version.get(version, ())]
        reasons += backfills.get(run.run_id, ())
        if run.run_id in log.newest:
            reasons.append(NEWEST)
        if position < newest_runs:
            reasons.append(f"among the newest {newest_runs} runs")
        found[run.run_id] = tuple(dict.fromkeys(reasons))
    return found


def runs_of_open_backfills(home: Path) -> dict[str, list[str]]:
    """The open backfills (`backfill 3`) by the id of each of their runs.

    Raises:
        StorageError: a journal is damaged.
    """
    found: dict[str, list[str]] = {}
    for number, entries in journals(home):
        record = record_of(number, entries)
        if record.state in kinds.ENDED or not record.is_of(home):
            continue
        for entry in entries:
            if entry["kind"] == kinds.RUN_STARTED:
                found.setdefault(str(entry["run_id"]), []).append(f"backfill {number}")
    return found


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_size
        except FileNotFoundError:
            continue
    return total
