import json
import subprocess
import sys
import warnings
from dataclasses import replace

import polars as pl
import pytest

with warnings.catch_warnings():  # typer takes names from click.utils that click says it will move
    warnings.filterwarnings("ignore", r"'click\.utils\.\w+' is deprecated", DeprecationWarning)
    import typer
    from typer.testing import CliRunner

    from sinet_pipelines.cli.benchmark_failure import command

from sinet_pipelines.applications.milling import benchmark
from sinet_pipelines.applications.milling.families import BOOSTED_TREES, PublishedRules
from sinet_pipelines.applications.milling.reader import HEADERS
from sinet_pipelines.applications.milling.simulator import simulate_records

APP = typer.Typer()
APP.command()(command)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """1,000 simulated products as the published table is written."""
    place = tmp_path_factory.mktemp("milling")
    rows = simulate_records(records=1000, seed=7)
    published = rows.select(pl.col(column.name).alias(header) for header, column in HEADERS.items())
    published.write_csv(place / "ai4i2020.csv", include_bom=True)
    return place


@pytest.fixture(autouse=True)
def few_trees(monkeypatch):
    monkeypatch.setattr(benchmark, "MEMBERS", (replace(BOOSTED_TREES, trees=5),))
    monkeypatch.setattr(benchmark, "BASELINES", (PublishedRules(),))


def test_json_alone_is_on_stdout_and_a_home_keeps_it(folder, tmp_path):
    arguments = ["--data", str(folder), "--seeds", "2", "--json", "--home", str(tmp_path)]
    result = CliRunner().invoke(APP, arguments)
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    assert set(content) >= {"protocol", "results", "summary", "families"}
    assert [(row["subset"], row["seed"]) for row in content["results"]] == [("ai4i2020", 0), ("ai4i2020", 1)]
    assert set(content["results"][0]) >= {"f1", "pr_auc", "precision", "recall", "seconds"}
    assert content["summary"][0]["pr_auc_sd"] >= 0.0
    assert json.loads((tmp_path / "benchmarks" / "failure.json").read_text()) == content


def test_without_json_people_read_tables(folder):
    result = CliRunner().invoke(APP, ["--data", str(folder), "--seeds", "1"], env={"COLUMNS": "80"})
    assert result.exit_code == 0, result.output
    for words in (
        "1000 products",
        "published_rules",
        "chosen in each fold",
        "PR-AUC",
        "overstrain_failure",
        "observed",
    ):
        assert words in result.stdout


def test_no_seed_is_asked_wrongly(folder):
    assert CliRunner().invoke(APP, ["--data", str(folder), "--seeds", "0"]).exit_code == 2


@pytest.mark.slow
def test_another_data_set_gives_one_sentence_and_exit_code_2(tmp_path):
    (tmp_path / "train_FD001.txt").write_text("1 1 0.0\n")
    command = [sys.executable, "-m", "sinet_pipelines.cli", "benchmark", "failure", "--data", str(tmp_path), "--json"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith(f"sinet: {tmp_path} has no ai4i2020.csv (there: train_FD001.txt)")
