"""Registry: a graph that agrees in, a version out, the champion's alias with it if the gate said yes; class `model`."""

import json

import dagster as dg

from assets.evaluation import MODEL, VERDICT
from assets.quantization import GRAPH
from assets.regional import here
from assets.reports import made
from resources.keys import global_key
from resources.placement import bind
from sinet_pipelines.regions import EAST, WEST
from sinet_pipelines.schemas.contract import DataClass

CODE_VERSION = "1"


@dg.asset(
    key=global_key("registered_model"),
    deps=[global_key("onnx_model"), global_key("evaluation")],
    code_version=CODE_VERSION,
    **bind(EAST, data_class=DataClass.MODEL, reads=[WEST], uses=["registry", "tracking"], kinds={"mlflow"}),
)
def registered_model(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """A version of `remaining_useful_life` in MLflow, one a content; alias `champion` when the gate says yes.

    Every trained candidate is registered; a challenger that is worse stays a version without the alias.
    """
    from sinet_pipelines.training.candidate import newest_candidate

    blobs = here(context, EAST).blobs
    candidate = newest_candidate(blobs, "gradient_boosting")
    verdict = json.loads(blobs.get_ref(VERDICT))
    version = context.resources.registry.register(
        MODEL,
        here(context, WEST).blobs.get_ref(GRAPH),
        family=candidate.family,
        run_id=candidate.run_id,
        alias="champion" if verdict["passed"] else None,
    )
    return made(
        context,
        f"{version.sha256[:16]}-{'champion' if 'champion' in version.aliases else 'challenger'}",
        code_version=CODE_VERSION,
        entries={
            "decision": verdict["reason"],
            "version": version.version,
            "aliases": ", ".join(version.aliases) or "none",
            "mlflow_model": dg.MetadataValue.url(context.resources.registry.version_url(version)),
            "sha256": version.sha256,
        },
    )
