"""The run page of Dagster shows the log of every kind of run: its own query is answered without an error."""

from collections import Counter

import dagster as dg
import polars as pl
import pytest

from assets.turbofan.keys import global_key, regional_key
from sinet_pipelines.applications.turbofan.landed import TELEMETRY
from sinet_pipelines.applications.turbofan.schemas.telemetry import DROP
from tests.inventory import EAST
from tests.run_log import open_run_log, run_page_query
from tests.zones import landing_zone

ROWS = [regional_key(EAST, name) for name in ("raw_telemetry", "validated_telemetry")]
FEATURES = [regional_key(EAST, name) for name in ("window_features", "input_drift")]
REGIMES = [regional_key(EAST, "regime_cells"), global_key("operating_regimes")]


@pytest.fixture
def instance(tmp_path):
    with dg.DagsterInstance.local_temp(str(tmp_path)) as found:
        yield found


@pytest.fixture
def zone(home):
    return landing_zone(home, TELEMETRY)


@pytest.fixture
def shown(instance, carry_out):
    """Executes a run and opens its page; whether it succeeded, and how many events of each type the page lists."""

    def execute(keys, days=None):
        result = carry_out(instance, keys, days)
        return result.success, Counter(event["eventType"] for event in open_run_log(instance, result.run_id))

    return execute


def spoil(zone, day):
    hot = zone.read_day(EAST.name, day).rows.with_columns(pl.col("t30_degr") * 10)
    zone.land(EAST.name, day, name="hot", rows=hot.select(column.name for column in DROP.columns))


def test_the_page_asks_for_the_type_check_of_each_output():
    assert "typeCheck" in run_page_query()


@pytest.mark.slow
def test_a_run_of_rows_features_and_drift_over_days_of_which_one_fails_is_listed(shown, zone):
    days = zone.days(EAST.name)[:3]
    spoil(zone, days[1])
    succeeded, events = shown([*ROWS, *REGIMES, *FEATURES], (days[0], days[-1]))
    assert succeeded
    assert events["STEP_OUTPUT"] >= 6
    assert events["ASSET_CHECK_EVALUATION"] >= 3 + 2
    assert events["RUN_SUCCESS"] == 1


@pytest.mark.slow
def test_a_run_whose_every_day_fails_is_listed_with_its_failure(shown, zone):
    day = zone.days(EAST.name)[0]
    spoil(zone, day)
    succeeded, events = shown(ROWS, (day, day))
    assert not succeeded
    assert (events["STEP_FAILURE"], events["RUN_FAILURE"]) == (1, 1)


def test_a_run_of_an_asset_without_days_is_listed(shown):
    succeeded, events = shown([regional_key(EAST, "truth_events")])
    assert succeeded
    assert events["ASSET_MATERIALIZATION"] == 1
