"""Damaged databases of Dagster are named, set aside, and made again by Dagster."""

import shutil

import dagster as dg
import pytest

from sinet_pipelines.cli.state_health import mend_state, require_state, state_faults
from sinet_pipelines.errors import StorageError

DAMAGES = {
    "emptied of its head": lambda path: path.write_bytes(b"\x00" * 100 + path.read_bytes()[100:]),
    "garbled": lambda path: path.write_bytes(b"garbled \xff" * 1000),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
}


@pytest.fixture
def home(tmp_path):
    """A home whose event log knows one materialisation."""
    folder = tmp_path / "ho me#1"
    (folder / "dagster").mkdir(parents=True)
    with dg.DagsterInstance.local_temp(str(folder / "dagster")) as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization("thing"))
        job = dg.JobDefinition(name="any", graph_def=dg.GraphDefinition("any"))
        run = instance.create_run_for_job(job)
        instance.report_run_failed(run, "it is over")
    for beside in (*folder.rglob("*-wal"), *folder.rglob("*-shm")):
        beside.unlink()
    return folder


def databases(home):
    return sorted((home / "dagster").rglob("*.db"))


def test_whole_databases_have_no_fault_open_or_closed(home):
    assert len(databases(home)) >= 4
    assert list(state_faults(home, thorough=True)) == []
    with dg.DagsterInstance.local_temp(str(home / "dagster")) as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization("thing"))
        assert list(state_faults(home, thorough=True)) == []
    require_state(home)


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_database_is_named_set_aside_and_the_instance_opens_again(home, damage):
    for path in databases(home):
        damage(path)
        assert path in [fault.path for fault in state_faults(home, thorough=True)]
    with pytest.raises(StorageError, match="sinet run"):
        require_state(home)
    reported = mend_state(home)
    assert len(reported) == len(list(home.rglob(".set_aside/*.db-damaged-*")))
    with dg.DagsterInstance.local_temp(str(home / "dagster")) as instance:
        assert instance.get_latest_materialization_event(dg.AssetKey("thing")) is None
        instance.report_runless_asset_event(dg.AssetMaterialization("thing"))
        assert instance.get_latest_materialization_event(dg.AssetKey("thing")) is not None


def test_missing_databases_are_no_fault(home):
    shutil.rmtree(home / "dagster" / "history")
    assert list(state_faults(home, thorough=True)) == []
