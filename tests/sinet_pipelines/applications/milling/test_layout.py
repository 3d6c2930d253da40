from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from sinet_pipelines.applications.milling.layout import lay_out, tool_of_each
from sinet_pipelines.applications.milling.production import Production
from sinet_pipelines.applications.milling.tables import DROP

FIRST = date(2026, 3, 1)
PRODUCTION = Production("simulated", True, FIRST, "0" * 64, days=5, regions=("EAST", "WEST", "NULL_ISLAND"))


@pytest.fixture(scope="module")
def layout(records):
    return lay_out(records, PRODUCTION)


def all_rows(layout):
    return pl.concat(part.rows.with_columns(region=pl.lit(part.region), day=part.day) for part in layout.days)


def test_every_record_lands_once_in_the_columns_of_a_drop(layout, records):
    rows = all_rows(layout)
    assert rows["record_id"].sort().to_list() == records["record_id"].sort().to_list()
    assert layout.days[0].rows.columns == [column.name for column in DROP.columns]


def test_every_region_has_every_day_and_days_of_nearly_equal_size(layout):
    assert {(part.region, part.day) for part in layout.days} == {
        (region, FIRST + timedelta(days=number)) for region in PRODUCTION.regions for number in range(5)
    }
    for region in PRODUCTION.regions:
        sizes = [part.rows.height for part in layout.days if part.region == region]
        assert max(sizes) - min(sizes) <= 1


def test_a_row_is_recorded_on_the_day_of_its_drop_in_the_order_of_production(layout):
    rows = all_rows(layout)
    assert (rows["recorded_at"].dt.date() == rows["day"]).all()
    for region in PRODUCTION.regions:
        own = rows.filter(pl.col("region") == region).sort("record_id")
        assert own["recorded_at"].is_sorted()
        assert own["recorded_at"].n_unique() == own.height


def test_the_products_of_a_tool_stay_in_one_region(layout, records):
    tools = records.select("record_id", tool=tool_of_each(records["tool_wear_min"]))
    by_tool = all_rows(layout).join(tools, on="record_id").group_by("tool").agg(pl.col("region").n_unique())
    assert by_tool.height > 10
    assert (by_tool["region"] == 1).all()


def test_an_outcome_is_known_at_the_midnight_after_its_product_was_made(layout, records):
    outcomes = pl.concat(layout.outcomes.values())
    assert outcomes.height == records.height
    assert outcomes["machine_failure"].sum() == records["machine_failure"].sum()
    both = outcomes.join(all_rows(layout).select("product_id", "day"), on="product_id")
    assert (both["inspected_at"].dt.date() == both["day"] + timedelta(days=1)).all()
    assert both["inspected_at"].max() == datetime(2026, 3, 6, tzinfo=UTC)


def test_no_part_of_the_outcome_is_in_a_drop(layout):
    assert not {name for name in all_rows(layout).columns if "failure" in name}
