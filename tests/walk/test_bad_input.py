"""Bad input: one clear sentence, the exit code that fits, no traceback, and nothing lost."""

import json
import shutil
import socket
import subprocess
from datetime import timedelta

import polars as pl
import pyarrow.parquet as pq
import pytest
from dagster import AssetCheckKey, AssetKey

from sinet_pipelines.applications.turbofan.fleet import read_fleet
from sinet_pipelines.storage.layout import landing_folders, landing_root
from tests.inventory import REGIONS
from tests.walk.homes import (
    APPLICATION,
    MODEL,
    assert_closed,
    drop,
    fleet_days,
    made_days,
    opened,
    read,
    remade,
    status_of,
    tables_of,
    versions_of,
)

CONTRACT_CHECK = "every_day_keeps_its_contract"
UNUSUAL_CHECK = "nothing_is_unusual"


def assert_refused(ended, code, *words):
    """It ended with this code and one sentence that has these words in it."""
    assert ended.returncode == code, ended.stderr
    found = [line for line in ended.stderr.splitlines() if line.startswith("sinet: ")]
    assert len(found) == 1, ended.stderr
    assert "Traceback" not in ended.stderr + ended.stdout
    for word in words:
        assert word in found[0], found[0]


@pytest.fixture
def mended(small_cmapss, tmp_path):
    """Writes a copy of the small fleet with one file's lines changed: `mended("train", lambda lines: ...)`."""

    def make(part, change):
        folder = shutil.copytree(small_cmapss, tmp_path / "changed")
        path = next(folder.glob(f"{part}_*.txt"))
        path.write_text("".join(f"{line}\n" for line in change(path.read_text().splitlines())))
        return folder

    return make


def test_a_folder_that_is_not_there_is_asked_wrongly_and_makes_no_home(desk, tmp_path):
    ended = desk("run", "--data", tmp_path / "nowhere", "--home", tmp_path / "home", check=False)
    assert_refused(ended, 2, f"no folder {tmp_path / 'nowhere'}", "C-MAPSS")
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("part", "change", "words"),
    [
        ("train", lambda lines: [" ".join(line.split()[:-1]) for line in lines], ("line 1: 25 columns (allowed: 26)",)),
        ("test", lambda lines: [*lines[:9], "1 10 3.5", *lines[9:]], ("line 10: 3 columns (allowed: 26)",)),
        *(
            pytest.param(*one, marks=pytest.mark.slow)
            for one in (
                ("train", lambda lines: [], ("is empty (allowed: one row a line)",)),
                ("RUL", lambda lines: lines[:-1], ("has 8 lines (allowed: 9",)),
                ("RUL", lambda lines: ["many", *lines[1:]], ("line 1: 'many' is no remaining useful life",)),
            )
        ),
    ],
    ids=["25 columns", "a cut line", "an empty file", "a truth too few", "a text for a truth"],
)
def test_a_file_that_is_no_cmapss_is_asked_wrongly_and_lands_nothing(desk, mended, tmp_path, part, change, words):
    ended = desk("run", "--data", mended(part, change), "--home", tmp_path / "home", check=False)
    assert_refused(ended, 2, f"{part}_FD007.txt", *words)
    assert not landing_folders(tmp_path / "home")


def test_a_subset_without_one_of_its_files_is_asked_wrongly(desk, small_cmapss, tmp_path):
    folder = shutil.copytree(small_cmapss, tmp_path / "changed")
    next(folder.glob("RUL_*")).unlink()
    ended = desk("run", "--data", folder, "--home", tmp_path / "home", check=False)
    assert_refused(ended, 2, "no file", "RUL_FD007.txt")


@pytest.mark.parametrize("command", [("run",), pytest.param(("run", "--json"), marks=pytest.mark.slow)])
def test_a_home_with_a_file_in_its_way_cannot_be_made(desk, small_cmapss, tmp_path, command):
    (tmp_path / "way").write_text("")
    ended = desk(*command, "--data", small_cmapss, "--home", tmp_path / "way" / "home", check=False)
    assert_refused(ended, 3, f"{tmp_path / 'way' / 'home'} cannot be made", "--home")
    assert ended.stdout == ""


@pytest.mark.slow
def test_a_fleet_of_another_name_is_refused_and_the_home_stays_as_it_was(desk, small_cmapss, tmp_path):
    home = tmp_path / "home"
    desk("land", small_cmapss, "--format", "cmapss", "--home", home)
    other = shutil.copytree(small_cmapss, tmp_path / "other")
    before = {path: path.read_bytes() for path in home.glob("*/landing/**/*") if path.is_file()}
    ended = desk("run", "--data", other, "--home", home, check=False)
    assert_refused(ended, 2, "has a fleet (name: small) and another was requested (name: other)", "--home")
    assert {path: path.read_bytes() for path in home.glob("*/landing/**/*") if path.is_file()} == before


@pytest.mark.parametrize("command", ["status", "predict", "stop"])
def test_a_home_without_a_fleet_is_asked_wrongly(desk, tmp_path, command):
    assert_refused(desk(command, "--home", tmp_path, check=False), 2, f"no fleet in {tmp_path}", "`sinet run`")


@pytest.fixture(scope="module")
def messy(desk, small_fleet, small_cmapss, first_day, tmp_path_factory):
    """A home of a fleet with every fault of rows and drops that leaves its neighbours alone, walked.

    In its files: a text in a number, a cycle twice with two readings, a row twice, a live engine of five cycles,
    unsorted. In its zones: a day without its drop, an empty drop, garbage, and a drop that lacks a column.
    """
    folder = shutil.copytree(small_cmapss, tmp_path_factory.mktemp("messy") / "messy")
    spoil(next(folder.glob("train_*")), next(folder.glob("test_*")))
    home = folder.parent / "home"
    desk("land", folder, "--format", "cmapss", "--home", home, "--first-day", first_day.isoformat())
    last = fleet_days(home)[1]
    zone = {region.name: landing_root(home, region.name, "turbofan") for region in REGIONS}
    shutil.rmtree(zone["NULL_ISLAND"] / day(first_day, 14))
    lacking = pq.read_table(next((zone["WEST"] / day(first_day, 8)).glob("*.parquet"))).drop_columns(["t24_degr"])
    pq.write_table(lacking.slice(0, 3), zone["WEST"] / day(first_day, 8) / "lacking.parquet")
    (zone["EAST"] / day(first_day, 10) / "garbage.parquet").write_bytes(b"PAR1 and no more")
    whole = next((zone["EAST"] / day(first_day, 3)).glob("*.parquet"))
    (zone["EAST"] / day(last, 1)).mkdir()
    pq.write_table(pq.read_table(whole).slice(0, 0), zone["EAST"] / day(last, 1) / "empty.parquet")
    (zone["WEST"] / day(last, 1)).mkdir()
    (zone["WEST"] / day(last, 1) / "garbage.parquet").write_bytes(b"no table")
    yield home, desk("run", "--home", home)
    desk("stop", "--home", home, check=False)


def day(first, number):
    return (first + timedelta(days=number)).isoformat()


def spoil(train, test):
    lines = train.read_text().splitlines()
    words = {tuple(line.split()[:2]): line.split() for line in lines}
    words["2", "30"][6] = "n/a"
    other = [*words["3", "20"][:5], "522.1", *words["3", "20"][6:]]
    lines = [" ".join(one) for one in words.values()]
    train.write_text("\n".join([*reversed(lines), " ".join(other), " ".join(words["5", "10"])]) + "\n")
    live = [line for line in test.read_text().splitlines() if line.split()[0] != "2" or int(line.split()[1]) <= 5]
    test.write_text("\n".join(sorted(live)) + "\n")


@pytest.mark.slow
def test_rows_at_fault_are_set_aside_and_the_account_closes(messy, desk):
    home, _ = messy
    rows = status_of(desk, home)["rows"]
    assert_closed(rows)
    assert (rows["quarantined"], rows["duplicates"], rows["pending"]) == (3, 1, 0)
    aside = pl.concat(read(home, region, "quarantine") for region in ("EAST", "WEST", "NULL_ISLAND"))
    assert sorted(zip(aside["unit"], aside["cycle"], strict=True)) == [
        ("FD007-0002", 30),
        ("FD007-0003", 20),
        ("FD007-0003", 20),
    ]
    assert (aside["reason"] != "").all()


@pytest.mark.slow
def test_a_day_that_fails_its_contract_is_missing_and_failed_among_good_ones(messy, desk, first_day):
    home, _ = messy
    failed = day(first_day, 8)
    key = AssetKey(["WEST", APPLICATION, "validated_telemetry"])
    with opened(home) as instance:
        done = instance.get_materialized_partitions(key)
        check = AssetCheckKey(key, CONTRACT_CHECK)
        history = instance.event_log_storage.get_asset_check_execution_history(check, limit=99)
    judged = [record.event.dagster_event.asset_check_evaluation_data for record in reversed(history)]
    newest = {one.partition: one.passed for one in judged if one.partition}
    garbage = day(first_day, 25)
    assert done == {day(first_day, number) for number in range(25)} - {failed}
    assert newest == {day(first_day, number): day(first_day, number) in done for number in range(26)}
    assert {one.partition for one in judged if not one.passed} == {None, failed, garbage}
    assert failed not in read(home, "WEST", "validated_telemetry")["event_date"].cast(pl.String).to_list()
    after = read(home, "WEST", "window_features").filter(pl.col("event_date").cast(pl.String) == day(first_day, 9))
    assert after.filter(pl.col("cycle") > 1, pl.col("window_cycles_present") == 1).height  # the day before is absent
    status = status_of(desk, home)
    asset = next(one for one in status["assets"] if one["asset"] == key.to_user_string())
    assert (asset["state"], asset["partitions"]) == ("partial", {"done": 24, "failed": 2, "missing": 0})
    assert asset["checks"] == [{"name": CONTRACT_CHECK, "passed": False}, {"name": UNUSUAL_CHECK, "passed": True}]
    assert (
        status["rows"]["withheld"]
        == read(home, "WEST", "raw_telemetry").filter(pl.col("event_date").cast(pl.String) == failed).height
    )


@pytest.mark.slow
def test_a_day_without_a_drop_is_no_day_and_one_whose_drops_have_no_rows_is_a_failed_one(messy, desk):
    home, _ = messy
    assets = {asset["asset"]: asset["partitions"] for asset in status_of(desk, home)["assets"]}
    for name in ("raw_telemetry", "validated_telemetry", "window_features"):
        assert assets[f"NULL_ISLAND/{APPLICATION}/{name}"] == {"done": 24, "failed": 0, "missing": 0}
    assert assets[f"EAST/{APPLICATION}/raw_telemetry"] == {"done": 26, "failed": 0, "missing": 0}
    assert assets[f"EAST/{APPLICATION}/validated_telemetry"] == {"done": 25, "failed": 1, "missing": 0}


@pytest.mark.slow
def test_an_engine_shorter_than_the_window_is_flagged_and_predicted(messy, desk):
    home, _ = messy
    rows = read(home, "WEST", "window_features").filter(pl.col("unit") == "FD007-L0002").sort("cycle")
    assert rows["window_cycles_present"].to_list() == [1, 2, 3, 4, 5]
    answer = json.loads(desk("predict", "--home", home, "--json").stdout)["predictions"]
    assert 0 <= {row["unit"]: row["rul_cycles"] for row in answer}["FD007-L0002"] <= 125


@pytest.mark.slow
def test_the_order_of_lines_in_a_file_does_not_count(messy, walked):
    home, _ = messy
    unit = pl.col("unit") == "FD007-0004"
    sorted_rows = read(walked, "EAST", "raw_telemetry").filter(unit).sort("cycle")
    assert read(home, "EAST", "raw_telemetry").filter(unit).sort("cycle")["row_hash"].equals(sorted_rows["row_hash"])


@pytest.mark.slow
def test_a_run_after_faults_that_stay_makes_nothing(messy, desk):
    home, _ = messy
    before = made_days(home)
    assert "nothing to do" in desk("run", "--home", home).stdout
    assert not any(remade(before, made_days(home)).values())


@pytest.mark.slow
def test_a_bad_day_that_comes_alone_does_not_stop_the_walk(desk, copy, last_day):
    before = tables_of(copy)
    rows = read(copy, "EAST", "validated_telemetry").filter(pl.col("role") == "live").head(60)
    shifted = rows.with_columns(
        pl.col("cycle") + 400,  # cycles that no other day has: these would be in doubt on both days
        pl.col("t24_degr") * 5 / 9,
        pl.col("recorded_at") + (last_day + timedelta(days=1) - pl.col("event_date")),
    )
    drop(copy, "EAST", last_day + timedelta(days=1), shifted)
    desk("run", "--home", copy)
    status = status_of(desk, copy)
    assert_closed(status["rows"])
    assert status["rows"]["withheld"] == 60
    assert [endpoint["ready"] for endpoint in status["endpoints"]] == [True]
    after = tables_of(copy)
    assert {name for name in after if after[name] != before[name]} == {"EAST/raw_telemetry", "EAST/rows_by_day"}
    assert "nothing to do" in desk("run", "--home", copy).stdout


@pytest.mark.slow
def test_a_port_in_use_is_busy(desk, copy):
    desk("run", "--home", copy)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = desk("serve", MODEL, "--port", port, "--home", copy, check=False)
    assert_refused(ended, 3, str(port))
    assert [endpoint["ready"] for endpoint in status_of(desk, copy)["endpoints"]] == [True]
    assert_refused(desk("serve", MODEL, "--port", 70000, "--home", copy, check=False), 2, "70000 is not a port")
    assert_refused(desk("serve", "nobody", "--home", copy, check=False), 2, "nobody")


@pytest.fixture
def small_disk(tmp_path):
    """A disk of its own, of a size that can be changed: `small_disk("3m")`."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted here, so none can be full: {mounted.stderr.strip()}")

    def resize(size):
        subprocess.run(["mount", "-o", f"remount,size={size}", place], check=True)
        return place

    yield resize
    subprocess.run(["umount", "--lazy", place], check=True)


@pytest.mark.slow
def test_a_full_disk_is_said_in_a_sentence_and_the_walk_goes_on_when_there_is_space(
    desk, arguments, small_disk, walked
):
    home = small_disk("1m") / "home"
    ended = desk(*arguments, "--home", home, check=False)
    assert_refused(ended, 3, "no space is left")
    assert not read_fleet(home).complete
    for size in ("4m", "14m"):
        small_disk(size)
        ended = desk(*arguments, "--home", home, check=False)
        assert ended.returncode == 3, ended.stderr
        assert "no space is left" in ended.stderr + ended.stdout
        assert "Traceback" not in ended.stderr + ended.stdout
    small_disk("200m")
    desk(*arguments, "--home", home)
    assert tables_of(home) == tables_of(walked)
    assert [sha256 for _, sha256, _ in versions_of(home)] == [sha256 for _, sha256, _ in versions_of(walked)]
    assert_closed(status_of(desk, home)["rows"])
    desk("stop", "--home", home)
