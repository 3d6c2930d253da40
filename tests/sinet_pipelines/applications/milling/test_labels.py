from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from sinet_pipelines.applications.milling.labels import RECENT_DAYS, evaluation_rows, recent_rows, training_rows
from sinet_pipelines.features.splits import is_held_out

LAST = date(2026, 3, 26)


@pytest.fixture(scope="module")
def tables():
    """600 products on ten days, all inspected but the last."""
    number = list(range(1, 601))
    days = [LAST - timedelta(days=9 - place * 10 // 600) for place in range(600)]
    features = pl.DataFrame(
        {"product_id": [f"L{one}" for one in number], "record_id": number, "region": "EAST", "event_date": days}
    )
    outcomes = features.head(599).select(
        "product_id", machine_failure=(pl.col("record_id") % 30 == 0).cast(pl.Int32), inspected_at=datetime.now(UTC)
    )
    return features, outcomes


def test_no_product_is_on_both_sides_and_every_inspected_one_is_on_one(tables):
    train, judged = (rows(*tables, last_day=LAST)["product_id"].to_list() for rows in (training_rows, evaluation_rows))
    assert not set(train) & set(judged)
    assert len(train) + len(judged) == 599


def test_the_newest_days_and_held_out_products_are_never_trained_on(tables):
    train = training_rows(*tables, last_day=LAST)
    assert train["event_date"].max() == LAST - timedelta(days=RECENT_DAYS)
    assert not any(is_held_out(name) for name in train["product_id"])
    judged = evaluation_rows(*tables, last_day=LAST)
    assert judged.filter(pl.col("origin") == "held_out")["event_date"].max() == LAST - timedelta(days=RECENT_DAYS)
    assert judged.filter(pl.col("origin") == "recent")["event_date"].n_unique() == RECENT_DAYS


def test_a_product_without_an_outcome_has_no_label(tables):
    features, outcomes = tables
    assert "L600" not in evaluation_rows(features, outcomes, last_day=LAST)["product_id"].to_list()
    assert "L600" in recent_rows(features, last_day=LAST)["product_id"].to_list()


def test_a_late_outcome_moves_no_other_product(tables):
    features, outcomes = tables
    early = training_rows(features, outcomes.head(300), last_day=LAST)["product_id"]
    late = training_rows(features, outcomes, last_day=LAST)["product_id"]
    assert set(early) <= set(late)
