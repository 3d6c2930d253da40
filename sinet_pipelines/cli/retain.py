"""`sinet retain`: shows what of a home's old data goes and what needs the rest, and removes what nothing needs."""

import json
import logging
import os
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sinet_pipelines.errors import BusyError, SinetError, StorageError, UsageError

if TYPE_CHECKING:
    import dagster as dg

    from sinet_pipelines.retention.execution import Executed, Look
    from sinet_pipelines.retention.plan import Plan
    from sinet_pipelines.retention.policy import Policy


_log = logging.getLogger(__name__)


def retain(*, home: Path | None, project: Path | None, dry_run: bool, as_json: bool, claim: str | None = None) -> None:
    """Prints the plan, and executes it unless it is a dry run.

    Args:
        home: None for the one last run.
        project: the checkout; None for the one at or above the current folder.
        dry_run: whether to remove nothing.
        as_json: whether to print JSON alone.
        claim: region from whose root this home alone removes data from now on; None for no change.

    Raises:
        UsageError: there is no such home or region.
        BusyError: another process removes things of the home.
    """
    from sinet_pipelines.cli.home import current_home, find_project
    from sinet_pipelines.cli.orchestrator import end_killed_runs, enter, killed_runs, opened_instance
    from sinet_pipelines.cli.state_health import require_state
    from sinet_pipelines.retention.execution import plan_only
    from sinet_pipelines.retention.policy import Policy

    folder, policy = current_home(home), Policy()
    enter(find_project(project), folder)
    require_state(folder)
    if claim is not None:
        _claim(folder, claim, dry_run=dry_run)
    with opened_instance() as instance:
        if dry_run:
            now = datetime.now(UTC)
            found: Plan | Executed = plan_only(
                folder, _look(folder, instance, policy, killed=killed_runs(instance)), policy=policy, now=now
            )
        else:
            end_killed_runs(instance)  # a run that was killed would count as in progress
            found = _execute(folder, instance, policy)
    _print(folder, found, as_json=as_json)


def _claim(home: Path, region: str, *, dry_run: bool) -> None:
    """Makes this home the only one that removes data of a region."""
    from sinet_pipelines.inventory.regions import this_inventory
    from sinet_pipelines.retention.owner import claim
    from sinet_pipelines.retention.places import Place

    if dry_run:
        raise UsageError("--claim writes to the root of the region, and --dry-run writes nothing; leave one out")
    claim(Place(home, this_inventory().region(region).name))


def remove_unneeded(home: Path) -> int:
    """Executes the plan of an entered home without output, at the end of a run; returns the number of removed things.

    Where another process does the same at this moment, nothing is done. What could not be read or removed is logged,
    and the caller continues: the next execution tries again.
    """
    from sqlalchemy.exc import SQLAlchemyError

    from sinet_pipelines.retention.policy import Policy

    try:
        with _instance_of(home) as instance:
            found = _execute(home, instance, Policy())
    except BusyError:
        return 0
    except (SinetError, OSError, SQLAlchemyError) as error:
        _log.warning("old data of %s were not removed: %s; `sinet retain` tries again", home, error)
        return 0
    for note in found.notes:
        _log.warning("%s", note)
    return len(found.removed)


@contextmanager
def _instance_of(home: Path) -> "Iterator[dg.DagsterInstance | None]":
    """The instance of the home; None where this process has not entered it."""
    if "DAGSTER_HOME" not in os.environ or os.environ.get("SINET_HOME") != str(home):
        yield None
        return
    from sinet_pipelines.cli.orchestrator import opened_instance

    with opened_instance() as instance:
        yield instance


def _look(
    home: Path, instance: "dg.DagsterInstance | None", policy: "Policy", *, killed: Collection[str] = ()
) -> "Look":
    """What lists the things and needs of a home."""
    from sinet_pipelines.inventory.regions import this_inventory
    from sinet_pipelines.retention.survey import Survey, survey

    def look(now: datetime) -> Survey:
        log = None
        if instance is not None:
            from resources.retained_runs import event_log_of

            log = event_log_of(instance, killed=killed)
        return survey(home, this_inventory().names, log=log, policy=policy, now=now)

    return look


def _execute(home: Path, instance: "dg.DagsterInstance | None", policy: "Policy") -> "Executed":
    from sinet_pipelines.retention.execution import execute

    def remove(run_id: str) -> None:
        from sqlalchemy.exc import SQLAlchemyError

        from resources.retained_runs import remove_run

        assert instance is not None  # without an instance no run is listed
        try:
            remove_run(instance, run_id)
        except SQLAlchemyError as error:
            raise StorageError(f"the event log cannot be written: {error}; the next execution tries again") from error

    return execute(home, _look(home, instance, policy), policy=policy, now=datetime.now(UTC), remove_run=remove)


def _print(home: Path, found: "Plan | Executed", *, as_json: bool) -> None:
    from sinet_pipelines.retention.plan import Plan

    is_dry = isinstance(found, Plan)
    plan = found if isinstance(found, Plan) else found.plan
    removed = [] if isinstance(found, Plan) else list(found.removed)
    notes = [*plan.notes, *(() if isinstance(found, Plan) else found.notes)]
    if as_json:
        names = [{"kind": str(one.kind), "name": one.name, "bytes": one.size} for one in removed]
        facts: dict[str, Any] = {"home": str(home), "dry_run": is_dry, **plan.as_json(), "removed": names}
        sys.stdout.write(json.dumps({**facts, "notes": notes}) + "\n")
        return
    from rich.table import Table

    from sinet_pipelines.cli.terminal import Terminal
    from sinet_pipelines.words import counted

    terminal, table = Terminal(), Table(box=None, pad_edge=False)
    for name in ("kind", "things", "bytes", "kept because of"):
        table.add_column(name, justify="right" if name in ("things", "bytes") else "left")
    for row in plan.rows():
        state = row.kept_because or ("nothing: would be removed" if is_dry else "nothing: removed")
        table.add_row(str(row.kind), f"{row.things:,}", f"{row.size:,}", state)
    if table.rows:
        terminal.print(table)
    for note in notes:
        terminal.print(note)
    things = plan.going if is_dry else removed
    verb = "would be removed from" if is_dry else "removed from"
    what = counted(len(things), "thing")
    terminal.print(f"{what}, {sum(one.size for one in things) / 1e6:.1f} MB {verb} {home}")
