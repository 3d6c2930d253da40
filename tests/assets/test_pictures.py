"""What pages show to look at: short markdown in place, whole charts behind a link, numbers before both."""

import base64
from datetime import date, timedelta

import dagster as dg
import polars as pl
import pytest

from assets.framework.pictures import behind, glance, glance_of_bars
from assets.turbofan.keys import regional_key
from sinet_pipelines.applications.turbofan.landed import TELEMETRY
from sinet_pipelines.pictures.charts import error_against_truth
from sinet_pipelines.pictures.sparkline import LONGEST
from tests.inventory import EAST
from tests.zones import landing_zone

PNG = b"\x89PNG\r\n\x1a\n"
DAYS = [date(2026, 10, 1) + timedelta(days=number) for number in range(5)]


def is_a_glance(value):
    return value.value.startswith("![") and "image/svg" in value.value and len(value.value) < LONGEST


def is_a_chart(value):
    head, _, tail = value.value.partition(";base64,")
    return head.endswith("](data:image/png") and base64.b64decode(tail.removesuffix(")")).startswith(PNG)


def test_a_glance_is_markdown_short_enough_to_be_drawn_in_place():
    for draw in (glance, glance_of_bars):
        drawn = draw(range(1000), label="rows " * 100, unit="rows")
        assert isinstance(drawn, dg.MarkdownMetadataValue)
        assert is_a_glance(drawn)


def test_a_chart_is_markdown_that_holds_the_picture():
    drawn = behind(error_against_truth([1.0], [2.0]), label="error")
    assert isinstance(drawn, dg.MarkdownMetadataValue)
    assert is_a_chart(drawn)


def seen(ratios, *, drifted=()):
    """Rows of `input_drift`: two sensors a day, the worse at so many times its limit."""
    rows = [
        (day, psi, 0.25, day in drifted)
        for day, ratio in zip(DAYS, ratios, strict=False)
        for psi in (ratio * 0.25, ratio * 0.1)
    ]
    return pl.DataFrame(rows, schema=["event_date", "psi", "psi_limit", "drifted"], orient="row")


def drift_pictures(frame, days, newest):
    from assets.framework.monitoring import drift_pictures as pictures_of

    return pictures_of(frame, EAST, days=days, newest=newest)


def test_each_judged_day_has_its_glance_and_the_newest_alone_the_chart(definitions):
    shown = drift_pictures(seen([0.5, 2.0, 0.25], drifted=DAYS[1:2]), DAYS[:3], DAYS[2])
    assert [list(shown[day]) for day in DAYS[:3]] == [
        ["worst_psi_over_limit"],
        ["worst_psi_over_limit"],
        ["worst_psi_over_limit", "drift_by_day"],
    ]
    assert all(is_a_glance(shown[day]["worst_psi_over_limit"]) for day in DAYS[:3])
    assert shown[DAYS[1]]["worst_psi_over_limit"].value.endswith("last **2** (0.5 to 2); limit 1")
    assert is_a_chart(shown[DAYS[2]]["drift_by_day"])


def test_a_day_of_the_past_made_again_draws_no_chart_and_a_day_without_judgement_nothing(definitions):
    shown = drift_pictures(seen([0.5, 2.0, 0.25]), [DAYS[1]], DAYS[1])
    assert {day: list(entries) for day, entries in shown.items()} == {DAYS[1]: ["worst_psi_over_limit"]}
    assert drift_pictures(seen([]), DAYS, DAYS[-1]) == {}


def test_the_fleets_lives_are_shown_and_a_region_without_live_engines_shows_none(definitions):
    from assets.turbofan.deployment import _fleet_pictures

    shown = _fleet_pictures(pl.DataFrame({"rul_cycles": [50.0, 3.0, 90.0]}), EAST)
    assert list(shown) == ["lives_soonest_first", "fleet"]
    assert shown["lives_soonest_first"].value.endswith("last **90** cycles (3 to 90)")
    assert is_a_chart(shown["fleet"])
    assert _fleet_pictures(pl.DataFrame({"rul_cycles": []}), EAST) == {}


def test_predictions_are_shown_once_truth_has_arrived(definitions):
    from assets.turbofan.monitoring import _quality_pictures

    matched = pl.DataFrame(
        {
            "unit": ["b", "a"],
            "true_cycles": [80.0, 10.0],
            "predicted_cycles": [90.0, 12.0],
            "late_cycles": [10.0, 2.0],
            "lower_cycles": pl.Series([None, None], dtype=pl.Float64),
            "upper_cycles": pl.Series([None, None], dtype=pl.Float64),
        }
    )
    shown = _quality_pictures(matched)
    assert shown["late_by_true_rul"].value.endswith("last **10** cycles (2 to 10); limit 0")
    assert is_a_chart(shown["predicted_against_true"])
    assert _quality_pictures(matched.clear()) == {}


@pytest.mark.slow
def test_a_page_has_its_numbers_first_then_the_glance_then_the_chart(home, carry_out):
    raw, key = regional_key(EAST, "raw_telemetry"), regional_key(EAST, "rows_by_day")
    days = landing_zone(home, TELEMETRY).days(EAST.name)
    with dg.DagsterInstance.ephemeral() as instance:
        assert carry_out(instance, [raw, key], (days[0], days[-1])).success
        metadata = instance.get_latest_materialization_event(key).asset_materialization.metadata
    names = [name for name in metadata if not name.startswith(("dagster/", "table_"))]
    assert names == [
        "rows_yesterday",
        "share_of_reference_pct",
        "last_day_with_rows",
        "silent_days",
        "rows_at_a_glance",
        "rows_by_day",
    ]
    assert is_a_glance(metadata["rows_at_a_glance"])
    assert f"last **{metadata['rows_yesterday'].value}** rows" in metadata["rows_at_a_glance"].value
    assert is_a_chart(metadata["rows_by_day"])
