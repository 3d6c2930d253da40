"""The state of assets read without Dagster is the one that Dagster's own reader gives, whatever changed."""

import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import date, timedelta
from functools import cache

import dagster as dg
import polars as pl
import pyarrow as pa
import pytest
from dagster._core.events import DagsterEvent, DagsterEventType

from resources.materializations.held import GAP_TAG
from resources.materializations.kept import STORE_ENTRY
from resources.materializations.quick_state import keep_described, quick_states, read_described
from resources.materializations.state import described, states
from resources.placement import bind
from resources.residency import TABLE
from resources.writes import StepWrites
from sinet_pipelines import applications
from sinet_pipelines.applications.application import Application
from sinet_pipelines.applications.turbofan.schemas.monitoring import ROWS_BY_DAY
from sinet_pipelines.ingestion.landed import landed_rows
from sinet_pipelines.schemas.contract import Column, DataClass
from sinet_pipelines.storage.blobs import BlobStore
from sinet_pipelines.storage.layout import blobs_root, landing_root, table_folder
from sinet_pipelines.storage.tables import empty, tables_of
from tests.deployed import deployment_at
from tests.inventory import EAST

ROWS, MODEL, STORE = (dg.AssetKey(path) for path in (["EAST", "app", "rows"], ["app", "model"], ["app", "store"]))
FIRST = date(2026, 3, 1)
DAYS = [FIRST + timedelta(days=ahead) for ahead in range(4)]


APP = Application(
    name="app",
    title="what is tested",
    owner="team:tests",
    output="value",
    landed=(LANDED := landed_rows("app", "samples", (Column("unit", pa.string(), "unit"),), key=("unit",))),
    tables=(ROWS_BY_DAY, LANDED.raw, *LANDED.tables.written),
)


@pytest.fixture(autouse=True)
def only_application(monkeypatch):
    monkeypatch.setattr(applications, "load_applications", lambda: (APP,))


@cache
def graph():
    """An asset with days and a table, one that writes blobs, one that fills a feature store."""
    place, specs = bind(EAST, data_class=DataClass.FEATURE), dg.AssetCheckSpec
    days, table = dg.DailyPartitionsDefinition(str(FIRST), end_offset=1), {TABLE: ROWS_BY_DAY.name}

    @dg.asset(key=ROWS, partitions_def=days, metadata=table, check_specs=[specs("holds", asset=ROWS)], **place)
    def rows(): ...

    @dg.asset(key=MODEL, deps=[ROWS], check_specs=[specs("agrees", asset=MODEL)], **place)
    def model(): ...

    @dg.asset(key=STORE, metadata={STORE_ENTRY: "feast"}, **place)
    def store(): ...

    return dg.Definitions([rows, model, store], resources={"east": None, "deployment": None}).resolve_asset_graph()


@pytest.fixture
def home(tmp_path):
    """A home in which three days have landed."""
    found = tmp_path / "home"
    for day in DAYS[:3]:
        land(found, day)
    (found / "dagster").mkdir()
    return found


@pytest.fixture
def instance(home):
    folder = str(home / "dagster")
    storage = {
        "module": "sinet_pipelines.cli.event_store",
        "class": "OpenSqliteStorage",
        "config": {"base_dir": folder},
    }
    with dg.DagsterInstance.local_temp(folder, overrides={"storage": {"custom": storage}}) as found:
        yield found


def land(home, day):
    folder = landing_root(home, "EAST", "app") / str(day)
    folder.mkdir(parents=True)
    (folder / "drop.parquet").write_bytes(b"looked at by name alone")


def write(home, *days):
    """Writes a row of each day and returns the table's version."""
    rows = pl.concat([empty(ROWS_BY_DAY), pl.DataFrame({"event_date": days})], how="diagonal")
    rows = rows.with_columns(pl.col(pl.Int64, pl.Int32).fill_null(1), pl.col(pl.String).fill_null("a"))
    return tables_of(home, "EAST", "app").replace_days(ROWS_BY_DAY, rows, days=list(days)).version


def make(instance, key, day=None, **values):
    instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=day and str(day), **values))


def judge(instance, key, check, *, passed, day=None, reason=None):
    job = dg.Definitions([], jobs=[dg.GraphDefinition("any").to_job()]).get_job_def("any")
    run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    found = dg.AssetCheckEvaluation(
        asset_key=key, check_name=check, passed=passed, partition=day and str(day), metadata={}, description=reason
    )
    for kind, data in ((DagsterEventType.ASSET_CHECK_EVALUATION, found), (DagsterEventType.RUN_SUCCESS, None)):
        instance.report_dagster_event(DagsterEvent(kind.value, "any", event_specific_data=data), run.run_id)


def begin(instance, key):
    """A run that says that it is going to make an asset."""
    run = instance.create_run_for_job(
        dg.Definitions([], jobs=[dg.GraphDefinition("any").to_job()]).get_job_def("any"),
        status=dg.DagsterRunStatus.STARTED,
    )
    data = dg._core.events.AssetMaterializationPlannedData(key)
    event = DagsterEvent(DagsterEventType.ASSET_MATERIALIZATION_PLANNED.value, "any", event_specific_data=data)
    instance.report_dagster_event(event, run.run_id)
    return run


@pytest.mark.slow
def test_after_each_kind_of_change_the_answer_is_that_of_dagster(home, instance):
    blobs = BlobStore(blobs_root(home, "EAST"), "app")
    blob = blobs.put(b"a model")
    kept = StepWrites(sizes={f"EAST/{blob}": 7}).as_json()
    counts = {"dagster/row_count": 1, "table_version": 0, "rows_in_elsewhere": 0, "share_pct": 0.5, "is_small": True}
    changes = [
        lambda: None,
        *(lambda day=day: make(instance, ROWS, day, metadata=counts) for day in DAYS[:2]),  # of no table yet
        lambda: write(home, *DAYS[:2]),
        lambda: make(instance, ROWS, DAYS[2], tags={GAP_TAG: "true"}),
        lambda: judge(instance, ROWS, "holds", passed=True, day=DAYS[0]),
        lambda: judge(instance, ROWS, "holds", passed=False, day=DAYS[2], reason=r"of `t2\_degr` *half* is kelvin"),
        lambda: make(instance, ROWS, "no day"),  # as anybody may report it
        lambda: judge(instance, ROWS, "holds", passed=False, day="no day"),
        lambda: land(home, DAYS[3]),
        lambda: land(home, date(1970, 1, 1)),
        lambda: land(home, date(2099, 1, 1)),
        lambda: shutil.rmtree(landing_root(home, "EAST", "app") / str(DAYS[1])),
        lambda: make(instance, MODEL, metadata={"kept": dg.MetadataValue.json(kept)}),
        lambda: judge(instance, MODEL, "agrees", passed=False, reason="worse"),
        lambda: judge(instance, MODEL, "agrees", passed=True),
        lambda: blobs.path(blob).unlink(),
        lambda: make(instance, STORE, metadata={"engines": 3}),  # of no store
        lambda: next((home / "EAST" / "feature").rglob("*.parquet")).unlink(),
        lambda: shutil.rmtree(table_folder(home, "EAST", "app", ROWS_BY_DAY) / "_delta_log"),
    ]
    seen = []
    for number, change in enumerate(changes):
        change()
        seen.append(states(instance, graph(), deployment_at(home)))
        assert quick_states(deployment_at(home), described(graph())) == seen[-1], number
    assert len({repr(one) for one in seen}) >= 14  # what is neither a day nor of one changes nothing
    assert {one.state for found in seen for one in found} == {"missing", "partial", "done", "failed"}
    assert sum(bool(one.faults) for one in seen[-1]) == 3


def test_a_run_at_work_a_wiped_asset_and_a_failed_attempt_are_left_to_dagster(home, instance):
    assets = described(graph())
    make(instance, MODEL)
    run = begin(instance, MODEL)
    assert quick_states(deployment_at(home), assets) is None
    instance.report_run_failed(run)
    assert quick_states(deployment_at(home), assets) is None
    make(instance, MODEL)
    assert quick_states(deployment_at(home), assets) == states(instance, graph(), deployment_at(home))
    instance.wipe_assets([MODEL])
    assert quick_states(deployment_at(home), assets) is None


@pytest.mark.parametrize("name", ["runs.db", "runs/index.db"])
def test_a_log_of_another_schema_or_none_is_left_to_dagster(home, instance, name):
    path = home / "dagster" / "history" / name
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = 'older'")
    assert quick_states(deployment_at(home), described(graph())) is None
    path.unlink()
    assert quick_states(deployment_at(home), described(graph())) is None


def test_what_the_definitions_declare_is_kept_for_their_own_signature_alone(home):
    keep_described(home, "one", described(graph()))
    assert sorted(one.key for one in read_described(home, "one")) == ["EAST/app/rows", "app/model", "app/store"]
    assert quick_states(deployment_at(home), read_described(home, "one")) is None  # there is no log
    assert read_described(home, "two") == read_described(home, "") == []
    (home / "cache" / "assets.json").write_bytes(b"{")
    assert read_described(home, "one") == []


def test_what_was_kept_reads_as_what_was_declared(home, instance):
    make(instance, ROWS, DAYS[0])
    keep_described(home, "one", described(graph()))
    assert quick_states(deployment_at(home), read_described(home, "one")) == quick_states(
        deployment_at(home), described(graph())
    )


def test_reading_it_imports_no_dagster():
    loaded = "print(json.dumps(sorted({'dagster', 'mlflow'} & {*sys.modules})))"
    code = f"import json, sys, resources.materializations.quick_state; {loaded}"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(result.stdout) == []
