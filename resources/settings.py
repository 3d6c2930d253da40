"""The only reader of the environment: which checkout, which home, which executor, which first day."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path

from sinet_pipelines.errors import UsageError
from sinet_pipelines.ingestion.fleet import read_first_day
from sinet_pipelines.regions import get_region

EXECUTORS = ("in_process", "multiprocess", "regions")
TRACKING_URL = "http://127.0.0.1:5000"  # the default of `sinet ui`
EMPTY_HOME_DAYS = 25  # what a home without a fleet shows: the days that a first landing would lay out


@dataclass(frozen=True)
class Settings:
    """What the environment says.

    Attributes:
        project: the checkout, where `workspace.yaml` is.
        home: where tables, blobs, runs and servers of one fleet are kept.
        executor: how the steps of a run are executed: in the run's process, in processes beside it, or each in the
            cluster of its region.
        first_day: the first landed day; partitions begin there.
        tracking_url: where `sinet ui` serves MLflow's pages; links on asset pages lead there.
        region: where this process runs, in a step's own pod; None on one machine, which stands for all regions.
    """

    project: Path
    home: Path
    executor: str
    first_day: date
    tracking_url: str
    region: str | None = None


def read_settings(environ: Mapping[str, str]) -> Settings:
    """The settings that these variables make.

    Args:
        environ: `SINET_PROJECT`, `SINET_HOME` (default: the home that was last run), `SINET_EXECUTOR`,
            `SINET_TRACKING_URL`, `SINET_REGION` (set by the Job of a step). `SINET_REGISTRY` is read by the library.

    Raises:
        UsageError: a value that is not allowed.
        FleetError: the record of the home's fleet is damaged.
    """
    project = Path(environ.get("SINET_PROJECT") or Path(__file__).parents[1]).resolve()
    home = Path(environ.get("SINET_HOME") or project / ".sinet" / "current").resolve()
    executor = environ.get("SINET_EXECUTOR", "in_process")
    if executor not in EXECUTORS:
        raise UsageError(f"SINET_EXECUTOR is {executor!r} (allowed: {', '.join(EXECUTORS)}); set one of them or none")
    region = environ.get("SINET_REGION") or None
    if region is not None:
        get_region(region)
    tracking_url = environ.get("SINET_TRACKING_URL", TRACKING_URL)
    return Settings(project, home, executor, _first_day(home), tracking_url, region)


def _first_day(home: Path) -> date:
    return read_first_day(home) or datetime.now(UTC).date() - timedelta(days=EMPTY_HOME_DAYS)


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process, read once: a code location keeps what it was loaded with."""
    return read_settings(os.environ)
