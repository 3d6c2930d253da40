"""`sinet benchmark failure`: cross-validated failure prediction on the AI4I 2020 table, as tables or as JSON."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from sinet_pipelines.cli.benchmark import Home, Json, keep_figures, progress_bar

Data = Annotated[Path, typer.Option("--data", help="a folder with ai4i2020.csv, the AI4I 2020 table")]
Seeds = Annotated[int, typer.Option("--seeds", min=1, max=100, help="number of seeds, for mean and spread")]
FIGURES = {"f1": "F1", "pr_auc": "PR-AUC", "precision": "precision", "recall": "recall"}


def command(data: Data, seeds: Seeds = 5, home: Home = None, as_json: Json = False) -> None:
    """Cross-validate failure models on AI4I 2020: stratified 5-fold, F1, PR-AUC, precision and recall out of fold.

    Calibration, threshold and choice of the model are made inside the training folds.
    """
    figures = _run(data, seeds=seeds)
    text = json.dumps(figures, indent=2, allow_nan=False)
    if home is not None:
        keep_figures(text, home / "benchmarks" / "failure.json")
    if as_json:
        sys.stdout.write(text + "\n")
    else:
        _print_tables(figures)


def _run(data: Path, *, seeds: int) -> dict[str, Any]:
    """The benchmark with a bar on stderr."""
    from sinet_pipelines.applications import benchmark_of

    failure = benchmark_of("failure")
    with progress_bar(total=failure.n_fits(seeds=seeds)) as report:
        return failure.benchmark_failure(data, seeds=seeds, report=report)


def _print_tables(figures: dict[str, Any]) -> None:
    """Families by seed with mean and spread of the chosen ones, then types, modes and calibration over all seeds."""
    from sinet_pipelines.cli.terminal import Terminal

    console = Terminal()
    protocol = figures["protocol"]
    console.print(f"{protocol['products']} products, {protocol['failures']} failures. Folds: {protocol['folds']}.")
    console.print(f"Threshold: {protocol['threshold']}. Choice: {protocol['choice']}.")
    console.print(_family_table(figures))
    console.print(_mean_table(figures["by_type"], by="type", counts=("products", "failures"), means=FIGURES))
    console.print(_mean_table(figures["recall_by_mode"], by="mode", counts=("failures",), means={"recall": "recall"}))
    bins = [{**row, "probability": f"{row['from']:g} to {row['to']:g}"} for row in figures["calibration"]]
    means = {"products": "products", "predicted": "predicted", "observed": "observed"}
    console.print(_mean_table(bins, by="probability", counts=(), means=means))
    for sentence in figures["warnings"]:
        console.print(f"Warning: {sentence}.")


def _family_table(figures: dict[str, Any]) -> Any:
    table = _table("seed", "family", "chosen", title="out-of-fold figures; chosen: in how many folds")
    for title in (*FIGURES.values(), "s"):
        table.add_column(title, justify="right")
    for row in figures["families"]:
        table.add_row(str(row["seed"]), row["family"], str(row["chosen_folds"]), *_numbers(row), "")
    for row in figures["results"]:
        folds = str(len(row["chosen_in_fold"]))
        table.add_row(str(row["seed"]), "chosen in each fold", folds, *_numbers(row), f"{row['seconds']:.0f}")
    for row in figures["summary"]:
        table.add_row("mean", "chosen in each fold", "", *_numbers(row, "_mean"), f"{row['seconds_mean']:.0f}")
        if row["f1_sd"] is not None:
            table.add_row("sd", "chosen in each fold", "", *_numbers(row, "_sd"), f"{row['seconds_sd']:.0f}")
    return table


def _mean_table(rows: list[dict[str, Any]], *, by: str, counts: tuple[str, ...], means: dict[str, str]) -> Any:
    """One row for each value of a column, figures averaged over the seeds."""
    table = _table(by, title=f"by {by}, mean over the seeds")
    for title in (*counts, *means.values()):
        table.add_column(title, justify="right")
    for value in dict.fromkeys(row[by] for row in rows):
        group = [row for row in rows if row[by] == value]
        averages = [sum(row[name] for row in group) / len(group) for name in means]
        shown = [
            f"{mean:.0f}" if name == "products" else f"{mean:.3f}" for name, mean in zip(means, averages, strict=True)
        ]
        table.add_row(str(value), *(str(group[0][name]) for name in counts), *shown)
    return table


def _table(*columns: str, title: str) -> Any:
    from rich.box import SIMPLE
    from rich.table import Table

    return Table(*columns, title=title, box=SIMPLE, padding=(0, 1, 0, 0))


def _numbers(row: dict[str, Any], suffix: str = "") -> list[str]:
    return [f"{row[name + suffix]:.3f}" for name in FIGURES]
