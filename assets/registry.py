"""Registry: graphs that agree in, versions out, the champion's alias with one if the gate said yes; class `model`."""

import json

import dagster as dg

from assets.evaluation import CANDIDATES, MODEL, VERDICT
from assets.quantization import graph_ref
from assets.regional import here
from assets.reports import made
from resources.keys import global_key
from resources.placement import bind
from sinet_pipelines.regions import EAST, WEST
from sinet_pipelines.schemas.contract import DataClass

CODE_VERSION = "2"


@dg.asset(
    key=global_key("registered_model"),
    deps=[global_key("onnx_models"), global_key("evaluation")],
    code_version=CODE_VERSION,
    **bind(EAST, data_class=DataClass.MODEL, reads=[WEST], uses=["registry", "tracking"], kinds={"mlflow"}),
)
def registered_model(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """Versions of `remaining_useful_life` in MLflow, one a content; alias `champion` when the gate says yes.

    Every trained candidate is registered; the one with the least out-of-fold error is the challenger, and one that is
    worse than the champion stays a version without the alias.
    """
    from sinet_pipelines.training.candidate import newest_candidate

    blobs = here(context, EAST).blobs
    verdict = json.loads(blobs.get_ref(VERDICT))
    versions = {}
    for name in sorted(
        CANDIDATES, key=lambda name: name == verdict["family"]
    ):  # the challenger's number is the highest
        versions[name] = context.resources.registry.register(
            MODEL,
            here(context, WEST).blobs.get_ref(graph_ref(name)),
            family=name,
            run_id=newest_candidate(blobs, name).run_id,
            alias="champion" if verdict["passed"] and name == verdict["family"] else None,
        )
    version = versions[verdict["family"]]
    return made(
        context,
        f"{version.sha256[:16]}-{'champion' if 'champion' in version.aliases else 'challenger'}",
        code_version=CODE_VERSION,
        entries={
            "decision": verdict["reason"],
            "version": version.version,
            "family": version.family,
            "aliases": ", ".join(version.aliases) or "none",
            "mlflow_model": dg.MetadataValue.url(context.resources.registry.version_url(version)),
            "sha256": version.sha256,
        },
    )
