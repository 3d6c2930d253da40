"""Replicas of a made home: what was lost is planned again for its region alone, and the check in the region says so."""

import sqlite3
from contextlib import closing

from assets.turbofan.keys import regional_key
from resources.keys import CURRENT_CHECK
from sinet_pipelines.cli.online import online_line, read_online
from sinet_pipelines.features.replicas import FOLDER, read_records
from tests.conftest import executor_for, resources_of
from tests.deployed import deployment_at, everywhere
from tests.inventory import EAST, NAMES


def test_a_replica_that_lost_rows_is_noticed_by_plan_status_and_check_and_made_again_by_the_next_run(
    home, instance, graph, definitions
):
    from schedules.backfills import plan_repair

    deployment = deployment_at(home)
    assert {one["region"] for one in read_online(deployment) if one["passed"]} == {*NAMES}
    with closing(sqlite3.connect(home / FOLDER / "EAST/online.db")) as store, store:
        store.execute("DELETE FROM sinet_window_features")
    (run,) = plan_repair(instance, graph, deployment)
    assert run.keys == {regional_key(EAST, "online_features")}
    (lost,) = (one for one in read_online(deployment) if not one["passed"])
    assert "the online store has 0 engines" in online_line(lost)
    assert executor_for(home, definitions)(instance, run.keys, run.days).success
    assert plan_repair(instance, graph, deployment) == []
    checks = {key for key in graph.asset_check_keys if key.name == CURRENT_CHECK}
    job = definitions.resolve_implicit_global_asset_job_def().get_subset(asset_check_selection=checks)
    found = job.execute_in_process(instance=instance, resources=resources_of(home)).get_asset_check_evaluations()
    assert {one.asset_key: one.passed for one in found} == dict.fromkeys(everywhere("online_features"), True)
    event = instance.get_latest_materialization_event(regional_key(EAST, "online_features")).asset_materialization
    assert event.metadata["engines"].value == found[0].metadata["engines"].value
    assert event.metadata["event_lag_s_before"].value == 0
    versions = {one.mark.definition for one in read_records(home / FOLDER)}
    assert versions == {event.metadata["feature_version"].value}  # also of a run of one asset alone
    assert "`WEST/feature/turbofan/window_features`" in event.metadata["written_from"].value
