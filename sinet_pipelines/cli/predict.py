"""`sinet predict`: the remaining useful life of live engines, or of an engine in a file, asked from a model server."""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from sinet_pipelines.cli.home import current_home
from sinet_pipelines.errors import ServingError, SourceError, UsageError
from sinet_pipelines.escaping import for_terminal
from sinet_pipelines.regions import REGIONS
from sinet_pipelines.words import counted

if TYPE_CHECKING:
    from sinet_pipelines.deployment.client import Answer
    from sinet_pipelines.features.sequences import Sequences

OUTPUTS = ("rul_cycles", "lower_cycles", "upper_cycles")
SHOWN = 5  # names of engines in a message


Units = Annotated[Optional[list[str]], typer.Option("--unit", help="an engine; may be repeated; default: all")]  # noqa: UP045
Window = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(help="telemetry of engines of your own (.csv, .json, .ndjson, .parquet), at their last cycle"),
]
Url = Annotated[Optional[str], typer.Option(help="HTTP root of a server; default: the champion's")]  # noqa: UP045
Home = Annotated[Optional[Path], typer.Option("--home", help="the home of one fleet; default: the one last run")]  # noqa: UP045
Json = Annotated[bool, typer.Option("--json", help="print JSON alone")]


def command(
    *, unit: Units = None, window: Window = None, url: Url = None, home: Home = None, as_json: Json = False
) -> None:
    """Predict how many cycles engines have left.

    Those that are live, or those of a file of your own.
    """
    sequences = read_windows(window) if window is not None else live_sequences(current_home(home))
    whole, refused = complete(choose(sequences, unit or ()))
    if refused and (window is not None or not len(whole)):
        raise SourceError(_refusal(window, refused))
    for name, reason in refused.items():
        print(for_terminal(f"sinet: no prediction for engine {name}: {reason}"), file=sys.stderr)
    answer = _ask(whole, url=url, home=home)
    answer["refused"] = [{"unit": name, "reason": reason} for name, reason in refused.items()]
    if as_json:
        json.dump(answer, sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        _print_table(answer)


def complete(sequences: "Sequences") -> tuple["Sequences", dict[str, str]]:
    """The sequences that hold enough cycles for a prediction, and why each other engine is refused."""
    import numpy as np

    from sinet_pipelines.features.completeness import shortfalls

    lacking = shortfalls(sequences)
    refused = {name: f"lacks {said}" for name, said in zip(sequences.unit, lacking, strict=True) if said is not None}
    return sequences.take(np.flatnonzero([said is None for said in lacking])), refused


def _refusal(window: Path | None, refused: Mapping[str, str]) -> str:
    """Why nothing is predicted, with the cure."""
    from sinet_pipelines.features.completeness import NEEDED

    shown = [f"engine {name} {reason}" for name, reason in list(refused.items())[:SHOWN]]
    more = f"; and {len(refused) - SHOWN} engines more" if len(refused) > SHOWN else ""
    cure = "add these rows to the file" if window is not None else "land these cycles"
    where = f"{window}: " if window is not None else ""
    return f"{where}{'; '.join(shown)}{more} (needed: {NEEDED}); {cure}, or name other engines by --unit"


def live_sequences(home: Path) -> "Sequences":
    """The windows of every live engine of every region, each at its latest cycle, sorted by unit.

    Raises:
        UsageError: there are none.
    """
    import polars as pl

    from sinet_pipelines.features.sequences import sequences_from_table
    from sinet_pipelines.schemas.features import LIVE_SEQUENCES
    from sinet_pipelines.storage.tables import TableStore, to_contract

    stores = [TableStore(str(home / "tables" / region.name)) for region in REGIONS]
    rows = pl.concat([store.read(LIVE_SEQUENCES) for store in stores])
    if rows.is_empty():
        raise UsageError(f"no live engine in {home}; `sinet run` makes their windows")
    latest = rows.sort("unit", "cycle").unique("unit", keep="last", maintain_order=True)
    return sequences_from_table(to_contract(latest, LIVE_SEQUENCES))


def read_windows(path: Path) -> "Sequences":
    """The windows of the engines of a telemetry file, each at its last cycle, sorted by unit.

    Raises:
        SourceError: the file cannot be read, lacks a column or a value, or has no rows.
    """
    from sinet_pipelines.features.sequences import latest_sequences
    from sinet_pipelines.ingestion.telemetry_file import read_telemetry_file

    found = read_telemetry_file(path)
    if found.copies:
        copies = counted(found.copies, "copy of a row is", "copies of rows are")
        print(for_terminal(f"sinet: {path}: {copies} left out"), file=sys.stderr)
    return latest_sequences(found.rows)


def choose(sequences: "Sequences", unit: Sequence[str]) -> "Sequences":
    """The sequences of the named engines, in the order named; all where none is.

    Raises:
        UsageError: one of them is not there.
    """
    import numpy as np

    if not unit:
        return sequences
    places = {name: place for place, name in enumerate(sequences.unit)}
    missing = [name for name in unit if name not in places]
    if missing:
        more = f" and {len(places) - SHOWN} more" if len(places) > SHOWN else ""
        there = ", ".join(sequences.unit[:SHOWN]) + more
        raise UsageError(f"no engine {', '.join(map(repr, missing))} (there: {there}); name one of those")
    wanted = [places[name] for name in dict.fromkeys(unit)]
    return sequences.take(np.asarray(wanted))


def _ask(sequences: "Sequences", *, url: str | None, home: Path | None) -> dict[str, Any]:
    """The predictions in the words of DESIGN: lower and upper are null where the model gives no interval."""
    inputs = {
        "window": sequences.window_BTC,
        "first_cycles": sequences.first_cycles_BTC,
        "cycle": sequences.cycle_B.reshape(-1, 1).astype("float32"),
    }
    answer = _ask_url(url, inputs) if url is not None else _ask_champion(current_home(home), inputs)
    if OUTPUTS[0] not in answer.outputs:
        raise ServingError(
            f"{answer.model!r} gives {', '.join(answer.outputs)} (needed: {OUTPUTS[0]}); ask another model"
        )
    columns = {name: answer.outputs[name].ravel().tolist() for name in OUTPUTS if name in answer.outputs}
    predictions = [
        {"unit": unit} | {name: _number(columns[name][row]) if name in columns else None for name in OUTPUTS}
        for row, unit in enumerate(sequences.unit)
    ]
    return {"predictions": predictions, "model": answer.model, "version": answer.version}


def _ask_url(url: str, inputs: Mapping[str, Any]) -> "Answer":
    from sinet_pipelines.deployment.client import ask, ready_models

    models = ready_models(url)
    if len(models) != 1:
        found = ", ".join(models) or "none"
        raise UsageError(f"{url} answers for {len(models)} models ({found}; allowed: one); give the root of another")
    return ask(url, models[0], inputs)


def _ask_champion(home: Path, inputs: Mapping[str, Any]) -> "Answer":
    from sinet_pipelines.deployment.client import ask_at
    from sinet_pipelines.deployment.cluster.asking import ask_recorded
    from sinet_pipelines.deployment.cluster.record import recorded
    from sinet_pipelines.deployment.endpoint import endpoint_folders, read_current, side_name

    in_clusters = recorded(home)
    found = {folder: read_current(folder) for folder in endpoint_folders(home)}
    processes = {folder for folder, e in found.items() if e is not None and e.name != side_name(e.model, e.version)}
    champions = sorted(processes | set(in_clusters))
    if not champions:
        raise ServingError(f"no model server was started in {home}; start one with `sinet run` or `sinet serve`")
    if len(champions) > 1:
        names = ", ".join(folder.name for folder in champions)
        raise UsageError(f"{len(champions)} endpoints are there ({names}; allowed: one); name one by its --url")
    (champion,) = champions
    return ask_recorded(in_clusters[champion], inputs) if champion in in_clusters else ask_at(champion, inputs)


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _print_table(answer: Mapping[str, Any]) -> None:
    from rich.table import Table

    from sinet_pipelines.cli.terminal import Terminal

    table = Table("engine", "remaining cycles", "from", "to", title=f"{answer['model']} version {answer['version']}")
    for row in answer["predictions"]:
        figures = ("-" if row[name] is None else f"{row[name]:.1f}" for name in OUTPUTS)
        table.add_row(row["unit"], *figures)
    Terminal().print(table)
