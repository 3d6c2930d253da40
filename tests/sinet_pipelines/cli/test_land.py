import json
import shutil
import subprocess
import sys
import warnings
from datetime import date
from pathlib import Path

import pytest

from tests.inventory import NAMES

with warnings.catch_warnings():  # typer takes names from click.utils that click says it will move
    warnings.filterwarnings("ignore", r"'click\.utils\.\w+' is deprecated", DeprecationWarning)
    import typer
    from typer.testing import CliRunner

    from sinet_pipelines.cli import land
    from sinet_pipelines.cli.home import current_home, home_of

from sinet_pipelines.applications.turbofan.fleet import read_fleet
from sinet_pipelines.applications.turbofan.landed import TELEMETRY
from sinet_pipelines.applications.turbofan.schemas.telemetry import CHANNELS
from sinet_pipelines.applications.turbofan.source import land_folder, land_simulated
from sinet_pipelines.errors import FleetError, SinetError, SourceError, StorageError
from sinet_pipelines.storage.layout import landing_folders, landing_root, record_file
from tests.deployed import deployment_at
from tests.zones import landing_zone

TODAY = date(2026, 3, 26)


@pytest.fixture
def folder(tmp_path):
    """FD009: history engines of 40 and 35 cycles, a live one of 12 with 5 left."""
    made = tmp_path / "plant"
    made.mkdir()
    channels = " ".join(f"{k}.5" for k in range(len(CHANNELS)))

    def lines(*lengths):
        return "".join(f"{u} {c} {channels}  \n" for u, n in enumerate(lengths, start=1) for c in range(1, n + 1))

    (made / "train_FD009.txt").write_text(lines(40, 35))
    (made / "test_FD009.txt").write_text(lines(12))
    (made / "RUL_FD009.txt").write_text("5\n")
    return made


def _invoke(*arguments):
    app = typer.Typer()
    app.command()(land.command)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_json_alone_stands_on_stdout(folder, tmp_path):
    result = _invoke(folder, "--format", "cmapss", "--home", tmp_path / "home", "--json")
    (content,) = json.loads(result.stdout)
    assert (content["application"], content["name"], content["simulated"], content["subsets"]) == (
        "turbofan",
        "plant",
        False,
        ["FD009"],
    )
    assert (content["rows"], content["events"]) == (87, {"failures": 2, "truth": 1})


def test_a_summary_names_what_landed(folder, tmp_path):
    result = _invoke(folder, "--format", "cmapss", "--home", tmp_path / "home")
    assert result.exit_code == 0
    assert "87 rows in 3 drops, 3 of them new" in result.stdout
    assert "events: 2 failures, 1 truth" in result.stdout


def test_pace_first_day_and_subset_are_kept_to(folder, tmp_path):
    home = tmp_path / "home"
    options = ("--subset", "FD009", "--cycles-per-day", 30, "--first-day", "2026-01-05")
    assert _invoke(folder, "--format", "cmapss", "--home", home, *options).exit_code == 0
    fleet = read_fleet(home)
    assert (fleet.cycles_per_day, fleet.first_day, list(fleet.subsets)) == (30, date(2026, 1, 5), ["FD009"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--format", "csv"), r"no format 'csv' \(allowed: cmapss, home, ai4i2020\)"),
        (("--format", "cmapss", "--subset", "FD001"), r"no subset 'FD001' .*there: FD009"),
        (("--format", "cmapss", "--cycles-per-day", "29"), r"29 cycles a day \(allowed: 30"),
        (("--format", "cmapss", "--first-day", "2999-01-01"), r"give an earlier --first-day"),
    ],
)
def test_what_is_asked_wrongly_ends_with_two_and_lands_nothing(folder, tmp_path, options, words):
    result = _invoke(folder, *options, "--home", tmp_path / "home")
    assert isinstance(result.exception, SinetError)
    assert result.exception.exit_code == 2
    with pytest.raises(SinetError, match=words):
        raise result.exception
    assert not landing_folders(tmp_path / "home")


def test_a_folder_that_is_not_there_makes_no_home(tmp_path):
    result = _invoke(tmp_path / "nowhere", "--format", "cmapss", "--home", tmp_path / "home")
    assert isinstance(result.exception, SourceError)
    assert not (tmp_path / "home").exists()


def test_without_a_home_a_folder_lands_in_the_home_that_run_walks(folder, tmp_path, monkeypatch):
    (tmp_path / "workspace.yaml").write_text("")
    monkeypatch.setenv("SINET_PROJECT", str(tmp_path))
    record = record_file(tmp_path / ".sinet" / "other", "turbofan")
    record.parent.mkdir(parents=True)
    record.write_text("{}")
    (tmp_path / ".sinet" / "current").symlink_to(tmp_path / ".sinet" / "other")
    spaced = folder.rename(folder.with_name("6. Turbofan Data #1"))
    assert _invoke(spaced, "--format", "cmapss").exit_code == 0
    assert read_fleet(tmp_path / ".sinet" / "6.-Turbofan-Data--1").complete
    assert home_of(spaced) == tmp_path / ".sinet" / "6.-Turbofan-Data--1"
    assert json.loads(_invoke(spaced, "--format", "cmapss", "--json").stdout)[0]["new_drops"] == 0


@pytest.mark.slow
def test_the_simulated_fleet_lands_with_its_faults_and_says_so(tmp_path):
    report = land_simulated(tmp_path, history_engines=30, live_engines=9, today=TODAY, regions=NAMES)
    fleet = read_fleet(tmp_path)
    assert report.simulated
    assert fleet.simulated
    assert (report.name, report.events) == ("simulated", {"failures": 30, "truth": 9})
    assert report.planted == len(fleet.planted) > 0
    zone = landing_zone(tmp_path, TELEMETRY)
    days = [zone.read_day(region, day) for region in fleet.regions for day in zone.days(region)]
    assert sum(day.sent for day in days) == report.rows
    assert sum(day.duplicates for day in days) == 25


def test_a_simulated_fleet_lands_twice_as_once_and_no_other_after_it(tmp_path, folder):
    small = {"history_engines": 6, "live_engines": 3}
    land_simulated(tmp_path, today=TODAY, **small, regions=NAMES)
    assert land_simulated(tmp_path, **small, regions=NAMES).new_drops == 0
    with pytest.raises(FleetError, match="another was requested"):
        land_simulated(tmp_path, seed=1, **small, regions=NAMES)
    with pytest.raises(FleetError, match="another was requested"):
        land_folder(folder, home=tmp_path, regions=NAMES)
    with pytest.raises(FleetError, match="has another SIM"):
        land_simulated(tmp_path, history_engines=7, live_engines=3, regions=NAMES)


def test_a_fleet_can_be_simulated_without_faults(tmp_path):
    assert (
        land_simulated(
            tmp_path, history_engines=6, live_engines=3, with_faults=False, today=TODAY, regions=NAMES
        ).planted
        == 0
    )


def test_nothing_heavy_is_imported_for_help():
    heavy = ("polars", "numpy", "pyarrow", "rich.console")
    program = f"import sys, sinet_pipelines.cli.land; print([name for name in {heavy} if name in sys.modules])"
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "[]"


def test_nasas_fleet_lands_whole(nasa_folder, tmp_path):
    report = land_folder(nasa_folder, home=tmp_path, subsets=["FD001"], today=TODAY, regions=NAMES)
    assert (report.rows, report.drops, report.days) == (20_631 + 13_096, 75, 75)
    assert report.events == {"failures": 100, "truth": 100}


def test_a_home_of_version_0_1_is_refused_by_every_command_and_lands_again_in_a_new_home(folder, tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    land_folder(folder, home=tmp_path / "landed", today=TODAY, regions=NAMES)
    for region in ("EAST", "WEST"):
        shutil.copytree(landing_root(tmp_path / "landed", region, "turbofan"), old / "landing" / region)
    shutil.copy(record_file(tmp_path / "landed", "turbofan"), old / "landing" / "fleet.json")
    before = {path: path.read_bytes() for path in old.rglob("*") if path.is_file()}
    refused = _invoke(folder, "--home", old)
    assert isinstance(refused.exception, StorageError)
    for requested in (lambda: current_home(old), lambda: deployment_at(old)):
        with pytest.raises(StorageError, match=r"laid out by version 0\.1 .* `sinet land .*old --format home --home "):
            requested()
    result = _invoke(old, "--format", "home", "--home", new, "--json")
    (content,) = json.loads(result.stdout)
    assert (content["name"], content["rows"], content["events"]) == ("plant", 87, {"failures": 2, "truth": 1})
    assert {path: path.read_bytes() for path in old.rglob("*") if path.is_file()} == before
    assert current_home(new) == new
