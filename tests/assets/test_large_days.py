"""A day of more rows than are made at once gets the rows, versions and records of any other day."""

import dagster as dg
import pytest

import assets.framework.days
import sinet_pipelines.applications.turbofan.features.large_days as large_features
from assets.turbofan.keys import global_key, regional_key
from resources.materializations.versions import days_made
from sinet_pipelines.applications.turbofan.landed import TELEMETRY
from tests.inventory import EAST
from tests.zones import landing_zone

RAW, VALIDATED, FEATURES = (
    regional_key(EAST, name) for name in ("raw_telemetry", "validated_telemetry", "window_features")
)
REGIMES = [regional_key(EAST, "regime_cells"), global_key("operating_regimes")]
COMPARED = ("dagster/data_version", "sinet/inputs")
ENTRIES = ("dagster/row_count", "rows_sent", "copies_dropped", "quarantined_rows", "engines", "partial_windows")


def said_of(instance, key):
    """Versions, inputs and numbers of each day as last recorded."""
    found = {}
    for record in reversed(instance.fetch_materializations(key, limit=100).records):
        event = record.asset_materialization
        numbers = {name: event.metadata[name].value for name in ENTRIES if name in event.metadata}
        found[event.partition] = ({name: event.tags[name] for name in COMPARED}, numbers)
    return found


@pytest.mark.parametrize(
    "rows_at_once", [pytest.param(1, marks=pytest.mark.slow), 150, pytest.param(100_000, marks=pytest.mark.slow)]
)
def test_a_large_day_is_made_as_any_other(home, carry_out, monkeypatch, rows_at_once):
    days = landing_zone(home, TELEMETRY).days(EAST.name)[:3]
    with dg.DagsterInstance.ephemeral() as instance:
        assert carry_out(instance, [RAW, VALIDATED, *REGIMES, FEATURES], (days[0], days[-1])).success
        before = {key: said_of(instance, key) for key in (RAW, VALIDATED, FEATURES)}
        assert set(days_made(instance, FEATURES)) == set(days)
        monkeypatch.setattr(assets.framework.days, "LARGE_DAY_ROWS", 1)
        monkeypatch.setattr(assets.framework.days, "ROWS_AT_ONCE", 1)
        monkeypatch.setattr(large_features, "ROWS_AT_ONCE", rows_at_once)
        assert carry_out(instance, [RAW, VALIDATED, FEATURES], (days[0], days[-1])).success
        assert {key: said_of(instance, key) for key in (RAW, VALIDATED, FEATURES)} == before
