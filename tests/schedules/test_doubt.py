"""One cycle of an engine on two days: both rows are set aside, whenever the second came; their neighbours go on."""

from datetime import timedelta

import dagster as dg
import polars as pl
import pytest

from assets.turbofan.keys import regional_key
from resources.materializations.staleness import Staleness
from resources.materializations.versions import INPUTS_TAG, days_refused
from schedules.backfills import plan_repair
from sinet_pipelines.applications.turbofan.schemas.features import LIVE_SEQUENCES, TRAINING_SEQUENCES, WINDOW_FEATURES
from sinet_pipelines.applications.turbofan.schemas.telemetry import (
    DROP,
    EARLY_TELEMETRY,
    QUARANTINE,
    VALIDATED_TELEMETRY,
)
from sinet_pipelines.storage.layout import CLASSES
from sinet_pipelines.storage.tables import content_hash, tables_of
from tests.conftest import executor_for
from tests.deployed import deployment_at
from tests.inventory import EAST

pytestmark = pytest.mark.slow  # each makes days

TABLES = (VALIDATED_TELEMETRY, QUARANTINE, EARLY_TELEMETRY, WINDOW_FEATURES, LIVE_SEQUENCES, TRAINING_SEQUENCES)
VALIDATED = regional_key(EAST, "validated_telemetry")


@pytest.fixture
def tables(home):
    return tables_of(home, EAST.name, "turbofan")


def content(tables):
    return {contract.name: content_hash(tables.read(contract), contract) for contract in TABLES}


def land_twin(zone, rows, *, days_later):
    """Lands rows again on another day: clocks moved by days, one reading changed."""
    day = rows["event_date"][0] + timedelta(days=days_later)
    moved = rows.with_columns(pl.col("recorded_at") + timedelta(days=days_later), pl.col("t50_degr") + 0.5)
    return zone.land(EAST.name, day, name="resent", rows=moved.select(column.name for column in DROP.columns))


@pytest.mark.parametrize("role", ["live", "history"])
def test_a_second_row_that_comes_later_sets_both_aside_and_its_withdrawal_brings_the_first_back(
    role, instance, graph, home, zone, tables, mend
):
    before = content(tables)
    found = tables.read(VALIDATED_TELEMETRY).filter(pl.col("role") == role).sort("event_date", "unit", "cycle")
    rows = found.filter(pl.col("event_date") < found["event_date"].max()).tail(1)
    days = [rows["event_date"][0] + timedelta(days=ahead) for ahead in range(2)]
    file = land_twin(zone, rows, days_later=1)
    mend()
    aside = tables.read(QUARANTINE).sort("event_date")
    assert aside.select("event_date", "unit", "cycle").rows() == [
        (day, rows["unit"][0], rows["cycle"][0]) for day in days
    ]
    assert aside["reason"].to_list() == [
        f"the same unit and cycle was recorded on {other} as well" for other in reversed(days)
    ]
    assert tables.read(VALIDATED_TELEMETRY).filter(pl.struct("unit", "cycle").is_duplicated()).is_empty()
    assert days_refused(instance, VALIDATED, "every_day_keeps_its_contract") == {}
    assert plan_repair(instance, graph, deployment_at(home)) == []
    file.unlink()
    mend()
    assert content(tables) == before


def test_a_home_that_got_both_rows_at_once_has_the_same_tables(home, zone, tables, mend, definitions, tmp_path):
    import shutil

    days, other = zone.days(EAST.name), tmp_path / "other"
    rows = zone.read_day(EAST.name, days[14]).rows.sort("unit", "cycle").head(2)
    land_twin(zone, rows, days_later=-3)
    mend()
    shutil.copytree(home, other, ignore=shutil.ignore_patterns(*CLASSES))
    names = ("raw_telemetry", "validated_telemetry", "window_features", "live_sequences", "training_sequences")
    with dg.DagsterInstance.ephemeral() as fresh:
        keys = [regional_key(EAST, name) for name in names]
        assert executor_for(other, definitions)(fresh, keys, (days[0], days[-1])).success
    assert content(tables_of(other, EAST.name, "turbofan")) == content(tables)


def test_an_engine_that_counts_its_cycles_anew_stops_no_other(instance, home, zone, tables, mend):
    days = zone.days(EAST.name)
    unit = zone.read_day(EAST.name, days[2]).rows["unit"][0]
    for day in days[2:5]:
        rows = zone.read_day(EAST.name, day).rows.filter(pl.col("unit") == unit)
        if rows.height:
            land_twin(zone, rows, days_later=15)
    engines = tables.read(LIVE_SEQUENCES)["unit"].n_unique()
    mend()
    assert tables.read(LIVE_SEQUENCES)["unit"].n_unique() >= engines - 1
    assert tables.read(QUARANTINE)["unit"].unique().to_list() == [unit]


def test_a_row_that_is_dropped_once_more_on_another_day_leaves_the_right_one_alone(zone, tables, mend):
    """Its clock is not on that day: it is set aside for that alone."""
    days, before = zone.days(EAST.name), tables.read(VALIDATED_TELEMETRY)
    rows = zone.read_day(EAST.name, days[12]).rows.head(1).select(column.name for column in DROP.columns)
    zone.land(EAST.name, days[13], name="misplaced", rows=rows)
    mend()
    assert tables.read(QUARANTINE)["reason"].to_list() == ["recorded_at is not on the day of the drop"]
    assert content_hash(tables.read(VALIDATED_TELEMETRY), VALIDATED_TELEMETRY) == content_hash(
        before, VALIDATED_TELEMETRY
    )


def test_two_rows_that_a_table_holds_for_a_moment_stop_nothing_that_reads_it(instance, home, zone, tables, definitions):
    """As between two runs that judged one day each before the other's rows were there."""
    days = zone.days(EAST.name)
    last = tables.read(VALIDATED_TELEMETRY, days=(days[-1], days[-1]))
    live = last.filter(pl.col("role") == "live").sort("unit", "cycle").head(1)
    history = tables.read(VALIDATED_TELEMETRY, days=(days[8], days[8])).filter(pl.col("role") == "history").head(1)
    for row, day in ((live, days[-2]), (history, days[9])):
        kept = tables.read(VALIDATED_TELEMETRY, days=(day, day))
        twin = row.with_columns(event_date=pl.lit(day), row_hash=pl.lit("another"))
        tables.replace_days(VALIDATED_TELEMETRY, pl.concat([kept, twin]), days=[day])
    names = ("window_features", "live_sequences", "training_sequences", "evaluation_sequences", "calibration_sequences")
    keys = [regional_key(EAST, name) for name in names]
    assert executor_for(home, definitions)(instance, keys, (days[0], days[-1])).success
    assert tables.read(WINDOW_FEATURES).filter(pl.struct("unit", "cycle").is_duplicated()).is_empty()
    staleness, key = (
        Staleness(instance, definitions.resolve_asset_graph(), deployment_at(home)),
        regional_key(EAST, "window_features"),
    )
    made = staleness.made(key)
    assert {day for day, inputs in staleness.inputs_by_day(key).items() if made[day][INPUTS_TAG] != inputs} == set()
