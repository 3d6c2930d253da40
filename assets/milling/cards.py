"""The model card of milling, from the results of the stages: tables, verdicts, candidates, versions."""

import json

import dagster as dg
import polars as pl

from assets.framework.regional import here, regions_of
from assets.framework.registry import CHOICE, VERDICT, graph_ref
from assets.milling.candidates import FOLDS, SEED
from assets.milling.evaluation import FIGURES, MODEL
from resources.deployment import deployment_of
from sinet_pipelines.applications.milling import reader
from sinet_pipelines.applications.milling.families import BASELINES, CANDIDATE_NAMES
from sinet_pipelines.applications.milling.labels import RECENT_DAYS
from sinet_pipelines.applications.milling.production import read_production
from sinet_pipelines.applications.milling.served import QUANTIZATION
from sinet_pipelines.applications.milling.tables import EVALUATION_RESULTS, PROCESS_FEATURES, TRAINING_SET
from sinet_pipelines.errors import ModelNotFoundError
from sinet_pipelines.features.splits import HELD_OUT_SHARE
from sinet_pipelines.inventory.names import EAST, WEST
from sinet_pipelines.markdown import Markdown, points, table, words
from sinet_pipelines.registry.alias import CHAMPION
from sinet_pipelines.registry.version import Version
from sinet_pipelines.registry.versions import list_versions
from sinet_pipelines.training.candidate import newest_candidate

USE = (
    "Warns an operator of a milling machine that the machine is about to fail on a product, with a calibrated "
    "probability. One prediction a product, from its type and five process values."
)
OUT_OF_SCOPE = (
    "Machines with other limits: the margins are those of Matzka 2020.",
    "Failures of the tool by wear alone: they come at a random time, and nearly all are missed.",
    "Deciding alone that a machine is safe.",
)


def card_of(context: dg.AssetExecutionContext) -> tuple[Markdown, int]:
    """The card of the newest challenger, champion or not, and the number of its version."""
    east, west = here(context, EAST), here(context, WEST)
    verdict = json.loads(east.blobs.get_ref(VERDICT))
    choice = json.loads(west.blobs.get_ref(CHOICE))
    version = _version(context, next(row["name"] for row in choice if row["chosen"]))
    results = east.tables.read(EVALUATION_RESULTS)
    parts = [
        f"# {MODEL}, version {version.version}",
        f"Family {verdict['family']}, one of {', '.join(CANDIDATE_NAMES)}. {verdict['choice']}. "
        f"{'It is the champion' if CHAMPION in version.aliases else 'It is not the champion'}: {verdict['reason']}.",
        f"## Use\n\n{USE}",
        f"## Out of scope\n\n{points(words(one) for one in OUT_OF_SCOPE)}",
        f"## Data\n\n{_data(context)}",
        f"## Protocol\n\n{_protocol()}",
        f"## Figures\n\n{_figures(results, verdict['family'])}",
        f"## Graphs\n\nQuantization: {QUANTIZATION}.\n\n{_graphs(choice)}",
        f"## Versions\n\n{_versions(context, version)}",
    ]
    return Markdown("\n\n".join(parts) + "\n"), version.version


def _version(context: dg.AssetExecutionContext, chosen: str) -> Version:
    versions = list_versions(context.resources.registry.tracking, MODEL)
    served = here(context, WEST).blobs.resolve(graph_ref(chosen))
    found = next((one for one in versions if one.sha256 == served), None)
    if found is None:
        raise ModelNotFoundError(
            f"the graph that goes out ({str(served)[:16]}) is none of the {len(versions)} versions of {MODEL}; "
            "materialise registered_model"
        )
    return found


def _data(context: dg.AssetExecutionContext) -> str:
    production = read_production(deployment_of(context).home)
    counts = {
        region.name: here(context, region).tables.scan(PROCESS_FEATURES).select(pl.len()).collect().item()
        for region in regions_of(context)
    }
    train = here(context, EAST).tables.read(TRAINING_SET, columns=["machine_failure"])
    by_region = ", ".join(f"{count} in {name}" for name, count in counts.items())
    facts = [
        f"{sum(counts.values())} products ({by_region}); trained on {train.height}, of which the machine failed on "
        f"{int(train['machine_failure'].sum())}.",
        "Rows never leave their region; features are derived quantities.",
    ]
    if production is not None and production.simulated:
        facts.insert(0, "The records are simulated: no figure here is about a real machine.")
    elif production is not None:
        facts.insert(0, f"{reader.SOURCE}. Licence: {reader.LICENCE}.")
    return str(points(words(one) for one in facts))


def _protocol() -> str:
    facts = (
        f"Labels are outcome events. Models see neither {HELD_OUT_SHARE:.0%} of the products, by a digest of their "
        f"name, nor those of the newest {RECENT_DAYS} days; figures are of these.",
        f"{FOLDS} stratified folds with seed {SEED} give the scores by which candidates are chosen (PR-AUC), "
        "probabilities are scaled (Platt) and the threshold is set (greatest F1).",
    )
    return str(points(words(one) for one in facts))


def _figures(results: pl.DataFrame, model: str) -> Markdown:
    names = [model, *(one.name for one in BASELINES)]
    rows = [
        (row["slice"], row["value"], row["predictor"], row["products"], row["failures"])
        + tuple(f"{row[figure]:.3f}" for figure in FIGURES)
        for row in results.filter(pl.col("predictor").is_in(names)).iter_rows(named=True)
    ]
    return table(("slice", "value", "predictor", "products", "failures", *FIGURES), rows, numeric=range(3, 10))


def _graphs(choice: list[dict[str, object]]) -> Markdown:
    rows = [
        (row["name"], f"{row['pr_auc']:.3f}", f"{row['n_bytes']}", f"{row['p50_us']:.0f}", row["reason"])
        for row in choice
    ]
    return table(("graph", "PR-AUC out of fold", "bytes", "p50 us", "result"), rows, numeric=(1, 2, 3))


def _versions(context: dg.AssetExecutionContext, version: Version) -> str:
    candidate = newest_candidate(here(context, EAST).blobs, version.family)
    facts = (
        f"SHA-256 of the graph: {version.sha256}",
        f"training_set: {candidate.training_set_version}",
        f"code: {context.assets_def.specs_by_key[context.asset_key].code_version or ''}",
    )
    return str(points(words(one) for one in facts))
