"""The registry stage of an application with several candidates: registers valid graphs and sets the alias."""

import hashlib
import json
from collections.abc import Callable

import dagster as dg

from assets.framework.regional import here
from assets.framework.reports import made
from sinet_pipelines.registry.promotion import ALIAS_REMOVED, may_be_promoted

VERDICT = "verdicts/challenger"  # the ref of the newest verdict, among the blobs of the region of training
CHOICE = "choices/served_graph"  # the ref of the result of each graph, among the blobs of the region of graphs


def graph_ref(name: str) -> str:
    """The ref, among the blobs of the region of graphs, of the newest graph of this name that agrees."""
    return f"graphs/{name}"


def register_graphs(
    context: dg.AssetExecutionContext,
    model: str,
    *,
    trained_in: str,
    graphs_in: str,
    family_of: Callable[[str], str],
    precision_of: Callable[[str], str],
) -> dg.MaterializeResult:
    """Registers every graph of the choice; the chosen one gets the alias `champion` if the gate passed.

    Args:
        context: of the step.
        model: its name in the registry.
        trained_in: name of the region where candidates and the verdict are kept.
        graphs_in: name of the region where graphs and the choice are kept.
        family_of: the family of a graph by the graph's name.
        precision_of: the number format of a graph by its name, for the version's page.
    """
    from sinet_pipelines.training.candidate import newest_candidate

    trained, graphs = here(context, trained_in).blobs, here(context, graphs_in).blobs
    verdict = json.loads(trained.get_ref(VERDICT))
    rows = sorted(
        json.loads(graphs.get_ref(CHOICE)), key=lambda row: row["chosen"]
    )  # the challenger's number is highest
    registry = context.resources.registry
    chosen = next(hashlib.sha256(graphs.get_ref(graph_ref(row["name"]))).hexdigest() for row in rows if row["chosen"])
    champion, last = registry.champion(model), registry.last_promoted(model)
    may_serve = may_be_promoted(chosen, champion=champion, last_promoted=last, has_passed=verdict["passed"])
    versions = [
        registry.register(
            model,
            graphs.get_ref(graph_ref(row["name"])),
            family=family_of(row["name"]),
            run_id=newest_candidate(trained, family_of(row["name"])).run_id,
            tags={"precision": precision_of(row["name"]), "choice": row["reason"]},
            alias="champion" if may_serve and row["chosen"] else None,
        )
        for row in rows
    ]
    version = versions[-1]
    return made(
        context,
        f"{version.sha256[:16]}-{'champion' if 'champion' in version.aliases else 'challenger'}",
        entries={
            "decision": verdict["reason"] if may_serve or champion is not None else ALIAS_REMOVED,
            "version": version.version,
            "family": version.family,
            "aliases": ", ".join(version.aliases) or "none",
            "mlflow_model": dg.MetadataValue.url(registry.version_url(version)),
            "sha256": version.sha256,
        },
    )
