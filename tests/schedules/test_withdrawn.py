"""What was withdrawn from the landing zone leaves every table, and is taken in again when it is put back."""

import shutil
from datetime import date

import dagster as dg
import polars as pl
import pytest

from assets.turbofan.keys import regional_key
from resources.keys import CONTRACT_CHECK
from resources.materializations.staleness import Staleness
from resources.materializations.versions import days_refused
from schedules.backfills import plan_repair
from schedules.sensors import landing
from sinet_pipelines.applications.turbofan.schemas.events import FAILURE_EVENTS
from sinet_pipelines.applications.turbofan.schemas.features import LIVE_SEQUENCES, TRAINING_SEQUENCES, WINDOW_FEATURES
from sinet_pipelines.applications.turbofan.schemas.monitoring import INPUT_DRIFT
from sinet_pipelines.applications.turbofan.schemas.telemetry import (
    DROP,
    EARLY_TELEMETRY,
    QUARANTINE,
    RAW_TELEMETRY,
    VALIDATED_TELEMETRY,
)
from sinet_pipelines.monitoring.row_account import account_rows
from sinet_pipelines.storage.layout import CLASSES, data_docs
from sinet_pipelines.storage.tables import content_hash, tables_of
from tests.conftest import executor_for
from tests.deployed import deployment_at, sensor_context
from tests.inventory import EAST, WEST

pytestmark = pytest.mark.slow  # each makes days

DAILY = (RAW_TELEMETRY, VALIDATED_TELEMETRY, QUARANTINE, EARLY_TELEMETRY, WINDOW_FEATURES, INPUT_DRIFT)
ROWS = [regional_key(EAST, name) for name in ("raw_telemetry", "validated_telemetry")]


@pytest.fixture
def tables(home):
    return tables_of(home, EAST.name, "turbofan")


@pytest.fixture
def evaluate(instance, home, definitions):
    def once():
        with sensor_context(instance, home, definitions) as context:
            return [one for one in landing(context) if isinstance(one, dg.RunRequest)]

    return once


def folder(zone, day):
    return zone.folder(EAST.name) / str(day)


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
        pytest.param(empty_folder, id="folder left empty"),
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
    assert day in Staleness(instance, graph, deployment_at(home)).stale(regional_key(EAST, "validated_telemetry"))
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


def test_a_home_without_the_day_from_the_start_has_the_same_tables(home, zone, tables, mend, definitions, tmp_path):
    day, other = zone.days(EAST.name)[3], tmp_path / "other"
    shutil.rmtree(folder(zone, day))
    mend()
    shutil.copytree(
        home, other, ignore=shutil.ignore_patterns(*CLASSES)
    )  # the regimes are refitted by the training alone
    names = ("raw_telemetry", "validated_telemetry", "window_features", "input_drift", "live_sequences")
    keys = [*(regional_key(EAST, name) for name in names), regional_key(EAST, "training_sequences")]
    days = zone.days(EAST.name)
    with dg.DagsterInstance.ephemeral() as fresh:
        assert executor_for(other, definitions)(fresh, keys, (days[0], days[-1])).success
    assert content(tables_of(other, EAST.name, "turbofan")) == content(tables)


def pages_with(home, day):
    """The pages of validated telemetry that have rows of a day."""
    found = (home / EAST.name / data_docs("turbofan") / VALIDATED_TELEMETRY.name).glob("*.html")
    return [page.name for page in found if f"{day}" in page.read_text().partition("<title>")[0]]


def test_a_backfill_of_the_withdrawn_day_alone_empties_it_and_removes_its_pages(
    instance, home, zone, tables, definitions
):
    day = zone.days(EAST.name)[3]
    assert pages_with(home, day)
    shutil.rmtree(folder(zone, day))
    keys = [*ROWS, *(regional_key(EAST, name) for name in ("window_features", "input_drift"))]
    assert executor_for(home, definitions)(instance, keys, (day, day)).success
    assert set(held(tables, day).values()) == {0}
    assert pages_with(home, day) == []


def test_one_of_two_drops_of_a_day_is_withdrawn(zone, tables, mend, land_late):
    day, before = zone.days(EAST.name)[3], content(tables)
    file = land_late(EAST, day)
    mend()
    assert content(tables) != before
    file.unlink()
    mend()
    assert content(tables) == before


def test_a_region_whose_every_drop_was_withdrawn_has_no_rows_left(instance, graph, home, zone, tables, mend):
    for day in zone.days(EAST.name):
        shutil.rmtree(folder(zone, day))
    mend()
    assert {contract.name for contract in DAILY if tables.read(contract).height} == set()
    assert tables.read(LIVE_SEQUENCES).is_empty()
    assert tables_of(home, WEST.name, "turbofan").read(VALIDATED_TELEMETRY).height > 0
    assert plan_repair(instance, graph, deployment_at(home)) == []


def test_events_whose_every_file_was_withdrawn_leave_their_table(home, zone, tables, mend, evaluate):
    assert tables.read(FAILURE_EVENTS).height > 0
    shutil.rmtree(zone.folder(EAST.name) / "events" / "failures")
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
    assert plan_repair(instance, graph, deployment_at(home)) == []


def test_a_table_that_still_has_rows_of_a_day_that_was_recorded_as_empty_is_emptied(
    instance, graph, home, zone, tables, mend
):
    """As after a loss of the event log, or a restored table."""
    day = zone.days(EAST.name)[3]
    rows = tables.read(WINDOW_FEATURES, days=(day, day))
    shutil.rmtree(folder(zone, day))
    mend()
    tables.replace_days(WINDOW_FEATURES, rows, days=[day])
    assert day in Staleness(instance, graph, deployment_at(home)).stale(regional_key(EAST, "window_features"))
    mend()
    assert set(held(tables, day).values()) == {0}
