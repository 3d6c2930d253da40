"""Places with names that a URL would escape: what is written there is found there, or refused beforehand."""

import sqlite3
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
import sqlalchemy as db
import yaml

from sinet_pipelines.applications.turbofan.schemas.events import TRUTH_EVENTS
from sinet_pipelines.cli.event_store import OpenSqliteStorage
from sinet_pipelines.errors import StorageError
from sinet_pipelines.inventory.roots import Root
from sinet_pipelines.schemas.contract import DataClass, TableName
from sinet_pipelines.storage import layout
from sinet_pipelines.storage.blobs import BlobStore
from sinet_pipelines.storage.layout import file_uri, home_name, require_readable, sqlite_path, sqlite_uri
from sinet_pipelines.storage.roots import settle_roots
from sinet_pipelines.storage.tables import TableStore, tables_of
from tests.sinet_pipelines.storage.test_roots import Row
from tests.sinet_pipelines.storage.test_tables import READINGS, rows

ODD = ("my project", "run #2", "what?", "50% off", "100%", "a+b", "a&b;c", "Flüge", "日本", 'it\'s "so"', "~x{y}*")
REFUSED = ("50%25 off", "day=1", "a[1]", "b]", "back\\slash", "x^2", "a|b", "tab\tx", "line\nbreak")


def truth(cycle=31):
    when = pl.Series([datetime(2026, 3, 1, tzinfo=UTC)], dtype=pl.Datetime("us", "UTC"))
    rows = pl.DataFrame({"unit": ["T-1"], "cycle": [cycle], "rul_cycles": [112], "known_at": when})
    return rows.with_columns(pl.col("cycle", "rul_cycles").cast(pl.Int32))


@pytest.mark.parametrize("name", ODD)
def test_a_table_under_an_odd_name_is_read_back_and_replaced(tmp_path, name):
    tables = tables_of(tmp_path / name, "EAST", "turbofan")
    tables.replace(TRUTH_EVENTS, truth())
    tables.replace(TRUTH_EVENTS, truth(cycle=32))
    assert tables.read(TRUTH_EVENTS)["cycle"].to_list() == [32]
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ODD)
def test_days_under_an_odd_name_are_replaced_one_by_one(tmp_path, name):
    tables, (first, second) = TableStore(str(tmp_path / name)), (date(2026, 1, 1), date(2026, 1, 2))
    tables.replace_days(READINGS, pl.concat([rows(first), rows(second)]), days=[first, second])
    tables.replace_days(READINGS, rows(first, value=7.0), days=[first])
    assert tables.read(READINGS, days=(first, first))["t2_degr"].to_list() == [7.0] * 3
    assert tables.read(READINGS).schema["event_date"] == pl.Date
    assert tables.read(READINGS).columns == [column.name for column in READINGS.columns]


@pytest.mark.parametrize("name", REFUSED)
def test_a_name_that_delta_misreads_is_refused_before_anything_is_written(tmp_path, name):
    with pytest.raises(StorageError, match="rename the folder"):
        TableStore(str(tmp_path / name)).replace(TRUTH_EVENTS, truth())
    assert not any(tmp_path.iterdir())


def test_a_percent_sign_that_begins_no_escape_is_allowed(tmp_path):
    assert require_readable(tmp_path / "50% off, 100%") is None


@pytest.mark.parametrize("name", [*ODD, "50%25 off"])
def test_a_database_is_opened_at_its_path_and_nowhere_else(tmp_path, name):
    file = tmp_path / name / "some.db"
    file.parent.mkdir()
    with db.create_engine(sqlite_uri(file)).begin() as connection:
        connection.execute(db.text("CREATE TABLE one (x INTEGER)"))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [file]
    assert sqlite_path(sqlite_uri(file)) == file


@pytest.mark.parametrize("name", [*ODD, "50%25 off"])
def test_a_file_uri_is_read_back_by_sqlite(tmp_path, name):
    file = tmp_path / name / "some.db"
    file.parent.mkdir()
    sqlite3.connect(file).execute("CREATE TABLE one (x INTEGER)").connection.close()
    found = sqlite3.connect(f"{file_uri(file)}?mode=ro", uri=True)
    assert found.execute("SELECT name FROM sqlite_master").fetchall() == [("one",)]
    found.close()


@pytest.mark.parametrize("name", ["run #2", "what?", "日本 50%"])
def test_dagsters_log_of_a_home_under_an_odd_name_lies_in_that_home(tmp_path, name):
    folder = tmp_path / name / "dagster"
    folder.mkdir(parents=True)
    storage = {
        "module": OpenSqliteStorage.__module__,
        "class": "OpenSqliteStorage",
        "config": {"base_dir": str(folder)},
    }
    (folder / "dagster.yaml").write_text(yaml.safe_dump({"storage": {"custom": storage}}))
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization("one"))
        assert instance.get_latest_materialization_event(dg.AssetKey("one")) is not None
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_folders_in_other_alphabets_get_homes_of_their_own():
    assert home_name(Path("/data/日本")) != home_name(Path("/data/中国"))


@pytest.mark.parametrize("name", ["current", "simulated", ".hidden", "...", "50%25 off", "a[1]|b", "a/b c"])
def test_the_home_of_any_data_folder_can_hold_tables_and_is_no_other_commands(name):
    found = home_name(Path("/data") / name)
    require_readable(Path("/homes") / found)
    assert found not in ("current", "simulated", "")
    assert not found.startswith(".")


def test_each_region_of_a_home_has_a_root_and_each_application_a_part_of_it(tmp_path):
    assert layout.landing_root(tmp_path, "EAST", "mill") == tmp_path / "EAST" / "landing" / "mill"
    raw, truth = layout.table_folder(tmp_path, "EAST", "mill", READINGS), TableName("truth", DataClass.FEATURE)
    assert raw == tmp_path / "EAST" / "raw" / "mill" / "readings"
    assert layout.table_uri("s3://east/plant", "mill", truth) == "s3://east/plant/feature/mill/truth"
    assert layout.blobs_root(tmp_path, "EAST") == tmp_path / "EAST" / "blobs"
    others = ("EAST/raw/.set_aside", "EAST/other/saw", "EAST/landing/mill", "dagster")
    for place in ("WEST/raw/mill", "EAST/feature/saw", *others):
        (tmp_path / place).mkdir(parents=True)
    assert layout.tables_folders(tmp_path) == [tmp_path / "EAST/feature/saw", tmp_path / "WEST/raw/mill"]
    assert layout.landing_folders(tmp_path) == [tmp_path / "EAST" / "landing"]


def test_a_region_whose_root_is_a_folder_elsewhere_is_found_there(tmp_path):
    home, root = tmp_path / "home", tmp_path / "elsewhere"
    settle_roots(home, [Row("EAST", Root(str(root))), Row("WEST")])
    tables_of(home, "EAST", "turbofan").replace(TRUTH_EVENTS, truth())
    assert layout.tables_folders(home) == [root / "feature" / "turbofan"]
    assert layout.landing_root(home, "EAST", "turbofan") == root / "landing" / "turbofan"
    assert layout.table_folder(home, "EAST", "turbofan", TRUTH_EVENTS) == root / "feature" / "turbofan" / "truth_events"
    assert not (home / "EAST").exists()


def test_two_applications_may_give_their_refs_the_same_name(tmp_path):
    mill, saw = BlobStore(tmp_path, "mill"), BlobStore(tmp_path, "saw")
    mill.point("regimes", mill.put(b"of the mill"))
    saw.point("regimes", saw.put(b"of the saw"))
    assert (mill.get_ref("regimes"), saw.get_ref("regimes")) == (b"of the mill", b"of the saw")
    assert mill.get(saw.resolve("regimes")) == b"of the saw"  # what a ref names is there for both


@pytest.mark.parametrize("record", ["landing/fleet.json", "fleet.json"])
def test_a_home_of_version_0_1_is_refused_with_the_command_that_lands_it_again(tmp_path, record):
    home = tmp_path / "my home"
    (home / record).parent.mkdir(parents=True)
    (home / record).write_text("{}")
    with pytest.raises(
        StorageError,
        match=r"was laid out by version 0\.1 .* `sinet land '.*my home' --format home --home '.*my home-again'`",
    ):
        layout.require_layout(home)
    assert (home / record).read_text() == "{}"
