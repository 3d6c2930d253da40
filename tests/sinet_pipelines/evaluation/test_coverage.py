import numpy as np
import polars as pl

from sinet_pipelines.applications.turbofan.task import RUL
from sinet_pipelines.evaluation.coverage import coverage_of
from sinet_pipelines.models.interval import Interval

ROWS = pl.DataFrame(
    {
        "region": ["EAST", "EAST", "WEST", "EAST", "WEST"],
        "origin": ["live", "live", "live", "history", "history"],
        "rul_cycles": [10, 200, 50, 30, 30],
    }
)
PREDICTED = np.array([12.0, 121.0, 80.0, 31.0, 60.0])  # inside; inside when 200 counts as 125; outside; inside; outside


def test_truths_inside_are_counted_by_origin_and_region():
    found = coverage_of(
        ROWS, PREDICTED, Interval(0.9, (0.0, 125.0), (5.0, 5.0), (0.0, 125.0)), task=RUL, independent="live"
    )
    counts = {(row["origin"], row["region"]): (row["covered"], row["n"]) for row in found.to_dicts()}
    assert counts == {
        ("live", "all"): (2, 3),
        ("live", "EAST"): (2, 2),
        ("live", "WEST"): (0, 1),
        ("history", "all"): (1, 2),
        ("history", "EAST"): (1, 1),
        ("history", "WEST"): (0, 1),
    }


def test_only_an_origin_with_one_row_for_each_engine_has_a_band():
    found = coverage_of(ROWS, PREDICTED, Interval(0.9, (0.0,), (5.0,), (0.0, 125.0)), task=RUL, independent="live")
    assert set(found.filter(pl.col("least").is_null())["origin"]) == {"history"}
    assert set(found.filter(pl.col("least").is_not_null())["origin"]) == {"live"}
