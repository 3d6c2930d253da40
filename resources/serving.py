"""The model server of a home: published, started or re-used, and asked over its protocol."""

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl

from resources.reads import this_step

if TYPE_CHECKING:
    from sinet_pipelines.deployment.client import Answer
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

    def serve(self, version: "Version", graph: bytes, *, region: "Region", regimes: "OperatingRegimes") -> "Endpoint":
        """A ready server of this version in the region: the running one if it serves just that, else a new one.

        Args:
            version: of the registry, whose name and number it is served under.
            graph: the version's ONNX.
            region: where it serves.
            regimes: what a sane window is made from, asked of every server before it is used.

        Raises:
            ServingError: the new server does not start; the old one goes on.
        """
        from sinet_pipelines.deployment.endpoint import endpoint_folder, models_folder
        from sinet_pipelines.deployment.process import ensure_server
        from sinet_pipelines.deployment.publish import clear_damaged, publish_model
        from sinet_pipelines.features.sample import mean_engine
        from sinet_pipelines.quantization.session import feed
        from sinet_pipelines.storage.blobs import BlobStore

        repository = models_folder(Path(self.home))
        blobs = BlobStore(Path(self.home) / "blobs" / region.name)
        clear_damaged(repository, version.name, version=str(version.version), sha256=version.sha256)
        publish_model(
            repository,
            version.name,
            version=str(version.version),
            onnx=blobs.path(blobs.put(graph)),
            sample=feed(mean_engine(regimes)),
            alias="champion",
        )
        return ensure_server(
            endpoint_folder(Path(self.home), region=region.name, name=version.name),
            name=version.name,
            region=region.name,
            repository=repository,
            model=version.name,
            version=str(version.version),
            sha256=version.sha256,
        )

    def ask_sample(self, model: str, *, region: "Region", regimes: "OperatingRegimes") -> SampleAnswer:
        """What the endpoint says about an engine that shows its regime's mean."""
        from sinet_pipelines.features.sample import mean_engine
        from sinet_pipelines.schemas.features import MAX_RUL_CYCLES

        sample = mean_engine(regimes)
        self._ask(model, sample, region=region)
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

    def _ask(self, model: str, sequences: "Sequences", *, region: "Region") -> "Answer":
        from sinet_pipelines.deployment.client import ask_at
        from sinet_pipelines.deployment.endpoint import endpoint_folder
        from sinet_pipelines.quantization.session import feed

        return ask_at(endpoint_folder(Path(self.home), region=region.name, name=model), feed(sequences))


def _column(answer: "Answer", name: str) -> "list[float | None]":
    """One output as a column; null where the model does not say it, or has no number to say."""
    if name not in answer.outputs:
        return [None] * len(answer.outputs["rul_cycles"])
    return [None if math.isnan(value) else float(value) for value in answer.outputs[name][:, 0]]


def _nothing() -> list[pl.Expr]:
    numbers = [pl.lit(None, pl.Float64).alias(name) for name in ("rul_cycles", "lower_cycles", "upper_cycles")]
    return [*numbers, *(pl.lit(None, pl.String).alias(name) for name in ("model", "version"))]
