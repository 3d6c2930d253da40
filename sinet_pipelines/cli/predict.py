"""`sinet predict`: requests predictions from a model server, for an application's newest rows or the rows of a file."""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from sinet_pipelines.cli.home import current_home
from sinet_pipelines.cli.predict_similar import print_similar, similar_to
from sinet_pipelines.errors import ServingError, SourceError, UsageError
from sinet_pipelines.escaping import for_terminal
from sinet_pipelines.inventory.regions import this_inventory

if TYPE_CHECKING:
    from sinet_pipelines.applications.application import Application
    from sinet_pipelines.deployment.client import Prediction
    from sinet_pipelines.deployment.served_model import Requests, ServedModel
    from sinet_pipelines.models.task import Task

SHOWN = 5  # names of rows in a message


Units = Annotated[Optional[list[str]], typer.Option("--unit", help="an engine; can be repeated; default: all")]  # noqa: UP045
Window = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(help="a file of your own rows (.csv, .json, .ndjson, .parquet) in the application's format"),
]
Model = Annotated[Optional[str], typer.Option("--model", help="name of a model; default: the one that serves")]  # noqa: UP045
Url = Annotated[Optional[str], typer.Option(help="HTTP root of a server; default: the champion's")]  # noqa: UP045
Home = Annotated[Optional[Path], typer.Option("--home", help="the home of one fleet; default: the one last run")]  # noqa: UP045
Json = Annotated[bool, typer.Option("--json", help="print JSON alone")]
Similar = Annotated[bool, typer.Option("--similar", help="also print the 10 past failures most similar to each unit")]


def command(
    *,
    unit: Units = None,
    window: Window = None,
    model: Model = None,
    url: Url = None,
    home: Home = None,
    similar: Similar = False,
    as_json: Json = False,
) -> None:
    """Predict for an application's newest rows or for a file.

    For turbofan these are the remaining cycles of live engines.
    """
    if similar and window is not None:
        raise UsageError("--similar compares units of a home, and --window has rows of a file; leave one of both out")
    name = _name_of_model(model, url=url, home=home)
    application = application_of(name)
    served = application.require_served()
    requests = served.of_file(window) if window is not None else newest_rows(current_home(home), application)
    for note in requests.notes:
        print(for_terminal(f"sinet: {note}"), file=sys.stderr)
    requests = choose(requests, unit or (), noun=served.noun)
    whole, refused = complete(requests)
    if refused and (window is not None or not len(whole)):
        raise SourceError(_refusal(window, refused, served))
    for group, reason in refused.items():
        print(for_terminal(f"sinet: no prediction for {served.noun} {group}: {reason}"), file=sys.stderr)
    answer = _predictions(whole, served, model=name if url is None else model, url=url, home=home)
    answer["refused"] = [{"unit": group, "reason": reason} for group, reason in refused.items()]
    if similar:
        answer["similar"] = similar_to(current_home(home), application, whole.names)
    if as_json:
        json.dump(answer, sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        _print_table(answer, served)
        if similar:
            print_similar(answer["similar"], noun=served.noun)


def application_of(model: str | None) -> "Application":
    """The application of a model; the first application with an endpoint where the name belongs to none.

    Raises:
        UsageError: no application has an endpoint.
    """
    from sinet_pipelines.applications import load_applications

    serving = [one for one in load_applications() if one.served is not None]
    if not serving:
        raise UsageError("no application has an endpoint (needed: one with `served`); add it to the application")
    own = [one for one in serving if model is not None and _is_of(model, one)]
    return (own or serving)[0]


def _is_of(model: str, application: "Application") -> bool:
    return model == application.model or model.startswith(f"{application.name}_")


def _name_of_model(model: str | None, *, url: str | None, home: Path | None) -> str | None:
    """The name of the model that will predict; None where none responds, which is reported after the rows are read."""
    from sinet_pipelines.deployment.client import ready_models

    if model is not None:
        return model
    if url is not None:
        try:
            models = ready_models(url)
        except ServingError:
            return None
        return models[0] if len(models) == 1 else None
    names = [champion.name for champion in _champions(current_home(home))]
    return names[0] if len(names) == 1 else _first_of(names)


def _first_of(names: Sequence[str]) -> str | None:
    """The endpoint of the first application where several serve; the other names are printed on stderr.

    None where no endpoint belongs to an application, or all belong to one.
    """
    from sinet_pipelines.applications import load_applications

    own = [one.model for one in load_applications() if one.model in names]
    if len(own) < 2:
        return own[0] if own else None
    others = ", ".join(name for name in names if name != own[0])
    print(for_terminal(f"sinet: {own[0]} predicts; name another with --model ({others})"), file=sys.stderr)
    return own[0]


def complete(requests: "Requests") -> tuple["Requests", dict[str, str]]:
    """The requests with enough rows for a prediction, and the reason why each other one is rejected."""
    pairs = zip(requests.names, requests.lacking, strict=True)
    refused = {name: f"lacks {lacks}" for name, lacks in pairs if lacks is not None}
    return requests.take(requests.is_whole_B), refused


def _refusal(window: Path | None, refused: Mapping[str, str], served: "ServedModel") -> str:
    """Why there is no prediction, and the cure."""
    shown = [f"{served.noun} {name} {reason}" for name, reason in list(refused.items())[:SHOWN]]
    more = f"; and {len(refused) - SHOWN} {served.task.groups} more" if len(refused) > SHOWN else ""
    cure = "add these rows to the file" if window is not None else served.cure
    where = f"{window}: " if window is not None else ""
    others = f"or name other {served.task.groups} by --unit"
    return f"{where}{'; '.join(shown)}{more} (needed: {served.needed}); {cure}, {others}"


def newest_rows(home: Path, application: "Application") -> "Requests":
    """The newest row of every group in every region, sorted by name.

    Raises:
        UsageError: there are none.
    """
    import polars as pl

    from sinet_pipelines.storage.tables import tables_of

    served = application.require_served()
    task = served.task
    stores = [tables_of(home, region, application.name) for region in this_inventory().names]
    rows = pl.concat([store.read(served.table) for store in stores])
    if rows.is_empty():
        raise UsageError(f"no live {served.noun} in {home}; `sinet run` makes their rows")
    ordered = rows.sort(task.group, task.order)
    return served.of_table(ordered.unique(task.group, keep="last", maintain_order=True))


def choose(requests: "Requests", unit: Sequence[str], *, noun: str) -> "Requests":
    """The requests of the named rows, in the order of the names; all requests where no name is passed.

    Raises:
        UsageError: one of the names is not found.
    """
    import numpy as np

    if not unit:
        return requests
    places = {name: place for place, name in enumerate(requests.names)}
    missing = [name for name in unit if name not in places]
    if missing:
        more = f" and {len(places) - SHOWN} more" if len(places) > SHOWN else ""
        there = ", ".join(requests.names[:SHOWN]) + more
        raise UsageError(f"no {noun} {', '.join(map(repr, missing))} (there: {there}); name one of those")
    return requests.take(np.asarray([places[name] for name in dict.fromkeys(unit)]))


def _predictions(
    requests: "Requests", served: "ServedModel", *, model: str | None, url: str | None, home: Path | None
) -> dict[str, Any]:
    """The predictions in the JSON form of `sinet predict`; an output that the model lacks is null."""
    outputs, inputs = served.task.outputs, requests.inputs
    answer = (
        _predict_at_url(url, inputs, model)
        if url is not None
        else _predict_by_champion(current_home(home), inputs, model)
    )
    if outputs[0] not in answer.outputs:
        raise ServingError(
            f"{answer.model!r} returns {', '.join(answer.outputs)} (needed: {outputs[0]}); use another model"
        )
    columns = {name: answer.outputs[name].ravel().tolist() for name in outputs if name in answer.outputs}
    predictions = [
        {"unit": unit}
        | {name: _value(columns[name][row], served.task, name) if name in columns else None for name in outputs}
        for row, unit in enumerate(requests.names)
    ]
    return {"predictions": predictions, "model": answer.model, "version": answer.version}


def _predict_at_url(url: str, inputs: Mapping[str, Any], model: str | None) -> "Prediction":
    from sinet_pipelines.deployment.client import predict, ready_models

    models = [name for name in ready_models(url) if model in (None, name)]
    if len(models) != 1:
        found = ", ".join(models) or "none"
        raise UsageError(
            f"{url} serves {len(models)} models ({found}; allowed: one); use the root of another, or --model"
        )
    return predict(url, models[0], inputs)


def _champions(home: Path) -> list[Path]:
    """Folders of the champions' endpoints, in a process or in a cluster."""
    from sinet_pipelines.deployment.cluster.record import recorded
    from sinet_pipelines.deployment.endpoint import endpoint_folders, read_current, side_name

    found = {folder: read_current(folder) for folder in endpoint_folders(home)}
    processes = {folder for folder, e in found.items() if e is not None and e.name != side_name(e.model, e.version)}
    return sorted(processes | set(recorded(home)))


def _predict_by_champion(home: Path, inputs: Mapping[str, Any], model: str | None) -> "Prediction":
    from sinet_pipelines.deployment.client import predict_at
    from sinet_pipelines.deployment.cluster.prediction import predict_recorded
    from sinet_pipelines.deployment.cluster.record import recorded

    champions = [folder for folder in _champions(home) if model in (None, folder.name)]
    if not champions:
        raise ServingError(f"no model server was started in {home}; start one with `sinet run` or `sinet serve`")
    if len(champions) > 1:
        names = ", ".join(folder.name for folder in champions)
        raise UsageError(f"{len(champions)} endpoints exist ({names}; allowed: one); name one with --model")
    (champion,) = champions
    in_clusters = recorded(home)
    if champion not in in_clusters:
        return predict_at(champion, inputs)
    record = in_clusters[champion]
    return predict_recorded(record, inputs, region=this_inventory().region(record.region))


def _value(value: float, task: "Task", output: str) -> float | bool | None:
    """The value of an output: a number, a boolean for a warning, None where it is not a number."""
    if not math.isfinite(value):
        return None
    return value >= 0.5 if task.is_flag(output) else value


def _shown(value: float | bool | None, digits: int) -> str:
    if value is None:
        return "-"
    return ("yes" if value else "no") if isinstance(value, bool) else f"{value:.{digits}f}"


def _print_table(answer: Mapping[str, Any], served: "ServedModel") -> None:
    from rich.table import Table

    from sinet_pipelines.cli.terminal import Terminal

    table = Table(served.noun, *served.headings, title=f"{answer['model']} version {answer['version']}")
    for row in answer["predictions"]:
        figures = (_shown(row[name], served.digits) for name in served.task.outputs)
        table.add_row(row["unit"], *figures)
    Terminal().print(table)
