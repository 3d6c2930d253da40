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

_OUTPUT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")  # the folder of a run
TICKS = "__repository__"  # the folder of all ticks, with a folder for each sensor


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
    """The output of runs, a folder each, and of ticks, the files of a sensor and a day each.

    Attributes:
        found: a folder or files, by name.
    """

    found: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)

    def things(self) -> Iterator[Thing]:
        """The folders and files; what another process has just removed is left out."""
        for name, paths in self.found.items():
            times = [at for path in paths if (at := _time(path)) is not None]
            if times:
                yield Thing(Kind.OUTPUT, name, sum(map(_size, paths)), max(times))

    def remove(self, thing: Thing) -> bool:
        """Removes a folder, or files that were not written since.

        Raises:
            OSError: one cannot be removed.
        """
        for path in self.found[thing.name]:
            at = _time(path)
            if path.is_dir():
                shutil.rmtree(path)
            elif at is not None and at <= thing.unused_since:
                path.unlink(missing_ok=True)
        return True


def outputs_of(home: Path) -> Outputs:
    """The output of a home's runs and ticks; folders of other names, and links, are left out."""
    folder = home / "dagster" / "compute_logs"
    if not is_inside(folder, home):
        return Outputs()
    runs = [path for path in sorted(folder.glob("*")) if _OUTPUT.fullmatch(path.name)]
    found = {path.name: (path,) for path in runs if path.is_dir() and not path.is_symlink()}
    ticks: dict[str, list[Path]] = {}
    for path in sorted((folder / TICKS).rglob("*")) if is_inside(folder / TICKS, home) else ():
        if path.is_file() and not path.is_symlink() and (at := _time(path)) is not None:
            name = f"{path.parent.relative_to(folder).as_posix()}/{at:%Y-%m-%d}"
            ticks.setdefault(name, []).append(path)
    return Outputs({**found, **{name: tuple(paths) for name, paths in ticks.items()}})


def _time(path: Path) -> datetime | None:
    """When a file or folder was last written, UTC; None where it is gone."""
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except FileNotFoundError:
        return None


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


def _size(root: Path) -> int:
    total = 0
    for path in root.rglob("*") if root.is_dir() else (root,):
        try:
            total += path.lstat().st_size
        except FileNotFoundError:
            continue
    return total
