"""Registry: from graphs to versions, and the champion's alias if the gate passes; class `model`."""

import dagster as dg

from assets.framework.regional import once
from assets.framework.registry import register_graphs
from assets.framework.reports import made
from assets.milling.cards import card_of
from assets.milling.evaluation import MODEL
from assets.milling.keys import everywhere, global_key
from resources.deployment import Deployment
from resources.keys import Cadence
from resources.markdown import shown
from resources.placement import bind
from sinet_pipelines.applications.milling.families import CANDIDATE_NAMES
from sinet_pipelines.inventory.names import EAST, WEST
from sinet_pipelines.registry.versions import get_version
from sinet_pipelines.schemas.contract import DataClass
from sinet_pipelines.storage.fingerprint import fingerprint


@once
def registered_model(deployment: Deployment) -> dg.AssetsDefinition:
    """Versions of `milling_machine_failure` in MLflow, one for each content; alias `champion` if the gate passes.

    Every trained candidate is registered; the one with the greatest out-of-fold PR-AUC is the challenger. A challenger
    that is worse than the champion remains a version without the alias.
    """

    @dg.asset(
        key=global_key("registered_model"),
        deps=[global_key(name) for name in (*CANDIDATE_NAMES, "onnx_models", "served_graph", "evaluation")],
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
            family_of=lambda name: name,
            precision_of=lambda _: "float64",
        )

    return asset


@once
def model_card(deployment: Deployment) -> dg.AssetsDefinition:
    """The card of the newest challenger: use, data, licence, figures with baselines, calibration, graphs, limits.

    Every figure comes from the results of the stages. The card is markdown on this page and an artifact of the version
    in MLflow. After Mitchell et al. 2019, "Model Cards for Model Reporting".
    """

    @dg.asset(
        key=global_key("model_card"),
        deps=[
            *(global_key(name) for name in ("registered_model", "evaluation", "served_graph")),
            *(global_key(name) for name in (*CANDIDATE_NAMES, "training_set")),
            *everywhere(deployment, "process_features"),
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
        card, number = card_of(context)
        registry = context.resources.registry
        registry.keep_beside(get_version(registry.tracking, MODEL, number), {"card.md": card.encode()})
        return made(context, fingerprint(card), entries={"card": shown(card), "version": str(number)})

    return asset
