import json
import warnings
from pathlib import Path

import pytest

with warnings.catch_warnings():  # typer takes names from click.utils that click says it will move
    warnings.filterwarnings("ignore", r"'click\.utils\.\w+' is deprecated", DeprecationWarning)
    import typer
    from typer.testing import CliRunner

    from sinet_pipelines.cli.benchmark import command

from sinet_pipelines.applications.turbofan import benchmark as rul_benchmark
from sinet_pipelines.applications.turbofan.schemas.telemetry import CHANNELS
from sinet_pipelines.applications.turbofan.simulator import simulate_fleet
from sinet_pipelines.models.gradient_boosting import GradientBoosting

APP = typer.Typer()
APP.command()(command)
FIGURES = {"rmse_capped", "rmse_uncapped", "score_capped", "score_uncapped", "seconds"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A small fleet in NASA's format."""
    place = tmp_path_factory.mktemp("cmapss")
    fleet = simulate_fleet(seed=3, history_engines=6, live_engines=4, regimes=1)
    for part, rows in (("train", fleet.train), ("test", fleet.test)):
        rows.select("unit", "cycle", *CHANNELS).write_csv(
            place / f"{part}_FD009.txt", separator=" ", include_header=False
        )
    fleet.rul.select("rul_cycles").write_csv(place / "RUL_FD009.txt", include_header=False)
    return place


@pytest.fixture(autouse=True)
def few_trees(monkeypatch):
    monkeypatch.setattr(rul_benchmark, "CANDIDATES", {"gradient_boosting": GradientBoosting(trees=5)})


def test_json_alone_is_on_stdout(folder):
    result = CliRunner().invoke(APP, ["--data", str(folder), "--subset", "FD009", "--seeds", "2", "--json"])
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    assert set(content) == {"protocol", "results", "summary", "families"}
    assert [(row["subset"], row["seed"]) for row in content["results"]] == [("FD009", 0), ("FD009", 1)]
    assert set(content["results"][0]) >= FIGURES
    assert content["summary"][0]["rmse_capped_sd"] >= 0.0
    assert {row["family"] for row in content["families"]} == {
        "gradient_boosting",
        "average",
        "stack",
        "constant",
        "ridge",
    }


def test_all_subsets_are_run_without_a_name_and_shown_as_a_table(folder):
    result = CliRunner().invoke(APP, ["--data", str(folder), "--seeds", "1"], env={"COLUMNS": "80"})
    assert result.exit_code == 0, result.output
    assert "FD009" in result.stdout
    assert "average *" in result.stdout


def test_a_home_keeps_the_figures(folder, tmp_path):
    result = CliRunner().invoke(APP, ["--data", str(folder), "--seeds", "1", "--home", str(tmp_path), "--json"])
    assert json.loads((tmp_path / "benchmarks" / "rul.json").read_text()) == json.loads(result.stdout)
    assert [path.name for path in (tmp_path / "benchmarks").iterdir()] == ["rul.json"]


def test_no_seed_is_asked_wrongly(folder):
    assert CliRunner().invoke(APP, ["--data", str(folder), "--seeds", "0"]).exit_code == 2
