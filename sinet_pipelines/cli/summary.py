"""Prints the summary of `sinet run`: place, time and key figure of each asset, champion, baselines and endpoint."""

import json
import shutil
import sys
from operator import itemgetter
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sinet_pipelines.cli.home import find_project
from sinet_pipelines.cli.status import COLOURS, print_following, read_status, short_name
from sinet_pipelines.cli.terminal import Terminal, coloured
from sinet_pipelines.errors import FailedError
from sinet_pipelines.escaping import for_terminal, from_markdown
from sinet_pipelines.words import counted

if TYPE_CHECKING:
    from sinet_pipelines.cli.run import RunResult

FIGURE_WIDTH = 72  # characters; the whole sentence is on the asset's page
#: Key figures: the first of these that an asset's materialisation has is shown.
KEY_FIGURES = (
    "rmse_capped_cycles",
    "soonest_rul_cycles",
    "agreement",
    "decision",
    "regimes",
    "engines",
    "url",
    "history_rows",
)
#: Metadata of `evaluation` about a challenger.
SUMMARY = "summary"  # entry of an asset: a sentence for the end of `sinet run`


def report(home: Path, result: "RunResult", *, seconds: float, as_json: bool) -> int:
    """Prints what the run did; returns the exit code: 0 once the endpoint responds, even if single days failed."""
    facts = read_status(home, find_project())
    figures = _figures(home, [asset["asset"] for asset in facts["assets"]])
    code = _exit_code(result, is_answering=any(endpoint["ready"] for endpoint in facts["endpoints"]))
    for failure in result.failures:
        print(for_terminal(f"sinet: {failure.asset} failed: {failure.reason}"), file=sys.stderr)
    if as_json:
        json.dump(
            {
                **facts,
                "seconds": round(seconds, 3),
                "made": sorted(result.seconds),
                "failed": [failure.asset for failure in result.failures],
            },
            sys.stdout,
        )
        sys.stdout.write("\n")
        return code
    console = Terminal()
    if not result.seconds:
        console.print(f"nothing to do: every asset is up to date ({seconds:.1f} s)")
    else:
        console.print(_table(facts, result, figures))
    _print_judgement(console, facts, figures)
    if facts["unused_files"]:
        console.print(f"files not used: {len(facts['unused_files'])} (`sinet status` lists them)")
    console.print(f"{counted(len(result.seconds), 'asset')} in {counted(result.runs, 'run')}, {seconds:.1f} s")
    return code


def _exit_code(result: "RunResult", *, is_answering: bool) -> int:
    """1 where a check stopped the run, 2 or 3 where another failure did; the failure of a single day stops nothing."""
    stopped = [failure.exit_code for failure in result.failures if not (failure.is_refusal and is_answering)]
    if not stopped and not is_answering:
        return FailedError.exit_code
    return max(stopped, default=0)


def _table(facts: dict[str, Any], result: "RunResult", figures: dict[str, dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("application", "asset", "region", "hardware", "state", "s", "rows", "key figure"):
        table.add_column(heading, justify="right" if heading in ("s", "rows") else "left")
    for asset in sorted(facts["assets"], key=itemgetter("application")):  # of each, upstream first
        own = figures.get(asset["asset"], {})
        days = asset["partitions"]
        total = sum(days.values())
        key = f"{days['done']} of {total} days" if total else _key_figure(own)
        failing = [check["name"] for check in asset["checks"] if not check["passed"]]
        table.add_row(
            asset["application"],
            short_name(asset),
            asset["region"],
            asset["hardware"],
            coloured(asset["state"], COLOURS[asset["state"]]),
            f"{result.seconds[asset['asset']]:.1f}" if asset["asset"] in result.seconds else "",
            "" if total else str(own.get("dagster/row_count", "")),
            Text(key) + (coloured(f"  {', '.join(failing)} failed", "red") if failing else Text()),
        )
    return table


def _key_figure(own: dict[str, Any]) -> str:
    for name in KEY_FIGURES:
        if name in own:
            value = in_full(own, name) if isinstance(own[name], str) else own[name]
            return shorten(value, FIGURE_WIDTH, placeholder=" ...") if isinstance(value, str) else f"{name} {value}"
    return ""


def _print_judgement(console: Console, facts: dict[str, Any], figures: dict[str, dict[str, Any]]) -> None:
    simulated = " on a simulated fleet" if facts["simulated"] else ""
    for name, own in figures.items():
        if isinstance(own.get(SUMMARY), str):
            console.print(f"{name.split('/')[-2]}{simulated}: {in_full(own, SUMMARY)}", markup=False)
    rows = facts["rows"]
    console.print(
        f"rows{simulated}: {rows['sent']} sent = {rows['landed']} landed + {rows['duplicates']} duplicates; landed = "
        f"{rows['in_tables']} in tables + {rows['quarantined']} quarantined + {rows['withheld']} withheld + "
        f"{rows['pending']} pending",
    )
    for endpoint in facts["endpoints"]:
        console.print(endpoint_state(endpoint))
    print_following(console, Path(facts["home"]))
    spelled = "sinet" if shutil.which("sinet") else ".venv/bin/sinet"
    console.print(f"predict: {spelled} predict        pages: make ui        stop: make stop")


def endpoint_state(endpoint: dict[str, Any]) -> str:
    """The state of an endpoint after a run; one whose cluster does not respond from here is not called dead."""
    is_known = endpoint.get("known", True)
    state = "ready" if endpoint["ready"] else "NOT ready" if is_known else "not known whether it is ready"
    why = f"; {endpoint['reason']}" if endpoint.get("reason") else ""
    return (
        f"endpoint: {endpoint['model']} version {endpoint['version']} in {endpoint['region']} "
        f"at {endpoint['url']}, {state}{why}"
    )


def in_full(own: dict[str, Any], name: str) -> str:
    """The full sentence of a metadata entry, of which a page shows the beginning."""
    whole = own.get(f"{name}_in_full")
    return from_markdown(whole) if whole else str(own[name])


def _figures(home: Path, assets: list[str]) -> dict[str, dict[str, Any]]:
    """The metadata of each asset's last materialisation."""
    from dagster import AssetKey

    from sinet_pipelines.cli.orchestrator import opened_instance

    found = {}
    with opened_instance() as instance:
        for name in assets:
            event = instance.get_latest_materialization_event(AssetKey(name.split("/")))
            if event is not None and event.asset_materialization is not None:
                metadata = event.asset_materialization.metadata
                found[name] = {key: getattr(value, "value", None) for key, value in metadata.items()}
    return found
