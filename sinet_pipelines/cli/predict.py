"""`sinet predict`: the remaining useful life of live engines, or of an engine in a file, asked from a model server."""

import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from sinet_pipelines.cli.home import current_home
from sinet_pipelines.errors import ServingError, SourceError, UsageError
from sinet_pipelines.regions import REGIONS

if TYPE_CHECKING:
    import polars as pl

    from sinet_pipelines.deployment.client import Answer
    from sinet_pipelines.features.sequences import Sequences

OUTPUTS = ("rul_cycles", "lower_cycles", "upper_cycles")
SHOWN = 5  # names of engines in a message


Units = Annotated[Optional[list[str]], typer.Option("--unit", help="an engine; may be repeated; default: all")]  # noqa: UP045
Window = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(help="telemetry of engines of your own (.csv, .parquet, .json), asked about at their last cycle"),
]
Url = Annotated[Optional[str], typer.Option(help="HTTP root of a server; default: the champion's")]  # noqa: UP045
Home = Annotated[Optional[Path], typer.Option("--home", help="the home of one fleet; default: the one last run")]  # noqa: UP045
Json = Annotated[bool, typer.Option("--json", help="print JSON alone")]


def command(
    *, unit: Units = None, window: Window = None, url: Url = None, home: Home = None, as_json: Json = False
) -> None:
    """Ask the champion's server how many cycles each live engine has left, or an engine of your own."""
    sequences = read_windows(window) if window is not None else live_sequences(current_home(home))
    answer = _ask(choose(sequences, unit or ()), url=url, home=home)
    if as_json:
        json.dump(answer, sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        _print_table(answer)


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
        ContractError: a cycle of an engine is there twice.
    """
    import polars as pl

    from sinet_pipelines.features.sequences import sequence_windows

    rows = _read_rows(path)
    at = rows.group_by("unit").agg(pl.col("cycle").max()).sort("unit")
    return sequence_windows(rows, at=at)


def choose(sequences: "Sequences", unit: Sequence[str]) -> "Sequences":
    """The sequences of the named engines, in the order named; all where none is.

    Raises:
        UsageError: one of them is not there.
    """
    from sinet_pipelines.features.sequences import Sequences

    if not unit:
        return sequences
    places = {name: place for place, name in enumerate(sequences.unit)}
    missing = [name for name in unit if name not in places]
    if missing:
        more = f" and {len(places) - SHOWN} more" if len(places) > SHOWN else ""
        there = ", ".join(sequences.unit[:SHOWN]) + more
        raise UsageError(f"no engine {', '.join(map(repr, missing))} (there: {there}); name one of those")
    wanted = [places[name] for name in dict.fromkeys(unit)]
    return Sequences(
        unit=tuple(sequences.unit[place] for place in wanted),
        cycle_B=sequences.cycle_B[wanted],
        window_BTC=sequences.window_BTC[wanted],
        first_cycles_BTC=sequences.first_cycles_BTC[wanted],
    )


def _read_rows(path: Path) -> "pl.DataFrame":
    """Unit, cycle and channels of a file, every value there and a number."""
    import polars as pl

    from sinet_pipelines.schemas.telemetry import CHANNELS

    readers: dict[str, Callable[..., pl.DataFrame]] = {
        ".csv": pl.read_csv,
        ".parquet": pl.read_parquet,
        ".json": pl.read_json,
    }
    if path.suffix not in readers:
        raise SourceError(f"{path} is no telemetry file (allowed: {', '.join(readers)}); convert it to one of those")
    if not path.is_file():
        raise SourceError(f"no file {path}; name one with a drop's columns ({', '.join(readers)})")
    try:
        found = readers[path.suffix](path)
        missing = [name for name in ("unit", "cycle", *CHANNELS) if name not in found.columns]
        if missing:
            raise SourceError(f"{path} lacks {', '.join(missing)}; a drop's columns are needed, one row a cycle")
        numbers = [pl.col(name).cast(pl.Float64) for name in CHANNELS]
        rows = found.select(pl.col("unit").cast(pl.String), pl.col("cycle").cast(pl.Int32), *numbers)
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise SourceError(
            f"{path} cannot be read as telemetry: {reason}; give a drop's columns, numbers in all"
        ) from error
    _check_values(rows, path)
    return rows


def _check_values(rows: "pl.DataFrame", path: Path) -> None:
    """Refuses what validation would have set aside: a served model sees only whole rows within their bounds."""
    import polars as pl

    from sinet_pipelines.schemas.telemetry import SENSORS, SETTINGS

    if rows.is_empty():
        raise SourceError(f"{path} has no rows; give at least one cycle of an engine")
    gaps = rows.filter(pl.any_horizontal(pl.all().is_null(), pl.selectors.float().is_finite().not_()))
    if not gaps.is_empty():
        unit, cycle = gaps.row(0)[:2]
        raise SourceError(f"{path} has no number in a column of engine {unit}, cycle {cycle}; leave that row out")
    for column in (*SETTINGS, *SENSORS):
        odd = rows.filter(~pl.col(column.name).is_between(column.minimum, column.maximum))
        if not odd.is_empty():
            unit, cycle, value = odd.select("unit", "cycle", column.name).row(0)
            raise SourceError(
                f"{path} has {column.name} {value:g} in engine {unit}, cycle {cycle} ({odd.height} rows; allowed: "
                f"{column.minimum:g} to {column.maximum:g} {column.unit}); is it in another unit?"
            )
    first = rows.select(pl.col("cycle").min()).item()
    if first < 1:
        raise SourceError(f"{path} has cycle {first} (allowed: from 1); count cycles from 1")


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
    from sinet_pipelines.deployment.endpoint import endpoint_folders, read_current, side_name

    found = {folder: read_current(folder) for folder in endpoint_folders(home)}
    champions = [folder for folder, e in found.items() if e is not None and e.name != side_name(e.model, e.version)]
    if not champions:
        raise ServingError(f"no model server was started in {home}; start one with `sinet run` or `sinet serve`")
    if len(champions) > 1:
        names = ", ".join(folder.name for folder in champions)
        raise UsageError(f"{len(champions)} endpoints are there ({names}; allowed: one); name one by its --url")
    return ask_at(champions[0], inputs)


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _print_table(answer: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("engine", "remaining cycles", "from", "to", title=f"{answer['model']} version {answer['version']}")
    for row in answer["predictions"]:
        table.add_row(row["unit"], *("-" if row[name] is None else f"{row[name]:.1f}" for name in OUTPUTS))
    Console().print(table)
