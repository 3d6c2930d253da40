"""What past runs took, from Dagster's event log."""

import time
from dataclasses import replace

import dagster as dg
import polars as pl
import pytest
from deltalake import write_deltalake

from assets.turbofan.keys import regional_key
from resources.materializations.kept import place_of
from resources.materializations.past_runs import Placed, read_run, table_bytes, written_bytes
from sinet_pipelines.backfills.history import EVENT_BYTES, RUN, SECONDS, USD
from sinet_pipelines.storage.layout import table_folder
from tests.deployed import deployment_at
from tests.inventory import EAST

DAYS = dg.DailyPartitionsDefinition("2026-03-01")
RANGE = {"dagster/asset_partition_range_start": "2026-03-01", "dagster/asset_partition_range_end": "2026-03-04"}
STEPS = {name: f"EAST/{name}" for name in ("rows", "report", "broken")}


@dg.asset(partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run())
def rows() -> None:
    time.sleep(0.2)


@dg.asset(deps=[rows])
def report() -> None:
    time.sleep(0.01)


@dg.asset(deps=[rows])
def broken():
    raise ValueError("no rows")


@pytest.fixture
def execute(tmp_path):
    """Makes assets on a SQLite event log; returns what the run took."""
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:

        def run(*assets, **options):
            dg.materialize(list(assets), instance=instance, tags=RANGE, raise_on_error=False)
            (record,) = instance.get_run_records(limit=1)
            return record, read_run(instance, record, STEPS, {"EAST/rows": Placed("EAST", "cpu", 2.0)}, **options)

        yield run


def test_each_step_has_its_days_seconds_cost_and_events_and_the_run_the_rest(execute):
    record, run = execute(rows, report)
    steps = {step.asset: step for step in run.steps}
    assert {name: step.days for name, step in steps.items()} == {"EAST/report": 0, "EAST/rows": 4, RUN: 0}
    assert steps["EAST/rows"].amounts[SECONDS] >= 0.2
    assert steps["EAST/rows"].amounts[USD] == pytest.approx(2 * steps["EAST/rows"].amounts[SECONDS])
    assert steps["EAST/report"].amounts[USD] == 0.0
    assert run.total(SECONDS) == pytest.approx(record.end_time - record.start_time)
    assert steps["EAST/rows"].amounts[EVENT_BYTES] > steps["EAST/report"].amounts[EVENT_BYTES] > 0


def test_a_failed_step_and_the_end_of_a_failed_run_count_for_nothing(execute):
    _, run = execute(rows, broken)
    assert [step.asset for step in run.steps] == ["EAST/rows"]


def test_what_a_failed_run_took_itself_counts_with_its_failed_step_and_its_whole_time(execute):
    record, run = execute(rows, broken, is_whole=True)
    assert [step.asset for step in run.steps] == ["EAST/broken", "EAST/rows", RUN]
    assert run.total(SECONDS) == pytest.approx(record.end_time - record.start_time)
    assert all(step.amounts[EVENT_BYTES] > 0 for step in run.steps)


RAW = regional_key(EAST, "raw_telemetry")


@pytest.fixture(scope="module")
def graph(definitions):
    return definitions.resolve_asset_graph()


@pytest.fixture
def write(tmp_path, graph):
    """Adds a file with a number of rows to a day of a table, whose earlier files stay."""
    folder = table_folder(tmp_path, EAST.name, "turbofan", place_of(graph.get(RAW)).table)

    def add(day, count, mode="append"):
        rows = pl.DataFrame({"event_date": [day] * count, "value": [float(one) for one in range(count)]})
        write_deltalake(folder, rows.to_arrow(), mode=mode, partition_by=["event_date"])
        return folder

    return add


def test_all_files_of_a_day_count_and_those_of_older_versions_do_not(tmp_path, graph, write):
    write("2026-03-01", 5000)
    write("2026-03-01", 10, mode="overwrite")
    write("2026-03-01", 2000)
    folder = write("2026-03-02", 100)
    sizes = {path: path.stat().st_size for path in folder.rglob("*.parquet")}
    first = sorted(size for path, size in sizes.items() if path.parent.name == "event_date=2026-03-01")
    (second,) = [size for path, size in sizes.items() if path.parent.name == "event_date=2026-03-02"]
    found = table_bytes(graph, deployment_at(tmp_path), [RAW])
    assert len(first) == 3
    assert found == {"EAST/turbofan/raw_telemetry": [sum(first[:2]), second]}
    assert written_bytes(graph, deployment_at(tmp_path), [RAW]) == sum(sizes.values())


def test_a_run_that_writes_no_table_adds_no_bytes(tmp_path, graph):
    assert written_bytes(graph, deployment_at(tmp_path), []) == 0.0


def test_the_bytes_of_a_table_that_is_not_here_are_not_known(tmp_path, graph):
    here = deployment_at(tmp_path)
    apart = replace(here, settings=replace(here.settings, observe_s=60.0))
    assert written_bytes(graph, apart, [RAW]) is None
