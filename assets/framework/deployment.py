"""Deployment of an application: serves its champion at an endpoint, and predicts its newest rows."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import dagster as dg

from assets.framework.lineage import copied
from assets.framework.regional import here
from assets.framework.reports import entries_of, made
from resources.keys import ENDPOINT, Cadence, Role
from resources.markdown import shown
from resources.placement import bind
from sinet_pipelines.applications.application import Application
from sinet_pipelines.errors import ModelNotFoundError
from sinet_pipelines.inventory.regions import Region
from sinet_pipelines.markdown import code
from sinet_pipelines.schemas.contract import Contract, DataClass

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sinet_pipelines.registry.version import Version

READY = "endpoint_answers_sanely"
Sample = Callable[[dg.AssetExecutionContext], "Mapping[str, NDArray]"]


def endpoint_of(
    application: Application,
    region: Region,
    *,
    sample: Sample,
    deps: Sequence[dg.AssetKey] = (),
    reads: Sequence[Region] = (),
) -> dg.AssetsDefinition:
    """The asset of the server of the application's champion.

    Args:
        application: the application; it must declare how it is served.
        region: where the server is.
        sample: returns the inputs of a valid row, which is sent to every server before it is used.
        deps: upstreams of the sample.
        reads: other regions from which the sample or the champion is read.
    """
    served, model = application.require_served(), application.model
    key = dg.AssetKey(application.key(ENDPOINT))

    @dg.asset(
        key=key,
        deps=[dg.AssetKey(application.key("registered_model")), *deps],
        description="A model server (Open Inference Protocol v2, HTTP and gRPC) of the champion.\n\n"
        "On one machine it is a process on loopback, on clusters the target in the region's row: a Deployment and "
        "a Service, or an InferenceService. A server of the same bytes is kept; else a new one is ready before the old "
        "one ends.",
        check_specs=[
            dg.AssetCheckSpec(
                READY,
                asset=key,
                blocking=True,
                description=f"The server in {region.name} is ready, and for a valid {served.noun} it predicts a number "
                "in the target's range.",
            )
        ],
        **bind(
            region,
            cadence=Cadence.FOLLOW,
            role=Role.ENDPOINT,
            data_class=DataClass.MODEL,
            reads=reads,
            uses=["registry", "serving"],
            kinds={"onnx"},
            deploys=True,
        ),
    )
    def endpoint(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        serving, row = context.resources.serving, sample(context)
        champion, graph = champion_of(context, model)
        server = serving.serve(champion, graph, region=region, sample=row)
        answered = serving.predict_sample(model, region=region, sample=row, task=served.task)
        return made(
            context,
            champion.sha256[:16],
            entries={
                "version": champion.version,
                "url": dg.MetadataValue.url(server.url),
                "grpc": server.grpc,
                "ask_it": shown(code("sinet predict")),
                **serving.whereabouts(server),
            },
            checks=[
                dg.AssetCheckResult(
                    passed=answered.is_sane,
                    check_name=READY,
                    description=answered.reason,
                    metadata={
                        f"sample_{served.task.outputs[0]}": round(answered.value, served.digits),
                        "latency_ms": answered.latency_ms,
                    },
                )
            ],
        )

    return endpoint


def champion_of(context: dg.AssetExecutionContext, model: str) -> "tuple[Version, bytes]":
    """The version with the champion alias and its graph; a file that MLflow lost is read from a region's blobs.

    Raises:
        ModelNotFoundError: no version with the alias can be served; the message has the reason.
        StorageError: the graph is in no storage.
    """
    registry = context.resources.registry
    champion = registry.champion(model)
    if champion is None:
        raise ModelNotFoundError(registry.why_not(model) or f"{model} has no version with the alias champion")
    graph = registry.load(champion)
    return replace(champion, sha256=hashlib.sha256(graph).hexdigest()), graph


def predictions_of(
    application: Application, region: Region, contract: Contract, *, endpoint_in: Region
) -> dg.AssetsDefinition:
    """The asset of the endpoint's predictions for the rows of `served.table` in a region.

    Args:
        application: the application of the endpoint.
        region: the region of the rows.
        contract: of the predictions: the task's group and order, its outputs, `model` and `version`.
        endpoint_in: the region of the server.
    """
    served, model = application.require_served(), application.model
    rows_key = dg.AssetKey(application.key(served.table.name, region=region.name))

    @dg.asset(
        key=dg.AssetKey(application.key(contract.name, region=region.name)),
        deps=[dg.AssetKey(application.key(ENDPOINT)), rows_key],
        description=contract.description,
        metadata=entries_of(
            contract,
            sources=copied(contract, of=served.table, keys=[rows_key]),
        ),
        **bind(region, cadence=Cadence.FOLLOW, data_class=contract.data_class, uses=["serving"], kinds={"deltalake"}),
    )
    def asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        tables = here(context, region).tables
        rows = tables.read(served.table)
        predicted = context.resources.serving.predict(model, rows, region=endpoint_in, served=served)
        written = tables.replace(contract, predicted.select(contract.schema.names))
        return made(context, written, entries={"without_prediction": rows.height - predicted.height})

    return asset
