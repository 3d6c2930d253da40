"""`sinet run` again, late rows, and the JSON that others build on."""

import json
import subprocess
import sys
import time
from datetime import date, timedelta

import polars as pl
import pytest

from tests.waiting import until
from tests.walk.conftest import DRIVER, LIMIT_S, environment_of
from tests.walk.homes import (
    APPLICATION,
    MODEL,
    assert_closed,
    champion_of,
    copy_home,
    days_of,
    drop,
    made_days,
    read,
    remade,
    servers_of,
    status_of,
    tables_of,
    versions_of,
)

pytestmark = pytest.mark.slow

STATES = {"missing", "partial", "done", "failed", "running"}
ROWS = {"sent", "duplicates", "landed", "in_tables", "quarantined", "withheld", "pending"}


@pytest.fixture(scope="module")
def served(desk, walked, tmp_path_factory):
    """A copy of the walked home whose server runs, and what the run that started it said."""
    home = copy_home(walked, tmp_path_factory.mktemp("served") / "home")
    result = desk("run", "--home", home, "--json")
    yield home, result
    desk("stop", "--home", home, check=False)


def test_a_run_makes_only_what_is_missing_and_its_stdout_is_json_alone(served):
    _, result = served
    facts = json.loads(result.stdout)
    assert facts["made"] == [f"{APPLICATION}/endpoint"]  # the copy's server was gone, and nothing else
    assert not facts["failed"]
    assert_closed(facts["rows"])
    assert [endpoint["ready"] for endpoint in facts["endpoints"]] == [True]


def test_while_nothing_changes_status_is_the_same_and_needs_no_dagster(served, walk_project):
    home, _ = served
    code = "import json, sys; from pathlib import Path; from sinet_pipelines.cli.status import read_status; "
    code += "facts = read_status(Path(sys.argv[1]), Path(sys.argv[2])); "
    code += "print(json.dumps([facts, sorted({'dagster', 'polars', 'mlflow'} & {*sys.modules})]))"
    command = [sys.executable, "-c", code, str(home), str(walk_project)]
    shown = []
    for _ in range(2):
        result = subprocess.run(command, env=environment_of(walk_project), capture_output=True, text=True, check=True)
        shown.append(json.loads(result.stdout))
    (first, _), (second, imported) = shown
    assert first == second
    assert imported == []


def test_a_second_run_makes_nothing_and_says_so(served, desk):
    home, _ = served
    before, pids = made_days(home), [server.pid for server in servers_of(home)]
    started = time.perf_counter()
    result = desk("run", "--home", home)
    print(f"a second run took {time.perf_counter() - started:.1f} s")
    assert "nothing to do" in result.stdout
    assert not any(remade(before, made_days(home)).values())
    assert [server.pid for server in servers_of(home)] == pids
    assert json.loads(desk("run", "--home", home, "--json").stdout)["made"] == []


def test_status_says_what_others_build_on(served, desk):
    home, _ = served
    facts = status_of(desk, home)
    assert (facts["home"], facts["fleet"], facts["simulated"]) == (str(home), "gappy", False)
    assert set(facts["rows"]) == ROWS
    assert_closed(facts["rows"])
    assets = {asset["asset"]: asset for asset in facts["assets"]}
    assert f"EAST/{APPLICATION}/raw_telemetry" in assets
    for asset in assets.values():
        assert {"asset", "group", "region", "hardware", "state", "partitions", "checks"} <= set(asset)
        assert asset["state"] in STATES
        assert set(asset["partitions"]) == {"done", "failed", "missing"}
        assert all(set(check) >= {"name", "passed"} for check in asset["checks"])
    assert assets[f"WEST/{APPLICATION}/window_features"]["partitions"] == {"done": 25, "failed": 0, "missing": 0}
    assert {model["name"] for model in facts["models"]} == {MODEL, f"{MODEL}_experiments"}
    assert sorted(model["family"] for model in facts["models"]) == [
        *("average", "gradient_boosting", "spiking", "temporal_convolution", "temporal_convolution")
    ]
    (champion,) = [model for model in facts["models"] if model["aliases"]]
    assert (champion["aliases"], champion["version"]) == (["champion"], champion_of(home))
    (spiking,) = [model for model in facts["models"] if model["family"] == "spiking"]
    assert spiking["verdict"].startswith("may not be promoted: WEST, where the endpoint is, has no neuromorphic")
    (endpoint,) = facts["endpoints"]
    assert {"name", "region", "url", "model", "version", "ready"} <= set(endpoint)
    assert (endpoint["name"], endpoint["region"], endpoint["model"]) == (MODEL, "WEST", MODEL)
    assert endpoint["url"].startswith("http://127.0.0.1:")
    assert endpoint["url"].count("/") == 2


def test_the_served_model_predicts_every_live_engine(served, desk):
    home, _ = served
    answer = json.loads(desk("predict", "--home", home, "--json").stdout)
    units = [row["unit"] for row in answer["predictions"]]
    assert units == [f"FD007-L{number:04}" for number in range(1, 10)]
    for row in answer["predictions"]:
        assert 0 <= row["lower_cycles"] <= row["rul_cycles"] <= row["upper_cycles"] <= 125
    assert (answer["model"], answer["version"]) == (MODEL, str(champion_of(home)))
    kept = pl.concat(read(home, region, "fleet_predictions") for region in ("EAST", "WEST", "NULL_ISLAND"))
    assert kept.sort("unit")["rul_cycles"].to_list() == pytest.approx(
        [row["rul_cycles"] for row in answer["predictions"]]
    )


def test_of_two_runs_on_one_home_one_works_and_the_other_says_who_does(served, walk_project, desk, tmp_path):
    home, _ = served
    before, gate = tables_of(home), tmp_path / "gate.open"
    first = subprocess.Popen(
        [sys.executable, str(DRIVER), "waiting", "run", "--home", str(home)],
        cwd=walk_project,
        env=environment_of(walk_project, SINET_TEST_GATE=str(gate)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    _await(gate.with_suffix(".reached"), first)
    second = desk("run", "--home", home, check=False)
    gate.touch()
    output, errors = first.communicate(timeout=LIMIT_S)
    assert second.returncode == 3
    assert second.stderr == (
        f"sinet: another `sinet run` (process {first.pid}) is in progress in {home}; "
        "wait for it, or name another --home\n"
    )
    assert first.returncode == 0, errors
    assert "nothing to do" in output
    assert tables_of(home) == before


def _await(path, process):
    def is_there():
        """The file is there."""
        assert process.poll() is None, process.stderr.read()
        return path.exists()

    until(is_there)


def test_a_late_row_remakes_its_day_and_the_days_whose_windows_reach_it(walked, late_walked, withheld):
    region, day, _ = withheld["mid_life"]
    own, reached = [day.isoformat()], [day.isoformat(), (day + timedelta(days=1)).isoformat()]
    assert {name: days for name, days in remade(made_days(walked), made_days(late_walked)).items() if days} == {
        f"{region}/raw_telemetry": own,
        f"{region}/validated_telemetry": own,
        f"{region}/window_features": reached,
    }
    for table, days in (("raw_telemetry", own), ("validated_telemetry", own), ("window_features", reached)):
        before, after = days_of(walked, table), days_of(late_walked, table)
        changed = {place for place in after if before.get(place) != after[place]}
        assert changed == {(region, day) for day in map(date.fromisoformat, days)}


def test_a_late_row_of_an_engines_first_cycles_touches_all_its_later_days_and_no_other_engine(
    walked, copy, desk, withheld
):
    region, day, row = withheld["early"]
    unit = row["unit"][0]
    drop(copy, region, day, row)
    desk("run", "--home", copy)
    assert len(versions_of(copy)) == 2 * len(versions_of(walked))  # one other model of each kind, not one a round
    flown = read(copy, region, "validated_telemetry").filter(pl.col("unit") == unit)
    later = sorted(one.isoformat() for one in flown.filter(pl.col("event_date") >= day)["event_date"].unique())
    found = remade(made_days(walked), made_days(copy))
    assert found[f"{region}/validated_telemetry"] == [day.isoformat()]
    assert found[f"{region}/window_features"] == later
    before, after = (read(home, region, "window_features").sort("unit", "cycle") for home in (walked, copy))
    others = pl.col("unit") != unit
    assert after.filter(others).equals(before.filter(others))
    cycle = row["cycle"][0]
    mine = [frame.filter(~others, pl.col("cycle") != cycle) for frame in (before, after)]
    assert mine[0].filter(pl.col("cycle") < cycle).equals(mine[1].filter(pl.col("cycle") < cycle))
    same = mine[0].drop("drop_id", strict=False).hash_rows() == mine[1].drop("drop_id", strict=False).hash_rows()
    assert not same.filter(mine[0]["cycle"] > cycle).any()


def test_a_drop_that_comes_a_week_late_gives_the_tables_of_the_run_in_order(walked, copy, desk, tmp_path, last_day):
    in_order = copy_home(walked, tmp_path / "in-order")
    late, *rest = flights_after(walked, last_day, days=8)
    for one in (late, *rest):
        drop(in_order, *one, name="plant")
    desk("run", "--home", in_order)
    desk("stop", "--home", in_order)
    for one in rest:
        drop(copy, *one, name="plant")
    desk("run", "--home", copy)
    assert days_of(copy, "window_features") != days_of(in_order, "window_features")
    drop(copy, *late, name="plant")
    desk("run", "--home", copy)
    for table in ("raw_telemetry", "validated_telemetry", "window_features"):
        assert days_of(copy, table) == days_of(in_order, table)
    assert tables_of(copy) == tables_of(in_order)


def flights_after(home, last_day, *, days):
    """Drops of the live engines on the days after the fleet's last: region, day, rows; EAST's first day comes first."""
    drops = []
    for number in range(1, days + 1):
        for region in ("EAST", "WEST", "NULL_ISLAND"):
            live = read(home, region, "validated_telemetry").filter(pl.col("role") == "live").sort("unit", "cycle")
            rows = pl.concat(_flown_on(own, number) for own in live.partition_by("unit"))
            drops.append((region, last_day + timedelta(days=number), rows))
    return drops


def _flown_on(own, number, *, cycles=40):
    """An engine's flights of the day `number` after its last: its own channels again, newly numbered and timed."""
    again = own[[place % own.height for place in range((number - 1) * cycles, number * cycles)]]
    slots = pl.int_range((number - 1) * cycles, number * cycles)
    day = own["recorded_at"].max().replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return again.with_columns(
        cycle=(own["cycle"].max() + 1 + slots).cast(pl.Int32),
        recorded_at=pl.lit(day) + pl.duration(minutes=slots * (24 * 60 // cycles)),
    )


def test_the_command_that_a_run_prints_answers_without_naming_the_home(served, desk, walk_project):
    home, _ = served
    printed = desk("run", "--home", home).stdout
    assert (walk_project / ".sinet" / "current").resolve() == home
    command = printed.partition("predict: ")[2].split("        ")[0].split()[1:]
    assert "FD007-L0001" in desk(*command).stdout
