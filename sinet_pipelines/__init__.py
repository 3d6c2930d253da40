"""The AI platform of SINet as a plain Python library: how each step from data to endpoint is done, on any worker."""

from pathlib import Path
from typing import TYPE_CHECKING

from sinet_pipelines.usage_reports import switch_off_usage_reports

if TYPE_CHECKING:
    from sinet_pipelines.notebook.home import Home

switch_off_usage_reports()


def open(home: str | Path) -> "Home":
    """Opens the state of a deployment for a notebook: its tables as data frames, its champion models as functions.

    Args:
        home: `.sinet/simulated`, or `.sinet/current` for the home that was last run.

    Raises:
        UsageError: no run was made in this home.
        StorageError: a version of the platform with another storage layout made the home.
    """
    from sinet_pipelines.notebook.home import open_home

    return open_home(home)
