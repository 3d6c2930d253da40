"""What past runs took, from Dagster's event log."""

import time

import dagster as dg
import pytest

from resources.materializations.past_runs import Placed, read_run
from sinet_pipelines.backfills.history import EVENT_BYTES, RUN, SECONDS, USD

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

        def run(*assets):
            dg.materialize(list(assets), instance=instance, tags=RANGE, raise_on_error=False)
            (record,) = instance.get_run_records(limit=1)
            return record, read_run(instance, record, STEPS, {"EAST/rows": Placed("EAST", "cpu", 2.0)})

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
