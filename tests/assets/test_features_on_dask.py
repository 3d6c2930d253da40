"""A region with Dask workers makes its features on them, equal to those of the step's process."""

from dataclasses import replace
from datetime import timedelta

import dagster as dg
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import assets.framework.days
import assets.turbofan.features
import resources.regions
from assets.turbofan.keys import global_key, regional_key
from resources.dask import dask_entry
from resources.regions import RegionResource
from sinet_pipelines.applications.turbofan.features import of_engines
from sinet_pipelines.applications.turbofan.features.of_engines import features_of_days
from sinet_pipelines.applications.turbofan.features.regimes import REGIMES, OperatingRegimes
from sinet_pipelines.applications.turbofan.landed import TELEMETRY
from sinet_pipelines.applications.turbofan.schemas.features import WINDOW_FEATURES
from sinet_pipelines.applications.turbofan.schemas.telemetry import EARLY_TELEMETRY, VALIDATED_TELEMETRY
from sinet_pipelines.inventory.dask import DaskCluster, DaskKind
from tests.deployed import deployment_at
from tests.inventory import EAST
from tests.zones import landing_zone

CLUSTER = DaskCluster(DaskKind.LOCAL, max_workers=1, worker_memory_mib=1024)
FEATURES = regional_key(EAST, "window_features")
MADE = [regional_key(EAST, name) for name in ("raw_telemetry", "validated_telemetry", "regime_cells")]


@pytest.fixture
def with_dask(monkeypatch):
    """EAST has Dask workers; a day of any number of rows is worth them."""
    entries = {EAST.name: dask_entry(replace(EAST, dask=CLUSTER))}
    monkeypatch.setattr(resources.regions, "dask_entry", lambda region: entries.get(region.name, ""))
    monkeypatch.setattr(of_engines, "FEW_ROWS", 0)


@pytest.mark.slow
def test_days_are_made_on_dask_workers_as_in_the_process_of_the_step(with_dask, home, carry_out, monkeypatch):
    days = landing_zone(home, TELEMETRY).days(EAST.name)[:2]
    monkeypatch.setattr(assets.framework.days, "ROWS_AT_ONCE", 1)
    monkeypatch.setattr(assets.turbofan.features, "is_large", lambda *args: args[2] == days[:1])
    with dg.DagsterInstance.ephemeral() as instance:
        assert carry_out(instance, [*MADE, global_key("operating_regimes"), FEATURES], (days[0], days[-1])).success
        events = [one.asset_materialization for one in instance.fetch_materializations(FEATURES, limit=9).records]
    assert {one.metadata["computed_by"].value for one in events} == {"Dask (local)"}
    assert {one.metadata["workers"].value for one in events} == {1}
    assert all(one.metadata["worker_peak_memory_mib"].value > 50 for one in events)
    east: RegionResource = resources.regions.region_resources(deployment_at(home))["east"].of("turbofan")
    regimes = OperatingRegimes.from_json(east.blobs.get_ref(REGIMES).decode())
    early = east.tables.read(EARLY_TELEMETRY)
    for day in days:
        history = east.tables.read(VALIDATED_TELEMETRY, days=(day - timedelta(days=1), day))
        expected = features_of_days(history, early, days=[day], regimes=regimes)
        found = east.tables.read(WINDOW_FEATURES, days=(day, day))
        assert_frame_equal(found.sort("unit", "cycle"), expected.select(found.columns), check_exact=True)
        assert found.select(pl.len()).item() > 0
