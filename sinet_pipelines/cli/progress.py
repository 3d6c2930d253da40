"""Live progress of a run: one line for each asset, from the run's events, as a live table or as plain lines."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.table import Table

from sinet_pipelines.cli.terminal import Terminal, coloured
from sinet_pipelines.words import counted

if TYPE_CHECKING:
    from dagster import DagsterInstance

POLL_S = 0.2  # an event is visible 0.1 s after it was stored, so polling more often shows nothing sooner


@dataclass
class AssetProgress:
    """The progress of one asset's step."""

    name: str
    state: str = "waiting"
    days: int = 0
    failed_checks: int = 0
    started: float = 0.0
    seconds: float = 0.0


@dataclass
class RunProgress:
    """The progress of a run's assets: reads events and renders a table."""

    assets: dict[str, AssetProgress]
    step_names: dict[str, str]
    seen: int = -1
    lines: list[str] = field(default_factory=list)

    def take(self, kind: str, step: str, at: float, name: str | None, *, passed: bool = True) -> None:
        """Updates the progress by one event of the run."""
        asset = self.assets.get(name or self.step_names.get(step, ""))
        if asset is None:
            return
        if kind in ("STEP_START", "STEP_RESTARTED"):
            asset.state, asset.started = "running", at
        elif kind == "ASSET_MATERIALIZATION":
            asset.days += 1
        elif kind == "ASSET_CHECK_EVALUATION" and not passed:
            asset.failed_checks += 1
        elif kind in ("STEP_SUCCESS", "STEP_FAILURE", "STEP_SKIPPED"):
            asset.state = {"STEP_SUCCESS": "done", "STEP_FAILURE": "failed", "STEP_SKIPPED": "skipped"}[kind]
            asset.seconds = at - asset.started if asset.started else 0.0
            self.lines.append(self.line(asset))

    def line(self, asset: AssetProgress) -> str:
        """One finished asset as a line of text."""
        checks = f", {counted(asset.failed_checks, 'failed check')}" if asset.failed_checks else ""
        days = f"{asset.days} days, " if asset.days > 1 else ""
        return f"{asset.state:8} {asset.name} ({days}{asset.seconds:.1f} s{checks})"

    def table(self) -> Table:
        """A table of finished and running assets."""
        table = Table(box=None, pad_edge=False, show_header=False)
        busy = [asset for asset in self.assets.values() if asset.state == "running"]
        done = sum(asset.state != "waiting" and asset.state != "running" for asset in self.assets.values())
        for asset in busy:
            elapsed = time.time() - asset.started
            table.add_row(coloured("running", "cyan"), asset.name, f"{asset.days or ''}", f"{elapsed:.0f} s")
        table.add_row("", coloured(f"{done} of {len(self.assets)} assets", "dim"), "", "")
        return table


@contextmanager
def quiet(log: Path) -> Iterator[Console]:
    """Redirects what libraries print to a log file; the yielded console still writes to the terminal's stderr."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    try:
        with log.open("ab") as file, os.fdopen(os.dup(saved[1]), "w") as terminal:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            yield Terminal(terminal)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(saved[0], 1)
        os.dup2(saved[1], 2)
        for descriptor in saved:
            os.close(descriptor)


@contextmanager
def watched(instance: "DagsterInstance", run_id: str, progress: RunProgress, console: Console) -> Iterator[None]:
    """Shows the run's progress while the body of the `with` block executes it."""
    stop = threading.Event()
    with Live(progress.table(), console=console, refresh_per_second=4, transient=True) as live:
        thread = threading.Thread(target=_follow, args=(instance, run_id, progress, live, stop), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(timeout=10)


def _follow(instance: "DagsterInstance", run_id: str, progress: RunProgress, live: Live, stop: threading.Event) -> None:
    cursor: str | None = None
    while True:
        last_look = stop.is_set()
        page = instance.get_records_for_run(run_id, cursor=cursor, limit=1000)
        cursor = page.cursor
        for record in page.records:
            entry = record.event_log_entry
            event = entry.dagster_event
            if event is None:
                continue
            name = event.asset_key.to_user_string() if event.asset_key else None
            passed = True
            if event.event_type_value == "ASSET_CHECK_EVALUATION":
                passed = event.asset_check_evaluation_data.passed
            progress.take(event.event_type_value, event.step_key or "", entry.timestamp, name, passed=passed)
        for line in progress.lines:
            live.console.print(line)
        progress.lines.clear()
        live.update(progress.table())
        if last_look and not page.has_more:
            return
        if not page.has_more:
            stop.wait(POLL_S)
