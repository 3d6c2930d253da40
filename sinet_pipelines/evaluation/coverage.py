"""Holds intervals against truth: how many cover it, over all engines with truth and in each region, beside the band."""

import polars as pl

from sinet_pipelines.metrics.coverage import covered_band
from sinet_pipelines.models.interval import Interval
from sinet_pipelines.models.model import Floats
from sinet_pipelines.training.conformal import is_covered

COLUMNS = ("origin", "region", "n", "covered", "share", "least", "most")


def coverage_of(evaluation_set: pl.DataFrame, predicted_B: Floats, interval: Interval) -> pl.DataFrame:
    """How many truths lie inside, by origin and region (`all` first), and the band that chance allows.

    A band is given for live engines alone: they are asked once each. A history engine is asked eight times, its rows
    are not eight observations, and its band would be too narrow.

    Args:
        evaluation_set: `region`, `origin`, `rul_cycles`, one row a prediction.
        predicted_B: (B,) cycles.
        interval: around them.

    Returns:
        `origin`, `region`, `n`, `covered`, `share`, `least`, `most` (null without a band).
    """
    rows = evaluation_set.select("region", "origin").with_columns(
        covered=pl.Series(is_covered(interval, predicted_B, evaluation_set["rul_cycles"].to_numpy()))
    )
    found = []
    for origin in rows["origin"].unique().sort():
        part = rows.filter(pl.col("origin") == origin)
        for region in ("all", *part["region"].unique().sort()):
            inside = part if region == "all" else part.filter(pl.col("region") == region)
            n, covered = inside.height, int(inside["covered"].sum())
            least, most = covered_band(n) if origin == "live" else (None, None)
            found.append((origin, region, n, covered, covered / n, least, most))
    schema = dict(zip(COLUMNS, (pl.String, pl.String, pl.Int64, pl.Int64, pl.Float64, pl.Int64, pl.Int64), strict=True))
    return pl.DataFrame(found, schema=schema, orient="row")
