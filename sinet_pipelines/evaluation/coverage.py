"""Measures coverage: how many intervals contain the truth, in all and in each region, with the 95 % binomial band."""

import polars as pl

from sinet_pipelines.metrics.coverage import covered_band
from sinet_pipelines.models.interval import Interval
from sinet_pipelines.models.model import Floats
from sinet_pipelines.models.task import Task
from sinet_pipelines.training.conformal import is_covered

COLUMNS = ("origin", "region", "n", "covered", "share", "least", "most")


def coverage_of(
    evaluation_set: pl.DataFrame, predicted_B: Floats, interval: Interval, *, task: Task, independent: str
) -> pl.DataFrame:
    """The number of intervals that contain the truth, by origin and region, and the band that chance allows.

    Only the origin `independent` has a band. Several rows of one group are not independent observations, so
    their band would be too narrow.

    Args:
        evaluation_set: B rows with `region`, `origin` and the target.
        predicted_B: (B,) predictions in the target's unit.
        interval: the interval around each prediction.
        task: the task.
        independent: the origin whose groups have one row each.

    Returns:
        `origin`, `region` (`all` first), `n` intervals, `covered` of them, their `share` from 0 to 1, and the band from
        `least` to `most` (null without a band).
    """
    rows = evaluation_set.select("region", "origin").with_columns(
        covered=pl.Series(is_covered(interval, predicted_B, evaluation_set[task.target].to_numpy()))
    )
    found = []
    for origin in rows["origin"].unique().sort():
        part = rows.filter(pl.col("origin") == origin)
        for region in ("all", *part["region"].unique().sort()):
            inside = part if region == "all" else part.filter(pl.col("region") == region)
            n, covered = inside.height, int(inside["covered"].sum())
            least, most = covered_band(n) if origin == independent else (None, None)
            found.append((origin, region, n, covered, covered / n, least, most))
    schema = dict(zip(COLUMNS, (pl.String, pl.String, pl.Int64, pl.Int64, pl.Float64, pl.Int64, pl.Int64), strict=True))
    return pl.DataFrame(found, schema=schema, orient="row")
