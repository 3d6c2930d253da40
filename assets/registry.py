"""Registry: graphs that agree in, versions out, the champion's alias with one if the gate said yes; class `model`."""

import hashlib
import json
from dataclasses import replace

import dagster as dg

from assets.cards import card_pictures, gather_card, version_of_card
from assets.evaluation import CANDIDATES, MODEL, VERDICT
from assets.quantization import CHOICE, INT8, NETWORK, graph_ref
from assets.regional import here
from assets.reports import made
from resources.keys import everywhere, global_key
from resources.markdown import shown
from resources.placement import bind
from resources.settings import settings
from sinet_pipelines.regions import EAST, REGIONS, WEST
from sinet_pipelines.registry.versions import Version
from sinet_pipelines.schemas.contract import DataClass
from sinet_pipelines.storage.files import write_whole
from sinet_pipelines.storage.fingerprint import fingerprint

TAKEN_AWAY = (
    "no version has the alias champion: it was taken away by hand, and the same graph does not get it back; give it to "
    "a version on MLflow's page, or train a model that wins"
)
CARD_PAGES = "/cards"  # on the address of Dagster's pages, as `sinet ui` opens them


@dg.asset(
    key=global_key("registered_model"),
    deps=[global_key(name) for name in (*CANDIDATES, "onnx_models", "int8_model", "served_graph", "evaluation")],
    **bind(EAST, data_class=DataClass.MODEL, reads=[WEST], uses=["registry", "tracking"], kinds={"mlflow"}),
)
def registered_model(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """Versions of `remaining_useful_life` in MLflow, one a content; alias `champion` when the gate says yes.

    Every trained candidate is registered; the one with the least out-of-fold error is the challenger, and one that is
    worse than the champion stays a version without the alias.
    """
    from sinet_pipelines.training.candidate import newest_candidate

    east, west = here(context, EAST).blobs, here(context, WEST).blobs
    verdict = json.loads(east.get_ref(VERDICT))
    table = sorted(
        json.loads(west.get_ref(CHOICE)), key=lambda row: row["chosen"]
    )  # the challenger's number is highest
    registry = context.resources.registry
    chosen = next(hashlib.sha256(west.get_ref(graph_ref(row["name"]))).hexdigest() for row in table if row["chosen"])
    champion, last = registry.champion(MODEL), registry.last_promoted(MODEL)
    may_serve = may_be_promoted(chosen, champion=champion, last_promoted=last, has_passed=verdict["passed"])
    versions = [
        context.resources.registry.register(
            MODEL,
            west.get_ref(graph_ref(row["name"])),
            family=_family(row["name"]),
            run_id=newest_candidate(east, _family(row["name"])).run_id,
            tags={"precision": "int8" if row["name"] == INT8 else "fp32", "choice": row["reason"]},
            alias="champion" if may_serve and row["chosen"] else None,
        )
        for row in table
    ]
    version = versions[-1]
    return made(
        context,
        f"{version.sha256[:16]}-{'champion' if 'champion' in version.aliases else 'challenger'}",
        entries={
            "decision": verdict["reason"] if may_serve or champion is not None else TAKEN_AWAY,
            "version": version.version,
            "family": version.family,
            "aliases": ", ".join(version.aliases) or "none",
            "mlflow_model": dg.MetadataValue.url(context.resources.registry.version_url(version)),
            "sha256": version.sha256,
        },
    )


def may_be_promoted(chosen: str, *, champion: Version | None, last_promoted: Version | None, has_passed: bool) -> bool:
    """Whether the chosen graph gets the alias.

    A person who takes the alias away wants this model not to serve: the same graph does not get it back. A registry
    that was lost knows no promotion: what was chosen serves again, as a first model does.

    Args:
        chosen: SHA-256 of the graph.
        champion: the version that has the alias.
        last_promoted: the version that got it last, whether or not it still has it.
        has_passed: what the gate decided.
    """
    if champion is not None:
        return has_passed
    return last_promoted is None or (has_passed and last_promoted.sha256 != chosen)


@dg.asset(
    key=global_key("model_card"),
    deps=[
        *(global_key(name) for name in ("registered_model", "evaluation", "served_graph", "spiking_verdict")),
        *(global_key(name) for name in (*CANDIDATES, "training_set")),
        *everywhere("window_features"),
    ],
    **bind(EAST, data_class=DataClass.MODEL, reads=REGIONS, uses=["registry"], kinds={"markdown"}),
)
def model_card(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """The card of the newest challenger: use, data and licence, errors beside yardsticks, intervals, graphs, limits.

    Every figure is gathered from what the stages left; as markdown on this page, and with its pictures as one
    HTML file a version in the home's `cards/` and among the version's artifacts in MLflow. After Mitchell et al. 2019,
    "Model Cards for Model Reporting".
    """
    from sinet_pipelines.registry.card import card_html, card_markdown

    card = gather_card(context)
    html = card_html(card, card_pictures(context)).encode()
    folder = settings().home / "cards"
    path = folder / MODEL / f"v{card.versions.version}.html"
    for place in (path, folder / f"{MODEL}.html"):  # a card a version, and the newest at a place that stays the same
        write_whole(place, html)
    registry = context.resources.registry
    registry.keep_beside(version_of_card(registry, card), {"card.html": html, "card.md": card_markdown(card).encode()})
    same = replace(card, versions=replace(card.versions, made_at=""))  # the instant makes no other card
    return made(
        context,
        fingerprint(card_markdown(same)),
        entries={
            "page": dg.MetadataValue.url(f"{CARD_PAGES}/{MODEL}/v{card.versions.version}.html"),
            "card": shown(card_markdown(card)),
            "html": dg.MetadataValue.path(str(path)),
            "version": card.versions.version,
            "licence": card.data.licence,
        },
    )


def _family(graph: str) -> str:
    return NETWORK if graph == INT8 else graph
