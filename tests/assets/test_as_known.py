"""Training and evaluation after late changes: what was corrected after the moment of prediction changes no example."""

import shutil
from datetime import UTC, datetime, time, timedelta

import dagster as dg
import polars as pl
import pytest

import sinet_pipelines
from assets.framework.corrected import CORRECTED_LATER, WITH_PRESENT_VALUES
from assets.framework.reports import ROWS_AS_KNOWN
from assets.turbofan.keys import global_key, regional_key
from sinet_pipelines.applications.turbofan.landed import TELEMETRY
from sinet_pipelines.applications.turbofan.schemas.features import (
    EVALUATION_SEQUENCES,
    EVALUATION_SET,
    FEATURE_NAMES,
    TRAINING_SET,
    WINDOW_FEATURES,
)
from sinet_pipelines.applications.turbofan.schemas.telemetry import DROP
from sinet_pipelines.storage.tables import content_hash, tables_of
from tests.conftest import executor_for
from tests.inventory import EAST
from tests.zones import landing_zone

DAILY = [regional_key(EAST, name) for name in ("raw_telemetry", "validated_telemetry", "window_features")]
SETS = [
    *(global_key(name) for name in ("training_set", "evaluation_set", "evaluation")),
    regional_key(EAST, "evaluation_sequences"),
]


def contents(home, *contracts):
    tables = tables_of(home, EAST.name, "turbofan")
    return {one.name: content_hash(tables.read(one), one) for one in contracts}


def correct(zone, day):
    """Replaces the day's drops by one in which every outlet of the compressor is a little hotter."""
    rows = zone.read_day(EAST.name, day).rows.select(column.name for column in DROP.columns)
    for drop in zone.drops(EAST.name, day):
        drop.path.unlink()
    zone.land(EAST.name, day, name="corrected", rows=rows.with_columns(pl.col("t30_degr") + 0.5))


def day_of_a_row(home, contract):
    """A day of EAST from which the set has a row."""
    rows = tables_of(home, EAST.name, "turbofan").read(contract).filter(pl.col("region") == EAST.name)
    return rows.sort("recorded_at")["recorded_at"][rows.height // 2].date()


@pytest.mark.slow
def test_a_correction_after_the_day_changes_the_features_and_no_example(walked, definitions, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(walked[0], home)
    zone = landing_zone(home, TELEMETRY)
    before = contents(home, TRAINING_SET, EVALUATION_SET, EVALUATION_SEQUENCES, WINDOW_FEATURES)
    days = sorted({day_of_a_row(home, one) for one in (TRAINING_SET, EVALUATION_SET)})
    for day in days:
        correct(zone, day)
    with dg.DagsterInstance.ephemeral() as instance:
        made = executor_for(home, definitions)(instance, DAILY, (days[0], days[-1] + timedelta(days=1)))
        sets = executor_for(home, definitions)(instance, SETS)
    assert (made.success, sets.success) == (True, True)
    after = contents(home, TRAINING_SET, EVALUATION_SET, EVALUATION_SEQUENCES, WINDOW_FEATURES)
    assert {name for name in before if after[name] != before[name]} == {WINDOW_FEATURES.name}
    for name in (TRAINING_SET.name, EVALUATION_SET.name):
        (result,) = sets.asset_materializations_for_node(f"turbofan__{name}")
        assert result.metadata[ROWS_AS_KNOWN].value > 0
    (page,) = sets.asset_materializations_for_node("turbofan__evaluation")
    assert page.metadata[CORRECTED_LATER].value > 0
    assert "RMSE in cycles, present values" in page.metadata[WITH_PRESENT_VALUES].value
    opened = sinet_pipelines.open(home)
    rows = {
        at: opened.table("turbofan", "window_features", region=EAST.name, as_known_at=at).to_polars()
        for at in (datetime.combine(days[-1] + timedelta(days=3), time()), datetime.now(UTC))
    }
    former, present = (one.filter(pl.col("event_date") == days[-1]).sort("unit", "cycle") for one in rows.values())
    assert former.drop("row_hash", *FEATURE_NAMES).equals(present.drop("row_hash", *FEATURE_NAMES))
    assert not former["t30_degr_z_last"].equals(present["t30_degr_z_last"])
