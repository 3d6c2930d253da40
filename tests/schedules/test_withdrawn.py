"""What was withdrawn from the landing zone leaves every table, and is taken in again when it is put back."""

import shutil
from datetime import date

import dagster as dg
import polars as pl
import pytest

from resources.keys import CONTRACT_CHECK, regional_key
from resources.stale import Books
from resources.versions import days_refused
from schedules.backfills import plan_repair
from schedules.sensors import landing
from sinet_pipelines.monitoring.row_account import account_rows
from sinet_pipelines.regions import EAST, WEST
from sinet_pipelines.schemas.events import FAILURE_EVENTS
from sinet_pipelines.schemas.features import LIVE_SEQUENCES, TRAINING_SEQUENCES, WINDOW_FEATURES
from sinet_pipelines.schemas.monitoring import INPUT_DRIFT
from sinet_pipelines.schemas.telemetry import (
    DROP,
    EARLY_TELEMETRY,
    QUARANTINE,
    RAW_TELEMETRY,
    VALIDATED_TELEMETRY,
)
from sinet_pipelines.storage.tables import TableStore, content_hash
from tests.conftest import executor_for

DAILY = (RAW_TELEMETRY, VALIDATED_TELEMETRY, QUARANTINE, EARLY_TELEMETRY, WINDOW_FEATURES, INPUT_DRIFT)
ROWS = [regional_key(EAST, name) for name in ("raw_telemetry", "validated_telemetry")]


@pytest.fixture
def tables(home):
    return TableStore(str(home / "tables" / EAST.name))


@pytest.fixture
def evaluate(instance, definitions):
    def once():
        with dg.build_sensor_context(instance=instance, repository_def=definitions.get_repository_def()) as context:
            return [one for one in landing(context) if isinstance(one, dg.RunRequest)]

    return once


def folder(zone, day):
    return zone.root / EAST.name / str(day)


def held(tables, day):
    """Rows of a day in each table by day."""
    return {contract.name: tables.read(contract, days=(day, day)).height for contract in DAILY}


def content(tables):
    """The content of every table of the region that comes from its telemetry."""
    contracts = (*DAILY, LIVE_SEQUENCES, TRAINING_SEQUENCES)
    return {contract.name: content_hash(tables.read(contract), contract) for contract in contracts}


def empty_folder(path):
    for file in path.iterdir():
        file.unlink()


@pytest.mark.parametrize(
    "withdraw",
    [
        pytest.param(shutil.rmtree, id="folder removed"),
        pytest.param(empty_folder, id="folder left empty", marks=pytest.mark.slow),
    ],
)
def test_a_day_whose_every_drop_was_withdrawn_leaves_every_table_and_is_made_again_when_it_is_back(
    withdraw, instance, graph, home, zone, tables, mend, evaluate, tmp_path
):
    day = zone.days(EAST.name)[16]
    before, kept = content(tables), tmp_path / "kept"
    shutil.copytree(folder(zone, day), kept)
    assert held(tables, day)["window_features"] > 0
    withdraw(folder(zone, day))
    assert day in Books(instance, graph, home).stale_rows(EAST).validated
    (request,) = evaluate()
    assert request.tags["dagster/asset_partition_range_start"] == str(day)
    mend()
    assert set(held(tables, day).values()) == {0}
    assert day not in set(tables.read(TRAINING_SEQUENCES, columns=["event_date"])["event_date"])
    account = account_rows(zone, tables, region=EAST.name)
    assert account.closes
    assert account.in_tables == tables.read(VALIDATED_TELEMETRY, columns=["unit"]).height
    assert evaluate() == []
    shutil.copytree(kept, folder(zone, day), dirs_exist_ok=True)
    mend()
    assert content(tables) == before


@pytest.mark.slow
def test_a_home_without_the_day_from_the_start_has_the_same_tables(
    home, zone, tables, mend, definitions, tmp_path, monkeypatch
):
    from resources.settings import settings

    day, other = zone.days(EAST.name)[3], tmp_path / "other"
    shutil.rmtree(folder(zone, day))
    mend()
    shutil.copytree(home / "landing", other / "landing")
    shutil.copytree(home / "blobs", other / "blobs")  # the regimes are refitted by the training alone
    monkeypatch.setenv("SINET_HOME", str(other))
    settings.cache_clear()
    names = ("raw_telemetry", "validated_telemetry", "window_features", "input_drift", "live_sequences")
    keys = [*(regional_key(EAST, name) for name in names), regional_key(EAST, "training_sequences")]
    days = zone.days(EAST.name)
    with dg.DagsterInstance.ephemeral() as fresh:
        assert executor_for(other, definitions)(fresh, keys, (days[0], days[-1])).success
    assert content(TableStore(str(other / "tables" / EAST.name))) == content(tables)


def test_a_backfill_of_the_withdrawn_day_alone_empties_it(instance, home, zone, tables, definitions):
    day = zone.days(EAST.name)[3]
    shutil.rmtree(folder(zone, day))
    keys = [*ROWS, *(regional_key(EAST, name) for name in ("window_features", "input_drift"))]
    assert executor_for(home, definitions)(instance, keys, (day, day)).success
    assert set(held(tables, day).values()) == {0}


@pytest.mark.slow
def test_one_of_two_drops_of_a_day_is_withdrawn(zone, tables, mend, land_late):
    day, before = zone.days(EAST.name)[3], content(tables)
    file = land_late(EAST, day)
    mend()
    assert content(tables) != before
    file.unlink()
    mend()
    assert content(tables) == before


@pytest.mark.slow
def test_a_region_whose_every_drop_was_withdrawn_has_no_rows_left(instance, graph, home, zone, tables, mend):
    for day in zone.days(EAST.name):
        shutil.rmtree(folder(zone, day))
    mend()
    assert {contract.name for contract in DAILY if tables.read(contract).height} == set()
    assert tables.read(LIVE_SEQUENCES).is_empty()
    assert TableStore(str(home / "tables" / WEST.name)).read(VALIDATED_TELEMETRY).height > 0
    assert plan_repair(instance, graph, home) == []


def test_events_whose_every_file_was_withdrawn_leave_their_table(home, zone, tables, mend, evaluate):
    assert tables.read(FAILURE_EVENTS).height > 0
    shutil.rmtree(zone.root / EAST.name / "events" / "failures")
    assert [request.asset_selection for request in evaluate()] == [[regional_key(EAST, "failure_events")]]
    mend()
    assert tables.read(FAILURE_EVENTS).is_empty()
    assert evaluate() == []


def test_a_refused_day_that_was_withdrawn_is_refused_no_more(instance, graph, home, zone, mend, definitions):
    day = date.fromisoformat(str(zone.days(EAST.name)[3]))
    rows = zone.read_day(EAST.name, day).rows.with_columns(pl.col("t30_degr") * 10)
    zone.land(EAST.name, day, name="hot", rows=rows.select(column.name for column in DROP.columns))
    executor_for(home, definitions)(instance, ROWS, (day, day))
    assert set(days_refused(instance, ROWS[1], CONTRACT_CHECK)) == {day}
    shutil.rmtree(folder(zone, day))
    mend()
    assert days_refused(instance, ROWS[1], CONTRACT_CHECK) == {}
    assert plan_repair(instance, graph, home) == []


@pytest.mark.slow
def test_a_table_that_still_has_rows_of_a_day_that_was_recorded_as_empty_is_emptied(
    instance, graph, home, zone, tables, mend
):
    """As after a loss of the event log, or a restored table."""
    day = zone.days(EAST.name)[3]
    rows = tables.read(WINDOW_FEATURES, days=(day, day))
    shutil.rmtree(folder(zone, day))
    mend()
    tables.replace_days(WINDOW_FEATURES, rows, days=[day])
    assert day in Books(instance, graph, home).stale_features(EAST)
    mend()
    assert set(held(tables, day).values()) == {0}
