"""The only reader of the environment: checkout, home, executor, region."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sinet_pipelines.errors import UsageError

EXECUTORS = ("in_process", "multiprocess", "regions")
OBSERVE_S = "60"  # a run of three Jobs each: rarer than the ticks of sensors, as often as a drop is waited for
TRACKING_URL = "http://127.0.0.1:5000"  # the default of `sinet ui`


@dataclass(frozen=True)
class Settings:
    """The settings from the environment.

    Attributes:
        project: the checkout, which has `workspace.yaml`.
        home: folder with tables, blobs, runs and servers of one deployment.
        executor: how the steps of a run are executed: in the run's process, in processes beside it, or each in the
            cluster of its region.
        tracking_url: where `sinet ui` serves MLflow's UI, for links on asset pages.
        observe_s: with the executor `regions`, seconds between two observations of a region by a step there; None
            on one machine, where whoever plans publishes for all regions, whose storage it can open.
        region: the region of a step's own pod; None on one machine, which stands for all regions.
    """

    project: Path
    home: Path
    executor: str
    tracking_url: str
    region: str | None = None
    observe_s: int | None = None


def read_settings(environ: Mapping[str, str]) -> Settings:
    """The settings from these variables.

    Args:
        environ: `SINET_PROJECT`, `SINET_HOME` (default: the home that was last run), `SINET_EXECUTOR`,
            `SINET_TRACKING_URL`, `SINET_OBSERVE_SECONDS`, `SINET_REGION` (set by the Job of a step). `SINET_INVENTORY`
            is read by the library.

    Raises:
        UsageError: a value that is not allowed.
    """
    project = Path(environ.get("SINET_PROJECT") or Path(__file__).parents[1]).resolve()
    home = Path(environ.get("SINET_HOME") or project / ".sinet" / "current").resolve()
    executor = environ.get("SINET_EXECUTOR", "in_process")
    if executor not in EXECUTORS:
        raise UsageError(f"SINET_EXECUTOR is {executor!r} (allowed: {', '.join(EXECUTORS)}); set one of them or none")
    region = environ.get("SINET_REGION") or None
    tracking_url = environ.get("SINET_TRACKING_URL", TRACKING_URL)
    observe_s = _observe_s(environ) if executor == "regions" else None
    return Settings(project, home, executor, tracking_url, region, observe_s)


def _observe_s(environ: Mapping[str, str]) -> int:
    text = environ.get("SINET_OBSERVE_SECONDS") or OBSERVE_S
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise UsageError(f"SINET_OBSERVE_SECONDS is {text!r} (allowed: whole seconds from 1 on); set such a number")
    return int(text)


def settings() -> Settings:
    """The settings that the environment of this process names; for entry points alone."""
    return read_settings(os.environ)
