"""Rules of an application for which days of a table are up to date, where no rule of the platform applies.

A rule returns the fingerprint of each day's current inputs; the planner compares it with the fingerprint from which
the day was made. It reads digests that the region published, and refs of the region that computes shared values.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date

import polars as pl

from sinet_pipelines.monitoring.publication import Digest
from sinet_pipelines.storage.blobs import BlobStore


@dataclass(frozen=True)
class RuleView:
    """The data that a rule may read.

    Attributes:
        digest: the rows of a digest that the application publishes in the region of the asset; None where none are
            published, or where a table that they are computed from is damaged.
        blobs: blob stores by region.
        code_version: code version of the asset.
        is_lost: whether an asset of the application that exists once (by its name) was made and is lost in storage.
    """

    digest: Callable[[Digest], pl.DataFrame | None]
    blobs: Callable[[str], BlobStore]
    code_version: str
    is_lost: Callable[[str], bool]


@dataclass(frozen=True)
class DayRule:
    """How the days of one asset depend on others.

    Attributes:
        now: the fingerprint of each day's current inputs; days that cannot be made are left out.
        reach_days: number of days after a changed upstream day that depend on it.
    """

    now: Callable[[RuleView], Mapping[date, str]]
    reach_days: int = 0
