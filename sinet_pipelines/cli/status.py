"""`sinet status`: assets, checks, days, models, endpoints and the account of the rows, as they are now."""

import json
import sys
from collections import ChainMap
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sinet_pipelines.cli.home import CACHE, current_home, find_project
from sinet_pipelines.cli.terminal import Terminal, coloured
from sinet_pipelines.errors import UsageError
from sinet_pipelines.words import counted

if TYPE_CHECKING:
    from sinet_pipelines.monitoring.row_account import RowAccount
    from sinet_pipelines.storage.tables import TableStore

SHOWN_DAYS = 3  # of a check that failed on many days
SHOWN_FILES = 20  # unused files shown in the table
COLOURS = {"done": "green", "partial": "yellow", "failed": "red", "missing": "dim", "running": "cyan"}


def show_status(*, home: Path | None, project: Path | None, as_json: bool) -> None:
    """Prints the state of a home, as tables or as the JSON that others build on."""
    facts = read_status(current_home(home), find_project(project))
    if as_json:
        json.dump(facts, sys.stdout, indent=2)
        sys.stdout.write("\n")
        return
    console = Terminal()
    console.print(f"home {facts['home']}  fleet {facts['fleet']}{' (simulated)' if facts['simulated'] else ''}")
    console.print(_assets_table(facts["assets"]))
    _print_failures(console, facts["assets"])
    console.print(_rows_line(facts["rows"]))
    for region, rows in facts["unknown_regions"].items():
        if rows["landed"]:
            console.print(
                f"of these, {rows['landed']} are in landing/{region}, which is no region of the registry: no run reads "
                "them; what to do stands beside its files below"
            )
    if facts["unused_files"]:
        unused = counted(len(facts["unused_files"]), "file")
        console.print(f"{unused} of the landing zone not used; `sent` counts only what is in a folder of a day")
        console.print(_unused_table(facts["unused_files"]))
    for sentence in facts["storage_faults"][:SHOWN_FILES]:
        console.print(Text(f"storage: {sentence}", "red"))
    for model in facts["models"]:
        console.print(_model_line(model))
    for endpoint in facts["endpoints"]:
        console.print(endpoint_line(endpoint), highlight=False, markup=False)
    print_following(console, Path(facts["home"]))
    if not facts["endpoints"]:
        console.print("endpoint: no server runs; `sinet run` starts the champion's")


def endpoint_line(endpoint: dict[str, Any]) -> str:
    """How an endpoint stands; of one that a cluster serves also the version, and what is not as it was applied."""
    ready = "ready" if endpoint["ready"] else "not answering" if endpoint.get("known", True) else "not known"
    served = f", version {endpoint['version']}, {endpoint['target']} of its cluster" if "target" in endpoint else ""
    line = f"endpoint {endpoint['name']} in {endpoint['region']} at {endpoint['url']}: {ready}{served}"
    return f"{line}; {endpoint['reason']}" if endpoint.get("reason") else line


def print_following(console: Console, home: Path) -> None:
    """Says where an endpoint serves another version than the one that has the alias in MLflow, and why."""
    from sinet_pipelines.deployment.following import follow

    for endpoint in follow(home):
        if endpoint.reason:
            console.print(f"endpoint: {endpoint.reason}", highlight=False, markup=False)


def read_status(home: Path, project: Path) -> dict[str, Any]:
    """The facts of `sinet status --json`.

    What comes from the log and from storage is read again only where one of them changed; models and servers are
    looked at each time.
    """
    from sinet_pipelines.cli.orchestrator import go_to
    from sinet_pipelines.cli.snapshot import keep_snapshot, read_snapshot, signature_of
    from sinet_pipelines.cli.state_health import require_state
    from sinet_pipelines.deployment.endpoints import endpoints
    from sinet_pipelines.registry.catalogue import list_models
    from sinet_pipelines.registry.health import database_faults

    go_to(project, home)
    require_state(home)
    before = signature_of(project, home)
    facts = read_snapshot(home, before)
    if facts is None:
        facts = _read_state(home, project)
        if (after := signature_of(project, home)) and after == before:
            keep_snapshot(home, after, facts)
    served = endpoints(home)
    return {
        "home": str(home),
        **facts,
        "assets": [_with_server(asset, served) for asset in facts["assets"]],
        "models": [] if any(database_faults(home)) else list_models(home),
        "endpoints": served,
    }


def _read_state(home: Path, project: Path) -> dict[str, Any]:
    """What Dagster's log and the home's storage show, in Dagster's own time: seconds."""
    from sinet_pipelines.cli.orchestrator import end_killed_runs, enter, load_definitions, opened_instance
    from sinet_pipelines.ingestion.fleet import read_fleet
    from sinet_pipelines.ingestion.inspection import remembered
    from sinet_pipelines.monitoring.row_account import total
    from sinet_pipelines.regions import REGIONS

    fleet = read_fleet(home)
    if fleet is None:
        raise UsageError(f"no fleet in {home}; `sinet run` lands one")
    enter(project, home)
    from resources.state import states

    known = {region.name for region in REGIONS}
    with remembered(home / CACHE / "drops.json"), opened_instance() as instance:
        end_killed_runs(instance)
        found = states(instance, load_definitions().resolve_asset_graph(), home)
        failed = {state.region: state.failed_days for state in found if state.key.endswith("/validated_telemetry")}
        accounts = read_accounts(home, failed)
        return {
            "fleet": fleet.name,
            "simulated": fleet.simulated,
            "assets": [_asset(state) for state in found],
            "rows": asdict(total(accounts.values())),
            "unknown_regions": {name: asdict(rows) for name, rows in accounts.items() if name not in known},
            "unused_files": read_unused(home),
            "storage_faults": list(dict.fromkeys(sentence for state in found for sentence in state.faults)),
        }


def read_accounts(home: Path, failed_days: dict[str, Any]) -> "dict[str, RowAccount]":
    """The account of each region's rows, also of a folder of the landing zone that is no region of the registry."""
    from sinet_pipelines.ingestion.landing import LandingZone
    from sinet_pipelines.ingestion.scan import unknown_folders
    from sinet_pipelines.monitoring.row_account import account_rows, read_counts
    from sinet_pipelines.regions import REGIONS
    from sinet_pipelines.storage.cache import write_cache

    unknown = unknown_folders(home / "landing")
    zone, kept = LandingZone(home / "landing", also=frozenset(unknown)), home / CACHE / "rows.json"
    known = ChainMap[str, list[int]]({}, read_counts(kept))
    accounts = {
        name: account_rows(
            zone, _tables_of(home, name), region=name, failed_days=failed_days.get(name, ()), known=known
        )
        for name in (*(region.name for region in REGIONS), *unknown)
    }
    if known.maps[0] != known.maps[1]:
        write_cache(kept, known.maps[0])
    return accounts


def _tables_of(home: Path, name: str) -> "TableStore":
    """The tables of a region; of a folder that was never a region's, those of no region: there are none."""
    from sinet_pipelines.storage.tables import TableStore

    return TableStore(str(home / "tables" / (name if name.isidentifier() else "none")))


def read_unused(home: Path) -> list[dict[str, str]]:
    """The files of the landing zone that no table takes rows from: path, reason, cure and region of each."""
    from sinet_pipelines.ingestion.fleet import read_fleet
    from sinet_pipelines.ingestion.landing import LandingZone

    fleet = read_fleet(home)
    zone = LandingZone(home / "landing")
    return [asdict(one) for one in zone.unused(first_day=fleet.first_day if fleet else None)]


def _with_server(asset: dict[str, Any], endpoints: list[dict[str, Any]]) -> dict[str, Any]:
    """The state of the champion's endpoint is failed, and so are its checks, while its server does not answer."""
    champions = [one for one in endpoints if one["name"] == one["model"]]
    if not asset["asset"].endswith("/endpoint") or not champions or any(one["ready"] for one in champions):
        return asset
    return {**asset, "state": "failed", "checks": [{**check, "passed": False} for check in asset["checks"]]}


def _asset(state: Any) -> dict[str, Any]:
    return {
        "asset": state.key,
        "group": state.group,
        "region": state.region,
        "hardware": state.hardware,
        "state": state.state,
        "partitions": {"done": state.done, "failed": state.failed, "missing": state.missing},
        "checks": [{"name": name, "passed": passed} for name, passed in state.checks.items()],
        "made_at": state.made_at.isoformat(timespec="seconds") if state.made_at else None,
        "failures": [
            {"check": one.check, "day": str(one.day) if one.day else None, "reason": one.reason}
            for one in state.failures
        ],
    }


def short_name(asset: dict[str, Any]) -> str:
    """The asset's key without its region, which has a column of its own, and its application."""
    return str(asset["asset"]).rsplit("/", 1)[-1]


def _assets_table(assets: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("asset", "group", "region", "hardware", "state", "made (UTC)", "days", "checks"):
        table.add_column(heading, no_wrap=heading != "checks")
    for asset in assets:
        days = asset["partitions"]
        counts = f"{days['done']} done" + "".join(
            f", {days[kind]} {kind}" for kind in ("failed", "missing") if days[kind]
        )
        failing = [check["name"] for check in asset["checks"] if not check["passed"]]
        table.add_row(
            short_name(asset),
            asset["group"],
            asset["region"],
            asset["hardware"],
            coloured(asset["state"], COLOURS[asset["state"]]),
            (asset["made_at"] or "")[:16].replace("T", " "),
            counts if any(days.values()) else "",
            coloured(f"{', '.join(failing)} failed", "red") if failing else ("passed" if asset["checks"] else ""),
        )
    return table


def _print_failures(console: Terminal, assets: list[dict[str, Any]]) -> None:
    """A line for each failed check and day: what was found; the newest days of a check that failed on many."""
    for asset in assets:
        by_check: dict[str, list[dict[str, Any]]] = {}
        for failure in asset["failures"]:
            by_check.setdefault(failure["check"], []).append(failure)
        for check, failures in by_check.items():
            for failure in failures[-SHOWN_DAYS:]:
                day = f" on {failure['day']}" if failure["day"] else ""
                reason = failure["reason"] or "no reason was recorded; the check's page shows its figures"
                console.print(Text(f"failed: {asset['asset']} {check}{day}: {reason}", "red"))
            if len(failures) > SHOWN_DAYS:
                more = counted(len(failures) - SHOWN_DAYS, "earlier day")
                console.print(Text(f"failed: {asset['asset']} {check} on {more}: `--json` lists all"))


def _unused_table(files: list[dict[str, str]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("file", "reason", "what to do"):
        table.add_column(heading, overflow="fold")
    for file in files[:SHOWN_FILES]:
        table.add_row(*(Text(file[name]) for name in ("path", "reason", "cure")))
    if len(files) > SHOWN_FILES:
        table.add_row(f"... and {len(files) - SHOWN_FILES} more: `sinet status --json` lists all")
    return table


def _model_line(model: dict[str, Any]) -> str:
    kind = ", ".join(word for word in (model["family"], model["precision"]) if word)
    aliases = f" {', '.join(model['aliases'])}" if model["aliases"] else ""
    verdict = f": {model['verdict']}" if model["verdict"] else ""
    return f"model {model['name']} {model['version']} ({kind}){aliases}{verdict}"


def _rows_line(rows: dict[str, int]) -> str:
    kept = ", ".join(
        f"{rows[name]} {name.replace('_', ' ')}" for name in ("in_tables", "quarantined", "withheld", "pending")
    )
    return f"rows: {rows['sent']} sent = {rows['landed']} landed + {rows['duplicates']} duplicates; landed = {kept}"
