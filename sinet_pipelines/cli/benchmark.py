"""`sinet benchmark rul`: runs the published protocol on a folder of C-MAPSS; prints a table or JSON."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

Data = Annotated[Path, typer.Option("--data", help="a folder in NASA's C-MAPSS format")]
Subsets = Annotated[Optional[list[str]], typer.Option("--subset", help="FD001, ...; default: all in the folder")]  # noqa: UP045
Seeds = Annotated[int, typer.Option("--seeds", min=1, max=100, help="number of seeds, for mean and spread")]
Home = Annotated[Optional[Path], typer.Option("--home", help="also write the JSON to this home's benchmarks/")]  # noqa: UP045
Json = Annotated[bool, typer.Option("--json", help="print JSON alone")]


def command(data: Data, subset: Subsets = None, seeds: Seeds = 3, home: Home = None, as_json: Json = False) -> None:
    """Fit on the training file, predict the last row of every test engine, report RMSE and PHM08 score.

    Takes about three minutes for each subset and seed on two idle cores. The test file is used for the score alone.
    """
    from sinet_pipelines.applications import benchmark_of

    found = subset or benchmark_of("rul").find_subsets(data)
    figures = _run(data, subsets=list(dict.fromkeys(found)), seeds=seeds)
    text = json.dumps(figures, indent=2, allow_nan=False)
    if home is not None:
        keep_figures(text, home / "benchmarks" / "rul.json")
    if as_json:
        sys.stdout.write(text + "\n")
    else:
        _print_tables(figures)


def _run(data: Path, *, subsets: list[str], seeds: int) -> dict[str, Any]:
    """The benchmark with a bar on stderr."""
    from sinet_pipelines.applications import benchmark_of

    rul = benchmark_of("rul")
    with progress_bar(total=rul.n_fits(subsets=len(subsets), seeds=seeds)) as report:
        return rul.benchmark_rul(data, subsets=subsets, seeds=seeds, report=report)


@contextmanager
def progress_bar(*, total: int) -> Iterator[Callable[[str], None]]:
    """A progress bar on stderr; the body calls the function with the name of each finished one of `total` steps."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    # without a terminal the bar would be an empty line at its end
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("reading", total=total)
        yield lambda label: progress.update(bar, advance=1, description=label)


def keep_figures(text: str, path: Path) -> None:
    """Writes the figures to a file, completely or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    draft.write_text(text)
    draft.replace(path)


def _print_tables(figures: dict[str, Any]) -> None:
    """One row for each family, then mean and spread of the chosen ones, in 80 columns."""
    from rich.box import SIMPLE
    from rich.table import Table

    from sinet_pipelines.cli.terminal import Terminal

    protocol = figures["protocol"]
    console = Terminal()
    console.print(f"Fit: {protocol['fit']}. Predicted: {protocol['asked']}. Chosen by {protocol['choice']}.")
    table = Table(
        "subset",
        "seed",
        "family",
        title="truth capped at 125 / not capped; * is chosen",
        box=SIMPLE,
        padding=(0, 1, 0, 0),
    )
    for title in ("RMSE", "PHM08 score", "out of fold", "s"):
        table.add_column(title, justify="right", no_wrap=title != "out of fold")
    for row in figures["families"]:
        table.add_row(row["subset"], str(row["seed"]), row["family"] + " *" * row["chosen"], *_numbers(row, ""))
    for row in figures["summary"]:
        table.add_row(row["subset"], "mean", "*", *_numbers(row, "_mean"))
        if row["rmse_capped_sd"] is not None:
            table.add_row(row["subset"], "sd", "*", *_numbers(row, "_sd"))
    console.print(table)


def _numbers(row: dict[str, Any], suffix: str) -> list[str]:
    figure = {name.removesuffix(suffix): value for name, value in row.items() if name.endswith(suffix)}
    return [
        f"{figure['rmse_capped']:.2f}/{figure['rmse_uncapped']:.2f}",
        f"{figure['score_capped']:.0f}/{figure['score_uncapped']:.0f}",
        f"{figure['rmse_out_of_fold']:.2f}",
        f"{figure['seconds']:.0f}",
    ]
