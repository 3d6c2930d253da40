"""The event log for retention: which runs have newest events, what they wrote, and how one goes with its events."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest

from resources.retained_runs import event_log_of, remove_run
from resources.writes import WRITES_ENTRY
from sinet_pipelines.cli.event_store import OpenSqliteStorage
from sinet_pipelines.retention.models import ModelNeed
from sinet_pipelines.retention.runs import needs_of, things_of

DAYS = dg.DailyPartitionsDefinition("2026-01-01")
BLOB = "EAST/" + "a" * 64


@dg.asset
def graph() -> dg.MaterializeResult:
    return dg.MaterializeResult(
        metadata={
            WRITES_ENTRY: dg.MetadataValue.json({"sizes": {BLOB: 3}, "refs": {}, "versions": {"rul/3": "b" * 64}})
        }
    )


@dg.asset(partitions_def=DAYS)
def rows() -> None: ...


@pytest.fixture
def instance(tmp_path):
    with dg.instance_for_test(temp_dir=str(tmp_path)) as found:
        yield found


def make(instance, *assets, day=None):
    result = dg.materialize(assets, instance=instance, partition_key=day)
    assert result.success
    return result.run_id


def test_the_runs_with_the_newest_event_of_each_asset_and_day_are_named(instance):
    former, newest = make(instance, graph), make(instance, graph)
    first, second = make(instance, rows, day="2026-01-01"), make(instance, rows, day="2026-01-02")
    log = event_log_of(instance)
    assert log.newest == {newest, first, second}
    assert [one.run_id for one in log.ended] == [second, first, newest, former]
    assert log.in_progress == ()


def test_blobs_and_versions_that_materialisations_record_are_found(instance):
    run_id = make(instance, graph)
    log = event_log_of(instance)
    assert log.blobs == {BLOB}
    assert [one.versions for one in log.ended] == [("rul/3",)]
    needs = needs_of(log, [ModelNeed("model rul@3", "", (), (), "rul/3")], {run_id: ["backfill 2"]}, newest_runs=1)
    assert needs[run_id] == ("model rul@3", "backfill 2", "newest state", "among the newest 1 runs")


@pytest.mark.slow
def test_a_removed_run_takes_its_events_and_its_file_and_leaves_the_newest_state(instance):
    former, newest = make(instance, graph), make(instance, graph)
    file = Path(instance.event_log_storage.path_for_shard(former))
    assert file.exists()
    remove_run(instance, former)
    assert not file.exists()
    assert [one.name for one in things_of(event_log_of(instance))] == [newest]
    assert instance.get_latest_materialization_event(dg.AssetKey("graph")).run_id == newest
    assert instance.get_run_by_id(former) is None


def test_a_removed_run_leaves_no_file_although_its_database_was_open(tmp_path):
    storage = OpenSqliteStorage.from_local(str(tmp_path))
    events, run_id = storage.event_log_storage, "11111111-1111-1111-1111-111111111111"
    entry = dg.EventLogEntry(None, 10, "x" * 100_000, run_id, 1.0)
    events.store_event(entry)
    assert len(list(tmp_path.rglob(f"{run_id}.db*"))) > 1  # with the files of an open database
    remove_run(SimpleNamespace(event_log_storage=events, run_storage=storage.run_storage), run_id)
    storage.dispose()
    assert list(tmp_path.rglob(f"{run_id}*")) == []


def test_blobs_of_a_region_that_begins_with_an_underscore_are_found(instance):
    @dg.asset
    def picture() -> dg.MaterializeResult:
        sizes = {f"_LAB/{'b' * 64}": 3}
        return dg.MaterializeResult(metadata={WRITES_ENTRY: dg.MetadataValue.json({"sizes": sizes})})

    make(instance, picture)
    assert event_log_of(instance).blobs == {f"_LAB/{'b' * 64}"}


@pytest.mark.slow
def test_a_run_whose_removal_was_killed_is_listed_and_removed_again(instance, tmp_path):
    former = make(instance, graph)
    make(instance, graph)
    instance.event_log_storage.delete_events(former)
    Path(instance.event_log_storage.path_for_shard(former)).unlink()
    with dg.DagsterInstance.from_ref(instance.get_ref()) as later:  # of the next process
        assert former in [one.run_id for one in event_log_of(later).ended]
        remove_run(later, former)
        assert former not in [one.run_id for one in event_log_of(later).ended]


def test_a_run_in_progress_is_listed_with_its_start_and_one_that_waits_is_not(instance):
    instance.add_run(dg.DagsterRun("job", status=dg.DagsterRunStatus.NOT_STARTED))
    run = instance.add_run(dg.DagsterRun("job", status=dg.DagsterRunStatus.STARTED))
    log = event_log_of(instance)
    assert log.in_progress == (run.run_id,)
    assert event_log_of(instance, killed=[run.run_id]).in_progress == ()
    assert abs(log.oldest_start - datetime.now(UTC)) < timedelta(minutes=5)
