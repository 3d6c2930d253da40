"""Storage that lost or damaged what the event log records: a repair plans it, a run makes it again, as it was."""

import shutil
from datetime import date

import pytest

from assets.turbofan.keys import global_key, regional_key
from resources.materializations.kept import Kept
from resources.materializations.state import states
from resources.materializations.versions import version_of
from schedules.backfills import plan_repair
from sinet_pipelines.applications.turbofan.schemas.features import WINDOW_FEATURES
from sinet_pipelines.applications.turbofan.schemas.telemetry import (
    EARLY_TELEMETRY,
    QUARANTINE,
    RAW_TELEMETRY,
    VALIDATED_TELEMETRY,
)
from sinet_pipelines.storage.health import look_at_table
from sinet_pipelines.storage.layout import blobs_root, landing_root, tables_folders
from sinet_pipelines.storage.tables import content_hash, tables_of
from tests.conftest import executor_for
from tests.deployed import deployment_at, everywhere
from tests.inventory import EAST, WEST
from tests.walk.homes import folder_of

OWNERS = {  # of a table of another name
    "early_telemetry": "validated_telemetry",
    "setting_cells": "regime_cells",
}
TABLES = (
    *("raw_telemetry", "validated_telemetry", "early_telemetry", "window_features", "input_drift"),
    *("failure_events", "truth_events", "setting_cells", "training_sequences", "live_sequences"),
)
TABLES_OF_ASSETS = (
    *("raw_telemetry", "validated_telemetry", "window_features", "input_drift"),
    *("failure_events", "truth_events", "setting_cells", "live_sequences"),
)


def newest_entry(table):
    return max((table / "_delta_log").glob("*.json"))


def a_file(table):
    return sorted(table.rglob("*.parquet"))[-1]


DAMAGES = {
    "the table's folder is deleted": shutil.rmtree,
    "the log is deleted": lambda table: shutil.rmtree(table / "_delta_log"),
    "the newest log entry is deleted": lambda table: newest_entry(table).unlink(),
    "the newest log entry is emptied": lambda table: newest_entry(table).write_bytes(b""),
    "the newest log entry is garbled": lambda table: newest_entry(table).write_bytes(b"\x00garbled\xff" * 20),
    "the newest log entry is truncated": lambda table: newest_entry(table).write_bytes(
        newest_entry(table).read_bytes()[:200]
    ),
    "every data file is deleted": lambda table: [path.unlink() for path in table.rglob("*.parquet")],
    "a data file is truncated": lambda table: a_file(table).write_bytes(a_file(table).read_bytes()[:50]),
}


def planned_keys(instance, graph, home):
    return frozenset().union(*(run.keys for run in plan_repair(instance, graph, deployment_at(home))))


def mend(instance, graph, home, definitions):
    """Executes what is planned until nothing of the stages that the made home has is."""
    execute = executor_for(home, definitions)
    for _ in range(6):
        runs = plan_repair(instance, graph, deployment_at(home))
        if not runs:
            return
        rows = [run for run in runs if any(key.path[-1] == "validated_telemetry" for key in run.keys)]
        for run in rows or runs:
            assert execute(instance, run.keys, run.days).success
    assert plan_repair(instance, graph, deployment_at(home)) == []


def mend_days(instance, graph, home, definitions):
    """Executes what is planned of assets with days until nothing of them is; what learns from them is left as it is."""
    execute = executor_for(home, definitions)
    for _ in range(6):
        runs = [
            (frozenset(filter(has_days(graph), run.keys)), run.days)
            for run in plan_repair(instance, graph, deployment_at(home))
        ]
        planned = [(keys, days) for keys, days in runs if keys]
        if not planned:
            return
        assert execute(instance, *planned[0]).success
    pytest.fail("days are planned again and again")


def has_days(graph):
    return lambda key: graph.get(key).is_partitioned


def test_assets_of_tables_that_are_gone_are_planned_and_shown_as_missing(instance, graph, home):
    for table in TABLES:
        shutil.rmtree(folder_of(home, "EAST", table))
    keys = {regional_key(EAST, OWNERS.get(table, table)) for table in TABLES}
    assert keys <= planned_keys(instance, graph, home)
    shown = {one.key: one.state for one in states(instance, graph, deployment_at(home))}
    made = {key.to_user_string() for key in keys if Kept(instance, graph, deployment_at(home)).faults(key)}
    assert len(made) >= len(keys) - 1  # one region may have no truth yet
    assert {name: shown[name] for name in made} == dict.fromkeys(made, "missing")


def test_a_table_that_is_written_beside_another_counts_for_the_days_that_have_rows_in_it(instance, graph, home, zone):
    key = regional_key(EAST, "validated_telemetry")
    early = tables_of(home, "EAST", "turbofan").read(EARLY_TELEMETRY, columns=["event_date"])
    days = set(early["event_date"])
    shutil.rmtree(folder_of(home, "EAST", "early_telemetry"))
    assert days
    assert set(Kept(instance, graph, deployment_at(home)).days(key)) == set(zone.days(EAST.name)) - days


def test_damaged_tables_are_planned_and_their_faults_name_a_path_in_them(instance, graph, home):
    damaged = dict(zip(TABLES_OF_ASSETS, DAMAGES.items(), strict=True))
    for table, (_, damage) in damaged.items():
        damage(folder_of(home, "WEST", table))
    planned, kept = planned_keys(instance, graph, home), Kept(instance, graph, deployment_at(home))
    for table, (kind, _) in damaged.items():
        key = regional_key(WEST, OWNERS.get(table, table))
        assert key in planned, f"{table}: {kind}"
        assert kept.faults(key), f"{table}: {kind}"
        for fault in kept.faults(key):
            assert str(folder_of(home, "WEST", table)) in fault.message


def test_days_that_storage_still_holds_are_not_made_again(instance, graph, home, zone):
    day = zone.days(EAST.name)[4]
    table = folder_of(home, "EAST", "raw_telemetry")
    for path in (table / f"event_date={day}").glob("*.parquet"):
        path.unlink()
    rows, *_ = plan_repair(instance, graph, deployment_at(home))
    assert rows.days == (day, day)
    assert regional_key(WEST, "raw_telemetry") not in rows.keys


def test_a_lost_day_of_raw_rows_is_planned_and_no_planner_stumbles_over_it(instance, graph, home):
    a_file(folder_of(home, "EAST", "raw_telemetry")).unlink()
    assert regional_key(EAST, "raw_telemetry") in planned_keys(instance, graph, home)


def test_a_lost_blob_or_ref_is_planned(instance, graph, home):
    key = global_key("operating_regimes")
    ref = blobs_root(home, "EAST") / "refs" / "turbofan" / "operating_regimes"
    name = ref.read_text()
    blob = blobs_root(home, "EAST") / name[:2] / name
    content = blob.read_bytes()
    for damage in (ref.unlink, lambda: ref.write_text("garbled"), blob.unlink, lambda: blob.write_bytes(b"")):
        damage()
        assert Kept(instance, graph, deployment_at(home)).event(key) is None
        ref.write_text(name)
        blob.write_bytes(content)
    assert Kept(instance, graph, deployment_at(home)).event(key) is not None
    blob.unlink()
    assert key in planned_keys(instance, graph, home)


@pytest.mark.slow
@pytest.mark.parametrize(
    "damage",
    [
        lambda home: [shutil.rmtree(folder) for folder in tables_folders(home)],
        lambda home: newest_entry(folder_of(home, "EAST", "validated_telemetry")).write_bytes(b""),
    ],
    ids=["all tables", "a log entry of one"],
)
def test_what_is_lost_is_made_again_with_the_same_rows(instance, graph, home, definitions, damage):
    contracts = (RAW_TELEMETRY, VALIDATED_TELEMETRY, EARLY_TELEMETRY, QUARANTINE, WINDOW_FEATURES)
    store = tables_of(home, "EAST", "turbofan")

    def contents():
        return {contract.name: content_hash(store.read(contract), contract) for contract in contracts}

    before, keys = contents(), everywhere("window_features")
    versions = [version_of(instance, key) for key in keys]
    damage(home)
    mend(instance, graph, home, definitions)
    assert contents() == before
    assert [version_of(instance, key) for key in keys] == versions
    assert all(look_at_table(folder_of(home, "EAST", contract.name)).is_readable for contract in contracts)


@pytest.mark.slow
def test_a_refused_day_is_not_judged_again_for_a_table_that_was_lost(instance, graph, home, definitions, zone):
    """Its drops are as they were judged; the day stays refused, and the plan ends."""
    day = zone.days(EAST.name)[3]
    assert isinstance(day, date)
    drop = next((landing_root(home, "EAST", "turbofan") / str(day)).glob("*.parquet"))
    import polars as pl

    pl.read_parquet(drop).with_columns(t2_degr=pl.lit(271.0)).write_parquet(drop)
    execute = executor_for(home, definitions)
    rows = plan_repair(instance, graph, deployment_at(home))[0]
    execute(instance, rows.keys, rows.days)
    shutil.rmtree(folder_of(home, "EAST", "validated_telemetry"))
    mend_days(instance, graph, home, definitions)
    assert day not in Kept(instance, graph, deployment_at(home)).days(regional_key(EAST, "validated_telemetry"))
