"""The recipe for an application: with what CONTRIBUTING.md shows, a table becomes an endpoint that answers."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from tests.recipes import copy_checkout, environment_of, recipes

BLOCKS = recipes()["Add an application"]
ROWS, DEGC_PER_KW, DEGC_AT_REST = 200, 4.0, 40.0
pytestmark = pytest.mark.slow


def sinet(checkout, *arguments):
    command = [sys.executable, "-W", "ignore", "-c", "from sinet_pipelines.cli.main import main; main()", *arguments]
    return subprocess.run(
        command, cwd=checkout, env=environment_of(checkout), capture_output=True, text=True, timeout=1200
    )


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    """A copy of the checkout with the application, its home after `sinet run`, and what the command printed."""
    checkout = copy_checkout(tmp_path_factory.mktemp("application") / "checkout")
    for block in BLOCKS:
        block.apply(checkout)
    folder, home = checkout / "data" / "plant", checkout / ".sinet" / "plant"
    folder.mkdir(parents=True)
    loads = np.random.default_rng(0).uniform(5, 95, ROWS).round(3)
    start = datetime(2026, 3, 1, tzinfo=UTC)
    pl.DataFrame(
        {
            "sample": range(ROWS),
            "load_kw": loads,
            "temperature_c": DEGC_AT_REST + DEGC_PER_KW * loads,
            "recorded_at": [f"{start + timedelta(minutes=15 * i):%Y-%m-%dT%H:%M:%SZ}" for i in range(ROWS)],
        }
    ).write_csv(folder / "kiln.csv")
    ended = sinet(checkout, "run", "kiln", "--data", str(folder), "--home", str(home))
    yield checkout, home, folder, ended
    sinet(checkout, "stop", "--home", str(home))


def test_a_table_becomes_an_endpoint(walked):
    checkout, home, _, ended = walked
    assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-2000:]
    status = json.loads(sinet(checkout, "status", "--home", str(home), "--json").stdout)
    assert [(one["name"], one["region"], one["ready"]) for one in status["endpoints"]] == [
        ("kiln_temperature", "EAST", True)
    ]
    states = {one["asset"]: one["state"] for one in status["assets"] if "kiln" in one["asset"].split("/")}
    assert set(states.values()) == {"done"}
    assert {"EAST/kiln/raw_samples", "kiln/ridge", "kiln/registered_model", "EAST/kiln/predictions"} <= set(states)


def test_it_predicts_the_law_of_its_data(walked):
    checkout, home, _, _ = walked
    requested = checkout / "asked.csv"
    requested.write_text("row_hash,load_kw\nmine,50\n")
    answered = sinet(checkout, "predict", "--home", str(home), "--window", str(requested), "--json")
    assert answered.returncode == 0, answered.stderr
    (prediction,) = json.loads(answered.stdout)["predictions"]
    assert prediction["predicted_c"] == pytest.approx(DEGC_AT_REST + DEGC_PER_KW * 50, abs=3.0)
    kept = pl.read_delta(str(home / "EAST" / "feature" / "kiln" / "predictions"))
    newest = json.loads(sinet(checkout, "predict", "--home", str(home), "--json").stdout)["predictions"]
    assert {one["unit"]: round(one["predicted_c"], 4) for one in newest} == {
        row["row_hash"]: round(row["predicted_c"], 4) for row in kept.iter_rows(named=True)
    }
    assert 0 < kept.height < ROWS


def test_a_load_out_of_bounds_is_refused_with_the_bounds(walked):
    checkout, home, _, _ = walked
    requested = checkout / "wrong.csv"
    requested.write_text("row_hash,load_kw\nmine,500\n")
    refused = sinet(checkout, "predict", "--home", str(home), "--window", str(requested))
    assert refused.returncode != 0
    assert "load_kw 500" in refused.stderr
    assert "allowed: 0 to 100 kW" in refused.stderr


def test_a_second_run_makes_nothing_and_another_family_setting_makes_the_model_again(walked):
    checkout, home, folder, _ = walked
    run = ("run", "kiln", "--data", str(folder), "--home", str(home))
    assert json.loads(sinet(checkout, *run, "--json").stdout)["made"] == []
    module = checkout / "sinet_pipelines" / "applications" / "kiln" / "application.py"
    module.write_text(module.read_text().replace("FAMILY = Ridge()", "FAMILY = Ridge(0.5)"))
    again = sinet(checkout, *run, "--json")
    made = set(json.loads(again.stdout)["made"])
    assert "kiln/ridge" in made, again.stdout[-2000:]
    assert not {"EAST/kiln/validated_samples", "EAST/kiln/training_set"} & made


def test_the_application_is_short():
    lines = sum(len(block.text.splitlines()) for block in BLOCKS if block.kind == "python")
    assert lines < 120


def test_only_its_own_folders_and_the_list_of_names_are_touched():
    own = ("sinet_pipelines/applications/kiln/", "assets/kiln/", "sinet_pipelines/applications/__init__.py")
    assert all(block.file.startswith(own) for block in BLOCKS)
