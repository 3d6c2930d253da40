"""Starts and queries the endpoints of a home: processes of this machine, or objects of the regions' clusters."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl

from resources.keys import ENDPOINT
from resources.reads import this_step
from sinet_pipelines.applications import load_applications
from sinet_pipelines.errors import ServingError
from sinet_pipelines.inventory.sites import ServingTarget

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sinet_pipelines.deployment.client import Prediction
    from sinet_pipelines.deployment.cluster.record import ClusterEndpoint
    from sinet_pipelines.deployment.endpoint import Endpoint
    from sinet_pipelines.deployment.served_model import ServedModel
    from sinet_pipelines.inventory.regions import Region
    from sinet_pipelines.models.task import Task
    from sinet_pipelines.registry.version import Version


@dataclass(frozen=True)
class SampleAnswer:
    """An endpoint's prediction for a valid sample row.

    Attributes:
        is_sane: whether it is a number within the target's range.
        value: the prediction.
        latency_ms: of the second request, when the connection is warm.
        reason: one sentence.
    """

    is_sane: bool
    value: float
    latency_ms: float
    reason: str


class ServingResource(dg.ConfigurableResource):
    """The endpoints of a home.

    Attributes:
        home: the home with the model repository and the records of servers.
        executor: of the deployment; with `regions`, clusters serve where their region states it.
        own_region: the region of a step's own pod; empty on one machine.
    """

    home: str
    executor: str = "in_process"
    own_region: str = ""

    def serve(
        self, version: "Version", graph: bytes, *, region: "Region", sample: "Mapping[str, NDArray]"
    ) -> "Endpoint | ClusterEndpoint":
        """Makes sure that a server of this version is ready in the region: a running one of this version, or a new one.

        Where steps run in clusters, the region's cluster serves, as configured in the region's row.

        Args:
            version: the version in the registry, with the name and number to serve it under.
            graph: the version's ONNX.
            region: the region of the endpoint.
            sample: the inputs of a valid row, sent to every server before it is used.

        Raises:
            ServingError: the new server does not start; the old one continues.
            ClusterError: the region's cluster rejects the manifest, or does not respond.
        """
        from sinet_pipelines.deployment.cluster.record import forget
        from sinet_pipelines.deployment.endpoint import endpoint_folder, models_folder
        from sinet_pipelines.deployment.process import ensure_server
        from sinet_pipelines.deployment.publish import clear_damaged, publish_model
        from sinet_pipelines.storage.blobs import blobs_of

        repository = models_folder(Path(self.home))
        blobs = blobs_of(Path(self.home), region.name)
        clear_damaged(repository, version.name, version=str(version.version), sha256=version.sha256)
        publish_model(
            repository,
            version.name,
            version=str(version.version),
            onnx=blobs.path(blobs.put(graph)),
            sample=sample,
            alias="champion",
        )
        if self._is_served_in_cluster(region):
            return self._serve_in_cluster(version, graph, region=region, sample=sample)
        folder = endpoint_folder(Path(self.home), region=region.name, name=version.name)
        forget(folder)
        return ensure_server(
            folder,
            name=version.name,
            region=region.name,
            repository=repository,
            model=version.name,
            version=str(version.version),
            sha256=version.sha256,
        )

    def _serve_in_cluster(
        self, version: "Version", graph: bytes, *, region: "Region", sample: "Mapping[str, NDArray]"
    ) -> "ClusterEndpoint":
        from sinet_pipelines.deployment.cluster.serving import serve_in_cluster

        return serve_in_cluster(
            Path(self.home),
            region,
            model=version.name,
            version=str(version.version),
            graph=graph,
            sample=sample,
            own_region=self.own_region or None,
        )

    def whereabouts(self, served: "Endpoint | ClusterEndpoint") -> dict[str, int | str]:
        """Metadata that identifies the server: a process id, or the cluster's object."""
        from sinet_pipelines.deployment.endpoint import Endpoint

        if isinstance(served, Endpoint):
            return {"pid": served.pid}
        return {"served_by": f"{served.kind} {served.namespace}/{served.object} in {served.region}"}

    def predict_sample(
        self, model: str, *, region: "Region", sample: "Mapping[str, NDArray]", task: "Task"
    ) -> SampleAnswer:
        """The endpoint's prediction for a valid row, and whether that is a number in the task's range.

        Args:
            model: the endpoint's name.
            region: the region of the endpoint.
            sample: the inputs of the row.
            task: the prediction task.
        """
        self._predict(model, sample, region=region)
        started = time.perf_counter()
        answers = self._predict(model, sample, region=region).outputs
        latency_ms = round(1000 * (time.perf_counter() - started), 3)
        output = task.outputs[0]
        value = float(answers[output][0, 0])
        low, high = task.range or (-math.inf, math.inf)
        reason = f"{output} of the sample is {value:.4g} (allowed: {low:g} to {high:g})"
        return SampleAnswer(math.isfinite(value) and low <= value <= high, value, latency_ms, reason)

    def predict(self, model: str, rows: pl.DataFrame, *, region: "Region", served: "ServedModel") -> pl.DataFrame:
        """The endpoint's prediction for each row: the task's group and order, its outputs, model and version.

        Rows from which no model can predict are left out.

        Args:
            model: the endpoint's name.
            rows: of the contract `served.table`.
            region: the region of the endpoint.
            served: the served model of the application.

        Raises:
            ResidencyError: the step has no edge on which these rows may go to that region.
        """
        task, requests = served.task, served.of_table(rows)
        whole_B = requests.is_whole_B
        rows, requests = rows.filter(pl.Series(whole_B, dtype=pl.Boolean)), requests.take(whole_B)
        keys = rows.select(task.group, task.order)
        if not keys.height:
            return keys.with_columns(_nothing(task))
        if step := this_step():
            step.sends(region.name, served.table.name, rows)
        answer = self._predict(model, requests.inputs, region=region)
        columns = [pl.Series(name, _column(answer, name, task), dtype=pl.Float64) for name in task.outputs]
        return keys.with_columns(*columns, model=pl.lit(answer.model), version=pl.lit(answer.version))

    def _is_served_in_cluster(self, region: "Region") -> bool:
        """Whether the region's cluster serves its models; on one machine a process does."""
        return self.executor == "regions" and region.cluster.serving.target is not ServingTarget.PROCESS

    def _predict(self, model: str, inputs: "Mapping[str, NDArray]", *, region: "Region") -> "Prediction":
        """The endpoint's response; a step waits where a cluster is just starting a pod of the server."""
        from sinet_pipelines.deployment.client import predict_at
        from sinet_pipelines.deployment.cluster.prediction import ROLLOUT_S, predict_at_address
        from sinet_pipelines.deployment.cluster.record import read_record
        from sinet_pipelines.deployment.endpoint import endpoint_folder

        folder = endpoint_folder(Path(self.home), region=region.name, name=model)
        if not self._is_served_in_cluster(region):
            return predict_at(folder, inputs)
        record = read_record(folder)
        if record is not None and self.own_region in ("", region.name):
            return predict_at_address(
                record.url, model, inputs, region=region, version=record.version, patience_s=ROLLOUT_S
            )
        url = _materialised_url(model) or (record.url if record else None)
        if url is None:
            raise ServingError(f"no endpoint of {model} was made in {region.name}; materialise the asset `endpoint`")
        return predict_at_address(url, model, inputs, region=region, patience_s=ROLLOUT_S)


def _materialised_url(model: str) -> str | None:
    """The address in the endpoint's latest materialisation, which steps of all regions can read; None outside a step.

    The home of another region may be on another file system, and a mirror of it may be out of date.
    """
    try:
        instance = dg.OpExecutionContext.get().instance
    except dg.DagsterInvariantViolationError:
        return None
    application = next((one for one in load_applications() if one.model == model), None)
    if application is None:
        return None
    event = instance.get_latest_materialization_event(dg.AssetKey(application.key(ENDPOINT)))
    entry = event.asset_materialization.metadata.get("url") if event and event.asset_materialization else None
    return str(entry.value) if entry is not None else None


def _column(answer: "Prediction", name: str, task: "Task") -> "list[float | None]":
    """One output as a column; null where the model does not have the output, or where it is not a number."""
    if name not in answer.outputs:
        return [None] * len(answer.outputs[task.outputs[0]])
    return [None if math.isnan(value) else float(value) for value in answer.outputs[name][:, 0]]


def _nothing(task: "Task") -> list[pl.Expr]:
    numbers = [pl.lit(None, pl.Float64).alias(name) for name in task.outputs]
    return [*numbers, *(pl.lit(None, pl.String).alias(name) for name in ("model", "version"))]
