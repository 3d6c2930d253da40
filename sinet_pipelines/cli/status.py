"""`sinet status`: shows assets, checks, days, models, endpoints and the row account as they are now."""

import json
import sys
from collections.abc import Collection, Mapping
from dataclasses import asdict
from datetime import date
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sinet_pipelines.cli.home import CACHE, current_home, find_project
from sinet_pipelines.cli.online import online_line, read_online, servers_differ, with_replica
from sinet_pipelines.cli.terminal import Terminal, coloured
from sinet_pipelines.errors import UsageError
from sinet_pipelines.words import counted

if TYPE_CHECKING:
    from resources.materializations.asset_state import AssetState
    from resources.materializations.published import Published
    from sinet_pipelines.monitoring.row_account import RowAccount

SHOWN_DAYS = 3  # of a check that failed on many days
SHOWN_FILES = 20  # unused files shown in the table
COLOURS = {"done": "green", "partial": "yellow", "failed": "red", "missing": "dim", "running": "cyan"}


def show_status(*, home: Path | None, project: Path | None, as_json: bool) -> None:
    """Prints the state of a home, as tables or as JSON for other programs."""
    facts = read_status(current_home(home), find_project(project))
    if as_json:
        json.dump(facts, sys.stdout, indent=2)
        sys.stdout.write("\n")
        return
    console = Terminal()
    console.print(f"home {facts['home']}  {_landed_words(facts['landed'])}")
    console.print(_assets_table(facts["assets"]))
    _print_failures(console, facts["assets"])
    console.print(_rows_line(facts["rows"]))
    sending = {name: rows for name, rows in facts["by_application"].items() if rows["sent"]}
    for name, rows in sending.items() if len(sending) > 1 else ():
        console.print(f"  {name} {_rows_line(rows)}")
    for region, rows in facts["unknown_regions"].items():
        if rows["landed"]:
            console.print(
                f"of these, {rows['landed']} are in {region}/landing, and {region} is no region of the inventory: no "
                "run reads them; the cure is beside each file below"
            )
    if facts["unused_files"]:
        unused = counted(len(facts["unused_files"]), "file")
        console.print(f"{unused} of the landing zones not used; `sent` counts only files in the folder of a day")
        console.print(_unused_table(facts["unused_files"]))
    for sentence in facts["storage_faults"][:SHOWN_FILES]:
        console.print(Text(f"storage: {sentence}", "red"))
    for one in facts["online"]:
        console.print(Text(online_line(one), "" if one["passed"] else "red"))
    for model in facts["models"]:
        console.print(_model_line(model))
    for endpoint in facts["endpoints"]:
        console.print(endpoint_line(endpoint), highlight=False, markup=False)
    print_following(console, Path(facts["home"]))
    if not facts["endpoints"]:
        console.print("endpoint: no server runs; `sinet run` starts the champion's")


def endpoint_line(endpoint: dict[str, Any]) -> str:
    """The state of an endpoint; of one in a cluster also the version, and what differs from the applied manifest."""
    ready = "ready" if endpoint["ready"] else "not answering" if endpoint.get("known", True) else "not known"
    served = f", version {endpoint['version']}, {endpoint['target']} of its cluster" if "target" in endpoint else ""
    line = f"endpoint {endpoint['name']} in {endpoint['region']} at {endpoint['url']}: {ready}{served}"
    return f"{line}; {endpoint['reason']}" if endpoint.get("reason") else line


def print_following(console: Console, home: Path) -> None:
    """Prints where an endpoint serves another version than the one with the alias in MLflow, and why."""
    from sinet_pipelines.deployment.following import follow

    for endpoint in follow(home):
        if endpoint.reason:
            console.print(f"endpoint: {endpoint.reason}", highlight=False, markup=False)


def read_status(home: Path, project: Path) -> dict[str, Any]:
    """The facts of `sinet status --json`.

    The event log and the storage are read again only where one of them changed; models and servers are checked each
    time.
    """
    from sinet_pipelines.cli.orchestrator import go_to
    from sinet_pipelines.cli.snapshot import keep_snapshot, read_snapshot, signature_of
    from sinet_pipelines.cli.state_health import require_state
    from sinet_pipelines.deployment.endpoints import endpoints
    from sinet_pipelines.registry.catalogue import list_models
    from sinet_pipelines.registry.health import database_faults

    go_to(project, home)
    require_state(home)
    from resources.deployment import this_deployment

    before = signature_of(project, home)
    facts = read_snapshot(home, before)
    if facts is None or servers_differ(facts["online"], this_deployment(home)):
        from resources.materializations.published import publish_all

        publish_all(this_deployment(home))  # what is written here is not taken for a change
        before = signature_of(project, home)
        facts = _read_state(home, project, is_quiet=bool(before))
        if (after := signature_of(project, home)) and after == before:
            keep_snapshot(home, after, facts)
    served = endpoints(home)
    return {
        "home": str(home),
        **facts,
        "assets": [with_replica(_with_server(asset, served), facts["online"]) for asset in facts["assets"]],
        "models": [] if any(database_faults(home)) else list_models(home),
        "endpoints": served,
    }


def _read_state(home: Path, project: Path, *, is_quiet: bool) -> dict[str, Any]:
    """The state in the event log and the storage; `is_quiet` where no run is in progress or was killed."""
    from resources.deployment import this_deployment
    from resources.materializations.published import Published
    from sinet_pipelines.ingestion.inspection import remembered
    from sinet_pipelines.ingestion.record import read_records
    from sinet_pipelines.monitoring.row_account import total

    landed = read_records(home)
    if not landed:
        raise UsageError(f"nothing landed in {home}; `sinet run` lands rows")
    with remembered(home / CACHE / "drops.json"):
        found = (read_quickly(home, project) if is_quiet else None) or read_by_dagster(home, project)
        published = Published(this_deployment(home))  # after the state: reading it may end killed runs
        known = published.deployment.inventory.names
        accounts = read_accounts(published, {state.key: state.failed_days for state in found if state.failed_days})
        regions = sorted({region for _, region in accounts if region not in known})
        return {
            "fleet": ", ".join(dict.fromkeys(one.name for one in landed.values())),
            "landed": {name: {"name": one.name, "simulated": one.simulated} for name, one in landed.items()},
            "simulated": any(one.simulated for one in landed.values()),
            "assets": [_asset(state) for state in found],
            "rows": asdict(total(accounts.values())),
            "by_application": {
                name: asdict(total(rows for (of, _), rows in accounts.items() if of == name))
                for name in dict.fromkeys(of for of, _ in accounts)
            },
            "unknown_regions": {
                name: asdict(total(rows for (_, region), rows in accounts.items() if region == name))
                for name in regions
            },
            "unused_files": read_unused(published),
            "storage_faults": list(dict.fromkeys(sentence for state in found for sentence in state.faults)),
            "online": read_online(published.deployment),
        }


def read_quickly(home: Path, project: Path) -> "list[AssetState] | None":
    """The state of every asset without Dagster; None where the cached declarations are out of date.

    Importing Dagster, loading the definitions and opening the instance take three seconds even if nothing changed.
    """
    from resources.deployment import this_deployment
    from resources.materializations.quick_state import quick_states, read_described
    from sinet_pipelines.cli.snapshot import signature_of_definitions

    assets = read_described(home, signature_of_definitions(project, home))
    return quick_states(this_deployment(home), assets) if assets else None


def read_by_dagster(home: Path, project: Path) -> "list[AssetState]":
    """The state of every asset as Dagster reads its event log; caches the declarations for the next command."""
    from sinet_pipelines.cli.orchestrator import end_killed_runs, enter, load_definitions, opened_instance
    from sinet_pipelines.cli.snapshot import signature_of_definitions

    enter(project, home)
    before = signature_of_definitions(project, home)
    from resources.deployment import this_deployment
    from resources.materializations.quick_state import keep_described
    from resources.materializations.state import described, states

    with opened_instance() as instance:
        end_killed_runs(instance)
        graph = load_definitions().resolve_asset_graph()
        keep_described(home, before, described(graph))
        return states(instance, graph, this_deployment(home))


def read_accounts(
    published: "Published", failed_days: Mapping[str, Collection[date]]
) -> "dict[tuple[str, str], RowAccount]":
    """The row account of each application and region, also of a folder that is no region of the inventory.

    Args:
        published: the published data of the regions.
        failed_days: by asset key, the days whose latest check failed.
    """
    from resources.materializations.publishing import count_outside
    from sinet_pipelines.monitoring.row_account import account_of

    deployment, accounts = published.deployment, {}
    for one in published.landing:
        counted = {region: published.of(region, one.name).counts for region in deployment.inventory.names}
        for region, counts in (counted | count_outside(deployment, one)).items():
            key = "/".join(one.key(one.data.validated.name, region=region))
            accounts[one.name, region] = account_of(counts, failed_days=failed_days.get(key, ()))
    return accounts


def read_unused(published: "Published") -> list[dict[str, str]]:
    """The files in landing zones from which no table takes rows: path, reason, cure, region and application."""
    regions = published.deployment.inventory.names
    pairs = [(region, one.name) for one in published.landing for region in regions]
    found = dict.fromkeys(file for pair in pairs for file in published.unused(*pair))
    return [asdict(file) for file in sorted(found, key=lambda file: file.path)]


def _landed_words(landed: Mapping[str, Mapping[str, Any]]) -> str:
    """What each application landed: `turbofan from FD001, milling from simulated data`."""
    words = (f"{name}: {'simulated data' if one['simulated'] else one['name']}" for name, one in landed.items())
    return ", ".join(words)


def _with_server(asset: dict[str, Any], endpoints: list[dict[str, Any]]) -> dict[str, Any]:
    """Marks the endpoint of the champion and its checks as failed while its server does not respond."""
    champions = [one for one in endpoints if one["name"] == one["model"]]
    if not asset["asset"].endswith("/endpoint") or not champions or any(one["ready"] for one in champions):
        return asset
    return {**asset, "state": "failed", "checks": [{**check, "passed": False} for check in asset["checks"]]}


def _asset(state: Any) -> dict[str, Any]:
    from sinet_pipelines.applications.application import parse_key

    return {
        "asset": state.key,
        "application": parse_key(state.key.split("/")).application,
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
    """The asset's key without region and application, which have columns of their own."""
    return str(asset["asset"]).rsplit("/", 1)[-1]


def _assets_table(assets: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("application", "asset", "group", "region", "hardware", "state", "made (UTC)", "days", "checks"):
        table.add_column(heading, no_wrap=heading != "checks")
    for asset in sorted(assets, key=itemgetter("application")):  # of each, upstream first
        days = asset["partitions"]
        counts = f"{days['done']} done" + "".join(
            f", {days[kind]} {kind}" for kind in ("failed", "missing") if days[kind]
        )
        failing = [check["name"] for check in asset["checks"] if not check["passed"]]
        table.add_row(
            asset["application"],
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
    """A line for each failed check and day with the reason; only the newest days of a check that failed on many."""
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
