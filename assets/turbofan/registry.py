"""Registry: registers valid graphs as versions, and sets the champion alias if the gate passed; class `model`."""

from dataclasses import replace

import dagster as dg

from assets.framework.regional import once
from assets.framework.registry import register_graphs
from assets.framework.reports import made
from assets.turbofan.cards import card_pictures, gather_card, version_of_card
from assets.turbofan.evaluation import CANDIDATES, MODEL
from assets.turbofan.graph_entrants import INT8, NETWORK
from assets.turbofan.keys import everywhere, global_key
from resources.deployment import Deployment, deployment_of
from resources.keys import Cadence
from resources.markdown import shown
from resources.placement import bind
from sinet_pipelines.inventory.names import EAST, WEST
from sinet_pipelines.schemas.contract import DataClass
from sinet_pipelines.storage.files import write_whole
from sinet_pipelines.storage.fingerprint import fingerprint

CARD_PAGES = "/cards"  # on the address of Dagster's UI, where `sinet ui` serves the cards


@once
def registered_model(deployment: Deployment) -> dg.AssetsDefinition:
    """Versions of `turbofan_remaining_useful_life` in MLflow, one for each content.

    Every trained candidate is registered. The one with the least out-of-fold error is the challenger. If the gate
    passes, it gets the alias `champion`; if it is worse than the champion, it stays a version without the alias.
    """

    @dg.asset(
        key=global_key("registered_model"),
        deps=[global_key(name) for name in (*CANDIDATES, "onnx_models", "int8_model", "served_graph", "evaluation")],
        **bind(
            deployment.region(EAST),
            cadence=Cadence.TRAINING,
            data_class=DataClass.MODEL,
            reads=[deployment.region(WEST)],
            uses=["registry", "tracking"],
            kinds={"mlflow"},
        ),
    )
    def asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        return register_graphs(
            context,
            MODEL,
            trained_in=EAST,
            graphs_in=WEST,
            family_of=_family,
            precision_of=lambda name: "int8" if name == INT8 else "fp32",
        )

    return asset


@once
def model_card(deployment: Deployment) -> dg.AssetsDefinition:
    """The card of the newest challenger: use, data and licence, errors beside baselines, intervals, graphs, limits.

    Every figure comes from the results of the stages. The card is markdown on this page, and with its pictures one HTML
    file for each version, in the home's `cards/` and among the version's artifacts in MLflow. After Mitchell et al.
    2019,
    "Model Cards for Model Reporting".
    """

    @dg.asset(
        key=global_key("model_card"),
        deps=[
            *(global_key(name) for name in ("registered_model", "evaluation", "served_graph", "spiking_verdict")),
            *(global_key(name) for name in (*CANDIDATES, "training_set")),
            *everywhere(deployment, "window_features"),
        ],
        **bind(
            deployment.region(EAST),
            cadence=Cadence.TRAINING,
            data_class=DataClass.MODEL,
            reads=deployment.regions,
            uses=["registry"],
            kinds={"markdown"},
        ),
    )
    def asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        from sinet_pipelines.registry.card import card_html, card_markdown

        card = gather_card(context)
        html = card_html(card, card_pictures(context)).encode()
        folder = deployment_of(context).home / "cards"
        path = folder / MODEL / f"v{card.versions.version}.html"
        for place in (
            path,
            folder / f"{MODEL}.html",
        ):  # one card for each version, and the newest under a fixed name
            write_whole(place, html)
        registry = context.resources.registry
        registry.keep_beside(
            version_of_card(registry, card), {"card.html": html, "card.md": card_markdown(card).encode()}
        )
        same = replace(
            card, versions=replace(card.versions, made_at="")
        )  # the time of the card does not count as a change
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

    return asset


def _family(graph: str) -> str:
    return NETWORK if graph == INT8 else graph
