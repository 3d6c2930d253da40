"""The endpoint of a home, a process of this machine or of its region's cluster: served, and asked over its protocol."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl

from resources.keys import global_key
from resources.reads import this_step
from resources.settings import settings
from sinet_pipelines.errors import ServingError
from sinet_pipelines.sites import ServingTarget

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sinet_pipelines.deployment.client import Answer
    from sinet_pipelines.deployment.cluster.record import ClusterEndpoint
    from sinet_pipelines.deployment.endpoint import Endpoint
    from sinet_pipelines.features.regimes import OperatingRegimes
    from sinet_pipelines.features.sequences import Sequences
    from sinet_pipelines.regions import Region
    from sinet_pipelines.registry.versions import Version


@dataclass(frozen=True)
class SampleAnswer:
    """What an endpoint said to a sane window.

    Attributes:
        is_sane: whether it was a number within the target's range.
        rul_cycles: the answer.
        latency_ms: of the second request, when the connection's code is warm.
        reason: in a sentence.
    """

    is_sane: bool
    rul_cycles: float
    latency_ms: float
    reason: str


class ServingResource(dg.ConfigurableResource):
    """Endpoints of a home.

    Attributes:
        home: whose model repository and server processes they are.
    """

    home: str

    def serve(
        self, version: "Version", graph: bytes, *, region: "Region", regimes: "OperatingRegimes"
    ) -> "Endpoint | ClusterEndpoint":
        """A ready server of this version in the region: the running one if it serves just that, else a new one.

        Where steps run in clusters it is the region's cluster that serves, as the region's row says.

        Args:
            version: of the registry, whose name and number it is served under.
            graph: the version's ONNX.
            region: where it serves.
            regimes: what a sane window is made from, asked of every server before it is used.

        Raises:
            ServingError: the new server does not start; the old one goes on.
            ClusterError: the region's cluster refuses what is applied, or does not answer.
        """
        from sinet_pipelines.deployment.cluster.record import forget
        from sinet_pipelines.deployment.endpoint import endpoint_folder, models_folder
        from sinet_pipelines.deployment.process import ensure_server
        from sinet_pipelines.deployment.publish import clear_damaged, publish_model
        from sinet_pipelines.features.sample import mean_engine
        from sinet_pipelines.quantization.session import feed
        from sinet_pipelines.storage.blobs import BlobStore

        repository, sample = models_folder(Path(self.home)), feed(mean_engine(regimes))
        blobs = BlobStore(Path(self.home) / "blobs" / region.name)
        clear_damaged(repository, version.name, version=str(version.version), sha256=version.sha256)
        publish_model(
            repository,
            version.name,
            version=str(version.version),
            onnx=blobs.path(blobs.put(graph)),
            sample=sample,
            alias="champion",
        )
        if is_served_in_cluster(region):
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
            own_region=settings().region,
        )

    def whereabouts(self, served: "Endpoint | ClusterEndpoint") -> dict[str, int | str]:
        """Entries that say what serves: a process's number, or the cluster's object."""
        from sinet_pipelines.deployment.endpoint import Endpoint

        if isinstance(served, Endpoint):
            return {"pid": served.pid}
        return {"served_by": f"{served.kind} {served.namespace}/{served.object} in {served.region}"}

    def ask_sample(self, model: str, *, region: "Region", regimes: "OperatingRegimes") -> SampleAnswer:
        """What the endpoint says about an engine that shows its regime's mean."""
        from sinet_pipelines.features.sample import mean_engine
        from sinet_pipelines.schemas.features import MAX_RUL_CYCLES

        sample = mean_engine(regimes)
        self._ask(model, sample, region=region, is_new=True)
        started = time.perf_counter()
        answers = self._ask(model, sample, region=region).outputs
        latency_ms = round(1000 * (time.perf_counter() - started), 3)
        rul_cycles = float(answers["rul_cycles"][0, 0])
        is_sane = 0.0 <= rul_cycles <= MAX_RUL_CYCLES
        reason = f"a mean engine has {rul_cycles:.1f} cycles left (allowed: 0 to {MAX_RUL_CYCLES})"
        return SampleAnswer(is_sane, rul_cycles, latency_ms, reason)

    def predict(self, model: str, sequences: pl.DataFrame, *, region: "Region") -> pl.DataFrame:
        """What the endpoint says about each engine: `unit`, `cycle`, the answer, its interval, model and version.

        An engine that no model can predict from (its latest cycle or too many of its first ones are absent) has no row.

        Args:
            model: the endpoint's name.
            sequences: rows of contract `live_sequences`.
            region: where the endpoint is.

        Raises:
            ResidencyError: the step that asks has no edge on which these rows may go there.
        """
        from sinet_pipelines.features.completeness import are_answerable
        from sinet_pipelines.features.sequences import sequences_from_table
        from sinet_pipelines.schemas.features import LIVE_SEQUENCES

        sequences = sequences.filter(
            pl.Series(are_answerable(sequences_from_table(sequences.to_arrow())), dtype=pl.Boolean)
        )
        asked = sequences.select("unit", "cycle")
        if not asked.height:
            return asked.with_columns(_nothing())
        if step := this_step():
            step.sends(region.name, LIVE_SEQUENCES.name, sequences)
        answer = self._ask(model, sequences_from_table(sequences.to_arrow()), region=region)
        columns = [
            pl.Series(name, _column(answer, name), dtype=pl.Float64)
            for name in ("rul_cycles", "lower_cycles", "upper_cycles")
        ]
        return asked.with_columns(*columns, model=pl.lit(answer.model), version=pl.lit(answer.version))

    def _ask(self, model: str, sequences: "Sequences", *, region: "Region", is_new: bool = False) -> "Answer":
        from sinet_pipelines.deployment.client import ask_at
        from sinet_pipelines.deployment.cluster.asking import ROLLOUT_S, ask_service
        from sinet_pipelines.deployment.cluster.record import read_record
        from sinet_pipelines.deployment.endpoint import endpoint_folder
        from sinet_pipelines.quantization.session import feed

        folder = endpoint_folder(Path(self.home), region=region.name, name=model)
        if not is_served_in_cluster(region):
            return ask_at(folder, feed(sequences))
        record = read_record(folder)
        if record is not None and settings().region in (None, region.name):
            patience_s = ROLLOUT_S if is_new else None
            inputs = feed(sequences)
            return ask_service(record.url, model, inputs, region=region, version=record.version, patience_s=patience_s)
        url = _materialised_url() or (record.url if record else None)
        if url is None:
            raise ServingError(f"no endpoint of {model} was made in {region.name}; materialise the asset `endpoint`")
        return ask_service(url, model, feed(sequences), region=region)


def is_served_in_cluster(region: "Region") -> bool:
    """Whether the region's cluster serves its models; on one machine a process does."""
    return settings().executor == "regions" and region.cluster.serving.target is not ServingTarget.PROCESS


def _materialised_url() -> str | None:
    """The address in the newest materialisation of the endpoint, which all regions' steps read; None outside a step.

    The home of another region may be another file system, and what a mirror has of it may be of yesterday.
    """
    try:
        instance = dg.OpExecutionContext.get().instance
    except dg.DagsterInvariantViolationError:
        return None
    event = instance.get_latest_materialization_event(global_key("endpoint"))
    entry = event.asset_materialization.metadata.get("url") if event and event.asset_materialization else None
    return str(entry.value) if entry is not None else None


def _column(answer: "Answer", name: str) -> "list[float | None]":
    """One output as a column; null where the model does not say it, or has no number to say."""
    if name not in answer.outputs:
        return [None] * len(answer.outputs["rul_cycles"])
    return [None if math.isnan(value) else float(value) for value in answer.outputs[name][:, 0]]


def _nothing() -> list[pl.Expr]:
    numbers = [pl.lit(None, pl.Float64).alias(name) for name in ("rul_cycles", "lower_cycles", "upper_cycles")]
    return [*numbers, *(pl.lit(None, pl.String).alias(name) for name in ("model", "version"))]
