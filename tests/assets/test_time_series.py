"""Tables in a time-series store: which assets there are, what may go where, and days that arrive there once."""

import datetime as dt
import shutil

import dagster as dg
import polars as pl
import pyarrow as pa
import pytest

from assets.framework.time_series import BEING_SENT, _rows, being_sent, time_series_of
from assets.turbofan.keys import regional_key
from resources.deployment import RESOURCE
from resources.materializations.versions import INPUTS_TAG, days_made
from resources.placement import REGION_TAG
from resources.regions import region_resources
from resources.residency import TABLE
from sinet_pipelines.applications.turbofan.application import TURBOFAN
from sinet_pipelines.applications.turbofan.landed import TELEMETRY
from sinet_pipelines.applications.turbofan.schemas.features import FLEET_PREDICTIONS
from sinet_pipelines.applications.turbofan.schemas.telemetry import DROP, VALIDATED_TELEMETRY
from sinet_pipelines.errors import InventoryError, ResidencyError, StorageError
from sinet_pipelines.inventory.regions import read_inventory
from sinet_pipelines.schemas.contract import Column, Contract, DataClass
from sinet_pipelines.storage.tables import TableStore, tables_of
from sinet_pipelines.time_series import connection, stores
from tests.conftest import resources_of
from tests.deployed import deployment_at
from tests.inventory import EAST
from tests.loopback import free_port
from tests.time_series import VictoriaMetrics
from tests.zones import landing_zone

SENT = regional_key(EAST, "validated_telemetry_in_time_series")
DAYS = dg.DailyPartitionsDefinition("2026-01-01")


def inventory(folder, entry):
    path = folder / "inventory.yaml"
    path.write_text(f"regions:\n  - name: EAST\n    time_series: {{{entry}}}\n")
    return read_inventory(path)


def table(name, *, days=None, region="EAST"):
    key = TURBOFAN.key(name, region=region)
    return "validation", dg.AssetSpec(key, tags={REGION_TAG: region}, metadata={TABLE: name}, partitions_def=days)


OTHERS = [table("validated_telemetry", days=DAYS), table("fleet_predictions"), table("setting_cells")]


def assets_of(tmp_path, tables, *, more=""):
    rows = inventory(tmp_path, f"url: 'http://127.0.0.1:8428', tables: [{tables}]{more}")
    return list(time_series_of(TURBOFAN, deployment_at(tmp_path, inventory=rows), OTHERS))


def test_without_a_store_in_a_row_there_is_no_such_asset(definitions):
    keys = definitions.resolve_asset_graph().get_all_asset_keys()
    assert [key for key in keys if key.path[-1].endswith("_in_time_series")] == []


def test_each_named_table_is_an_asset_of_its_stage_that_follows_the_table(tmp_path):
    found = assets_of(tmp_path, "turbofan/validated_telemetry, turbofan/fleet_predictions, milling/process_features")
    daily, whole = (asset for _, asset in found)
    assert [stage for stage, _ in found] == ["validation", "validation"]
    assert daily.key == SENT
    assert [dep.asset_key for dep in daily.specs_by_key[SENT].deps] == [regional_key(EAST, "validated_telemetry")]
    assert daily.partitions_def is not None
    assert whole.partitions_def is None


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ("turbofan/readings", "names turbofan/readings, which no asset makes there"),
        ("lathe/readings", "names lathe/readings, of no application"),
        ("turbofan/setting_cells", "turbofan/setting_cells has no column recorded_at"),
    ],
)
def test_a_table_that_cannot_be_sent_is_refused_when_definitions_load(tmp_path, tables, message):
    with pytest.raises(InventoryError, match=message):
        assets_of(tmp_path, tables)


def test_readings_go_to_a_store_of_their_own_region_alone(tmp_path):
    with pytest.raises(ResidencyError, match="validated_telemetry from EAST to WEST, columns of class raw"):
        assets_of(tmp_path, "turbofan/validated_telemetry", more=", in_region: WEST")
    assert len(assets_of(tmp_path, "turbofan/fleet_predictions", more=", in_region: WEST")) == 1


def test_a_nullable_column_that_is_newer_than_the_table_is_null(tmp_path):
    def contract(*more):
        return Contract("readings", "", DataClass.RAW, (*plain, *more), key=("cycle",))

    plain = (Column("cycle", pa.int32(), ""), Column("event_date", pa.date32(), ""))
    day, store = dt.date(2026, 3, 1), TableStore(str(tmp_path), "mill")
    store.replace_days(contract(), pl.DataFrame({"cycle": [1, 2], "event_date": [day, day]}), days=[day])
    newer = contract(Column("t30_degr", pa.float64(), "", nullable=True))
    (rows,) = _rows(store, newer, day, ("event_date", "t30_degr", "cycle"))
    assert rows.columns == ["event_date", "t30_degr", "cycle"]
    assert rows["t30_degr"].to_list() == [None, None]


def test_a_day_that_is_sent_again_from_equal_inputs_is_stale_until_it_is_made():
    days = [dt.date(2026, 3, n) for n in (1, 2, 3)]
    before = {days[0]: {INPUTS_TAG: "a"}, days[1]: {INPUTS_TAG: "an older one"}}
    (event,) = being_sent(SENT, dict.fromkeys(days, "a"), before=before)
    assert (event.asset_key, event.partition) == (SENT, "2026-03-01")
    assert event.tags[INPUTS_TAG] == BEING_SENT != "a"


@pytest.fixture(scope="module")
def metrics(tmp_path_factory):
    found = VictoriaMetrics(tmp_path_factory.mktemp("metrics"))
    yield found
    found.stop()


@pytest.fixture
def run_at(landed, tmp_path):
    """Materialises the readings of three days in EAST and sends them to a port: `run(port, *names)`; home and log."""
    from assets.definitions import build_defs

    home = tmp_path / "my plant #2"
    shutil.copytree(landed, home, dirs_exist_ok=True)
    days = landing_zone(home, TELEMETRY).days(EAST.name)[3:6]
    with dg.DagsterInstance.ephemeral() as instance:

        def run(port, *names):
            tables = "turbofan/validated_telemetry, turbofan/fleet_predictions"
            rows = inventory(tmp_path, f"url: 'http://127.0.0.1:{port}', tables: [{tables}]")
            deployment = deployment_at(home, inventory=rows)
            assets = build_defs(deployment, [TURBOFAN]).assets
            tags = {
                "dagster/asset_partition_range_start": str(days[0]),
                "dagster/asset_partition_range_end": str(days[-1]),
            }
            return dg.materialize(
                assets,
                selection=[regional_key(EAST, name) for name in names],
                resources={**resources_of(home), RESOURCE: deployment, **region_resources(deployment)},
                instance=instance,
                tags=tags,
                raise_on_error=False,
            )

        yield run, home, instance, days


NAMES = ("raw_telemetry", "validated_telemetry", "validated_telemetry_in_time_series")


def counted(metrics, day):
    return len(metrics.rows(f'{{__name__="turbofan_validated_telemetry_cycle",event_date="{day}"}}'))


@pytest.mark.slow
def test_days_reach_the_store_once_whatever_was_there_before(metrics, run_at, monkeypatch):
    monkeypatch.setattr(connection, "PAUSE_S", 0.01)
    run, home, instance, days = run_at
    assert not run(free_port(), *NAMES).success  # nobody is there; the tables are made all the same
    rows = tables_of(home, "EAST", "turbofan").read(VALIDATED_TELEMETRY)
    assert set(rows["event_date"]) == set(days)
    assert days_made(instance, SENT) == {}

    assert run(metrics.port, NAMES[-1]).success
    expected = dict(rows.group_by("event_date").len().iter_rows())
    assert {day: counted(metrics, day) for day in days} == expected
    assert set(days_made(instance, SENT)) == set(days)

    def fail(store, lines):
        raise StorageError("killed between the removal and the first lines")

    with monkeypatch.context() as broken:
        broken.setattr(stores.VictoriaMetrics, "write", fail)
        assert not run(metrics.port, NAMES[-1]).success
    assert {tags[INPUTS_TAG] for tags in days_made(instance, SENT).values()} == {BEING_SENT}

    late = rows.filter(pl.col("event_date") == days[1]).head(1).with_columns(unit=pl.lit("late, engine"))
    zone = landing_zone(home, TELEMETRY)
    zone.land(EAST.name, days[1], name="late", rows=late.select(column.name for column in DROP.columns))
    assert run(metrics.port, *NAMES).success
    assert {day: counted(metrics, day) for day in days} == {**expected, days[1]: expected[days[1]] + 1}
    labels = [dict(labels) for labels, _, _ in metrics.rows('{unit="late, engine",__name__=~".*_cycle"}')]
    assert [(one["region"], one["table"]) for one in labels] == [("EAST", "validated_telemetry")]
    (event,) = [
        record.asset_materialization
        for record in instance.fetch_materializations(
            dg.AssetRecordsFilter(SENT, asset_partitions=[str(days[1])]), limit=1
        ).records
    ]
    assert event.metadata["rows_sent"].value == expected[days[1]] + 1


@pytest.mark.slow
def test_a_table_without_days_is_sent_as_a_whole_and_its_earlier_rows_stay(metrics, run_at):
    run, home, instance, days = run_at
    noon = dt.datetime.combine(days[0], dt.time(12), dt.UTC)
    predicted = {"region": "EAST", "cycle": 30, "rul_cycles": 41.5, "lower_cycles": None, "upper_cycles": 60.0}
    named = {"unit": "L 1", "model": "turbofan_remaining_useful_life", "version": "4"}
    for hours in (0, 6):
        rows = pl.DataFrame([{**named, **predicted, "recorded_at": noon + dt.timedelta(hours=hours)}])
        tables_of(home, "EAST", "turbofan").replace(FLEET_PREDICTIONS, rows.cast({"lower_cycles": pl.Float64}))
        assert run(metrics.port, "fleet_predictions_in_time_series").success
    found = metrics.rows('{__name__="turbofan_fleet_predictions_rul_cycles"}')
    assert [(dict(labels)["unit"], value) for labels, _, value in found] == [("L 1", 41.5)] * 2
    assert len({at for _, at, _ in found}) == 2
    assert metrics.rows('{__name__="turbofan_fleet_predictions_lower_cycles"}') == []
