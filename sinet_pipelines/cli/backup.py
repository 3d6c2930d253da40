"""`sinet backup` and `sinet restore`: write a home as one archive with checksums, and restore it."""

import json
import shlex
import sys
from dataclasses import asdict
from pathlib import Path

from sinet_pipelines.cli.home import current_home, find_project, held, state_folder
from sinet_pipelines.cli.terminal import Terminal
from sinet_pipelines.errors import BusyError
from sinet_pipelines.storage.backup import read_manifest, restore_backup, write_backup
from sinet_pipelines.words import counted


def back_up(target: Path, *, home: Path | None, as_json: bool) -> None:
    """Writes the archive of a home and prints its path.

    Raises:
        BusyError: a run is in progress in the home.
        UsageError, StorageError: as of `write_backup`.
    """
    folder = current_home(home)
    with held(folder):
        _require_idle(folder)
        path, found = write_backup(folder, target)
    if as_json:
        sys.stdout.write(json.dumps({"archive": str(path), **asdict(found)}) + "\n")
    else:
        Terminal().print(f"{path}: {counted(len(found.files), 'file')}, {found.size / 1e6:.1f} MB of {folder}")


def restore(archive: Path, *, home: Path | None, as_json: bool) -> None:
    """Makes a home from an archive and prints its path.

    Raises:
        UsageError, StorageError: as of `restore_backup`.
    """
    folder = (home or state_folder() / read_manifest(archive).home).absolute()
    found = restore_backup(archive, folder)
    if as_json:
        sys.stdout.write(json.dumps({"home": str(folder), **asdict(found)}) + "\n")
    else:
        Terminal().print(
            f"{folder}: {counted(len(found.files), 'file')} as of {found.created_at}; "
            f"`sinet run --home {shlex.quote(str(folder))}` starts its endpoint"
        )


def _require_idle(home: Path) -> None:
    """Checks that no run of the UI or the daemon is in progress; such runs hold no lock on the home.

    Raises:
        BusyError: a run is in progress.
    """
    from sinet_pipelines.cli.orchestrator import end_killed_runs, enter, opened_instance
    from sinet_pipelines.cli.state_health import require_state

    enter(find_project(), home)
    require_state(home)
    from dagster import DagsterRunStatus, RunsFilter

    with opened_instance() as instance:
        end_killed_runs(instance)
        statuses = [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED]
        for run in instance.get_runs(RunsFilter(statuses=statuses), limit=1):
            raise BusyError(f"run {run.run_id[:8]} is in progress in {home}; wait for it or end it on the page Runs")
