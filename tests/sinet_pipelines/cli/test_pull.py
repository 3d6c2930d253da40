"""`sinet pull` as an operator uses it: each source on a home, killed, repeated, refused."""

import json
import shutil
import signal
import subprocess
import sys
import time
import warnings
from datetime import UTC, datetime, timedelta

import pytest

with warnings.catch_warnings():  # typer takes names from click.utils that click says it will move
    warnings.filterwarnings("ignore", r"'click\.utils\.\w+' is deprecated", DeprecationWarning)
    import typer
    from typer.testing import CliRunner

    from sinet_pipelines.cli import pull

from sinet_pipelines.applications.milling.delivery import land_simulated
from sinet_pipelines.applications.milling.landed import RECORDS
from sinet_pipelines.errors import BusyError, SinetError
from sinet_pipelines.ingestion.connectors.taken import source_id
from sinet_pipelines.storage import locks
from tests.databases import running_database
from tests.inventory import NAMES
from tests.milling_rows import milling_row
from tests.outside import FolderOutside, StoreOutside, as_csv
from tests.waiting import until
from tests.web_servers import WebServer
from tests.zones import landing_zone

DAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)


def records(first, last):
    """Records of milling of yesterday, one in ten with a text as torque."""
    return [
        milling_row(
            number, recorded_at=DAY + timedelta(seconds=number), **({} if number % 10 else {"torque_nm": "strong"})
        )
        for number in range(first, last)
    ]


@pytest.fixture(scope="module")
def landed_home(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    land_simulated(home, regions=NAMES, records=300, with_faults=False)
    return home


@pytest.fixture
def home(landed_home, tmp_path):
    return shutil.copytree(landed_home, tmp_path / "my home #1")


def arguments(url, home, *more):
    return [str(one) for one in (url, "--region", "EAST", "--application", "milling", "--home", home, *more)]


def invoke(url, home, *more):
    app = typer.Typer()
    app.command()(pull.command)
    return CliRunner().invoke(app, arguments(url, home, *more))


def summary(url, home, *more):
    result = invoke(url, home, *more, "--json")
    assert result.exit_code == 0, result.exception
    return json.loads(result.stdout)


def options_file(tmp_path, options):
    path = tmp_path / "options.json"
    path.touch(0o600)
    path.write_text(json.dumps(options))
    return path


def pulled(home):
    """The numbers of all pulled records in EAST, with copies."""
    zone = landing_zone(home, RECORDS)
    days = [zone.read_day("EAST", day) for day in zone.days("EAST")]
    assert [day.duplicates for day in days] == [0] * len(days)
    return sorted(one for day in days for one in day.rows["record_id"] if one >= 90_000)


def numbers(first, last):
    return [90_000 + number for number in range(first, last)]


def test_a_folder_lands_and_is_described(home, tmp_path):
    outside = FolderOutside(tmp_path)
    outside.write("a.csv", as_csv(records(0, 30)) + b"1,2\n")
    outside.write("b.csv", b"record_id\n1\n")
    outside.write("c.xlsx", b"")
    result = invoke(outside.url, home)
    assert result.exit_code == 0, result.exception
    text = " ".join(result.stdout.split())
    assert f"file:{outside.folder}: 30 new rows in 1 drop of EAST/milling" in text
    assert "torque_nm: 3 rows with a value of another type; validation sets them aside" in text
    assert "not landed: b.csv: it has no column product_id," in text
    assert (
        "2 dead letters in the table dead_letters of the region, for example: a.csv, line 32: it has 2 values" in text
    )
    assert "not read: c.xlsx: no known format" in text
    assert pulled(home) == numbers(0, 30)
    found = summary(outside.url, home)
    assert {name: found[name] for name in ("rows", "drops", "dead_letters", "unchanged", "found")} == {
        "rows": 0,
        "drops": 0,
        "dead_letters": 0,
        "unchanged": 2,
        "found": 3,
    }


def test_a_store_lands(home, tmp_path, s3_store):
    outside = StoreOutside(s3_store)
    outside.add(records(0, 12))
    options = options_file(tmp_path, outside.options)
    assert [summary(outside.url, home, "--options", options)["rows"] for _ in range(2)] == [12, 0]
    assert pulled(home) == numbers(0, 12)


def test_a_table_lands(home, tmp_path):
    with running_database() as database:
        rows = records(0, 12)
        columns = ", ".join(f"{name} text" for name in rows[0] if name != "recorded_at")
        database.execute(
            f"CREATE TABLE records ({columns}, recorded_at timestamptz)",
            *((f"INSERT INTO records VALUES ({', '.join(['%s'] * len(row))})", tuple(row.values())) for row in rows),
        )
        options = options_file(tmp_path, {"user": "sinet", "password": database.password})
        url = f"postgresql://127.0.0.1:{database.port}/plant/public.records?watermark=recorded_at"
        found = [summary(url, home, "--options", options) for _ in range(2)]
    assert [(one["rows"], one["repeated"]) for one in found] == [(12, 0), (0, 12)]
    assert pulled(home) == numbers(0, 12)


def test_a_file_at_a_web_server_lands(home):
    server = WebServer()
    server.files["/records.csv"] = as_csv(records(0, 12))
    found = [summary(f"{server.url}/records.csv", home) for _ in range(2)]
    server.stop()
    assert [(one["rows"], one["unchanged"]) for one in found] == [(12, 0), (0, 1)]
    assert pulled(home) == numbers(0, 12)


KILLED = """
import os, signal, sys
from sinet_pipelines.ingestion.connectors.taken import Taken
Taken.confirm = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
from sinet_pipelines.cli.main import main
main()
"""


def test_a_kill_between_the_drops_and_the_state_doubles_nothing(home, tmp_path):
    outside = FolderOutside(tmp_path)
    outside.add(records(0, 20))
    command = [sys.executable, "-c", KILLED, "pull", *arguments(outside.url, home)]
    process = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert process.returncode == -signal.SIGKILL, process.stderr
    assert pulled(home) == numbers(0, 20)  # the drops are there, the state is not
    outside.write("rows 1.csv", as_csv(records(5, 30)))  # and the file is replaced before the next pull
    assert summary(outside.url, home)["rows"] == 25
    assert pulled(home) == numbers(5, 30)


@pytest.mark.slow
def test_kills_at_any_moment_lose_and_double_nothing(home, tmp_path):
    outside = FolderOutside(tmp_path)
    zone, kills = home / "EAST/landing/milling", 10
    for kill in range(kills):
        for number in range(5 * kill, 5 * kill + 5):
            outside.write(f"{number}.csv", as_csv(records(100 * number, 100 * number + 100)))
        before = len(list(zone.rglob("pull_*")))
        command = [sys.executable, "-m", "sinet_pipelines.cli", "pull", *arguments(outside.url, home)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def writes(before=before, process=process):
            """The process writes drops."""
            return len(list(zone.rglob("pull_*"))) != before or process.poll() is not None

        until(writes, every_s=0.001)
        time.sleep(0.002 * kill)  # another moment each time
        process.kill()
        process.wait(60)
    summary(outside.url, home)
    assert pulled(home) == numbers(0, 500 * kills)


def test_a_second_pull_of_a_source_is_refused_with_one_sentence(home, tmp_path):
    outside = FolderOutside(tmp_path)
    with locks.held(home / f"pull-EAST-milling-{source_id(f'file:{outside.folder}')}.lock"):
        result = invoke(outside.url, home)
        (tmp_path / "other").mkdir()
        assert invoke(FolderOutside(tmp_path / "other").url, home).exit_code == 0
    assert isinstance(result.exception, BusyError)
    assert "another `sinet pull` (process" in str(result.exception)


def test_options_that_others_can_read_are_refused(home, tmp_path):
    path = options_file(tmp_path, {})
    path.chmod(0o644)
    result = invoke(str(tmp_path / "rows"), home, "--options", path)
    assert isinstance(result.exception, SinetError)
    assert "can be read by others (mode 644, allowed: 600)" in str(result.exception)


def test_rows_before_the_first_day_are_counted(home, tmp_path):
    outside = FolderOutside(tmp_path)
    outside.add([{**row, "recorded_at": "2001-01-01T00:00:00Z"} for row in records(1, 3)])
    assert summary(outside.url, home)["before_first_day"] == 2
    assert "2 rows of days before the first day of the home" in pull_text(outside, home, "again")


def pull_text(outside, home, name):
    return " ".join(invoke(outside.url, home, "--name", name).stdout.split())


@pytest.mark.parametrize(
    ("url", "options", "words"),
    [
        ("ftp://h/rows.csv", (), "no connector reads ftp://"),
        ("/nowhere/rows.csv", (), "there is no /nowhere/rows.csv"),
        ("/nowhere", ("--application", "lathes"), "no application 'lathes' lands rows"),
        ("/nowhere", ("--application", "turbofan"), "turbofan landed nothing in .* yet"),
        ("/nowhere", ("--region", "MARS"), "no region 'MARS'"),
        ("/nowhere", ("--options", "/nowhere.json"), "cannot be read as JSON"),
    ],
)
def test_what_is_requested_wrongly_ends_with_two(home, url, options, words):
    result = invoke(url, home, *options)
    assert isinstance(result.exception, SinetError), result.output
    assert result.exception.exit_code == 2
    with pytest.raises(SinetError, match=words):
        raise result.exception


def test_a_damaged_state_is_one_sentence(home, tmp_path):
    outside = FolderOutside(tmp_path)
    outside.add(records(1, 3))
    summary(outside.url, home)
    (state,) = (home / "EAST/landing/milling/_pulled").glob("*.json")
    state.write_text("{")
    result = invoke(outside.url, home)
    assert "is no state of a source; put its old text back, or remove it" in str(result.exception)
    state.unlink()
    summary(outside.url, home)  # equal drops have equal names
    assert pulled(home) == numbers(1, 3)
    assert [one.name for one in state.parent.iterdir()] == [state.name]
