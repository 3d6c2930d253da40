"""Deployment: the champion in, an answering endpoint and the fleet's predictions out."""

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl

from assets.evaluation import MODEL
from assets.features import newest_regimes
from assets.lineage import copied, derived
from assets.pictures import behind, glance
from assets.regional import here, per_region
from assets.reports import entries_of, made
from resources.keys import global_key, regional_key
from resources.markdown import shown
from resources.placement import bind
from sinet_pipelines.errors import ModelNotFoundError
from sinet_pipelines.features.completeness import NEEDED
from sinet_pipelines.markdown import code
from sinet_pipelines.regions import EAST, WEST, Region
from sinet_pipelines.schemas.contract import DataClass
from sinet_pipelines.schemas.features import FLEET_PREDICTIONS, LIVE_SEQUENCES
from sinet_pipelines.schemas.telemetry import VALIDATED_TELEMETRY

if TYPE_CHECKING:
    from sinet_pipelines.registry.versions import Version

READY = "endpoint_answers_sanely"
SHOWN_UNITS = 5  # names of engines in an entry


@dg.asset(
    key=global_key("endpoint"),
    deps=[global_key("registered_model"), global_key("operating_regimes")],
    check_specs=[
        dg.AssetCheckSpec(
            READY,
            asset=global_key("endpoint"),
            blocking=True,
            description="The server in WEST is ready and answers a sane window with a number in the target's range.",
        )
    ],
    **bind(WEST, data_class=DataClass.MODEL, reads=[EAST], uses=["registry", "serving"], kinds={"onnx"}, deploys=True),
)
def endpoint(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """A model server (Open Inference Protocol v2, HTTP and gRPC) that answers with the champion.

    On one machine it is a process on loopback, with clusters what the region's row says: a Deployment and a Service, or
    an InferenceService. A server of the same bytes is kept; else a new one is asked before the old one ends.
    """
    serving, regimes = context.resources.serving, newest_regimes(here(context, EAST))
    champion, graph = _champion(context)
    served = serving.serve(champion, graph, region=WEST, regimes=regimes)
    answered = serving.ask_sample(MODEL, region=WEST, regimes=regimes)
    return made(
        context,
        champion.sha256[:16],
        entries={
            "version": champion.version,
            "url": dg.MetadataValue.url(served.url),
            "grpc": served.grpc,
            "ask_it": shown(code("sinet predict")),
            **serving.whereabouts(served),
        },
        checks=[
            dg.AssetCheckResult(
                passed=answered.is_sane,
                check_name=READY,
                description=answered.reason,
                metadata={"sample_rul_cycles": round(answered.rul_cycles, 1), "latency_ms": answered.latency_ms},
            )
        ],
    )


def _champion(context: dg.AssetExecutionContext) -> "tuple[Version, bytes]":
    """The version that the alias names and its graph; a file that MLflow lost is taken from a region's blobs.

    Raises:
        ModelNotFoundError: the alias names no version that can be served; the message says why.
        StorageError: the graph is nowhere.
    """
    registry = context.resources.registry
    champion = registry.champion(MODEL)
    if champion is None:
        raise ModelNotFoundError(registry.why_not(MODEL) or f"{MODEL} has no version with the alias champion")
    graph = registry.load(champion)
    return replace(champion, sha256=hashlib.sha256(graph).hexdigest()), graph


@per_region
def fleet_predictions(region: Region) -> dg.AssetsDefinition:
    """Remaining useful life in cycles of every live engine of the region, asked from the endpoint over its protocol.

    The interval's ends are null until a model has one. An engine that lacks too many cycles has no prediction; its
    name is an entry.
    """

    @dg.asset(
        key=regional_key(region, "fleet_predictions"),
        deps=[global_key("endpoint"), regional_key(region, "live_sequences")],
        metadata=entries_of(
            FLEET_PREDICTIONS,
            region,
            sources={
                **copied(FLEET_PREDICTIONS, of=LIVE_SEQUENCES, keys=[regional_key(region, "live_sequences")]),
                **derived(
                    ["rul_cycles", "lower_cycles", "upper_cycles"],
                    ["window", "first_cycles", "cycle"],
                    keys=[regional_key(region, "live_sequences")],
                ),
            },
        ),
        **bind(region, data_class=DataClass.FEATURE, uses=["serving"], kinds={"deltalake"}),
    )
    def asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        tables = here(context, region).tables
        live = tables.read(LIVE_SEQUENCES).sort("unit")
        predicted = context.resources.serving.predict(MODEL, live, region=WEST)
        instants = tables.read(VALIDATED_TELEMETRY, columns=["unit", "cycle", "recorded_at"])
        rows = predicted.join(instants, on=["unit", "cycle"]).with_columns(region=pl.lit(region.name))
        written = tables.replace(FLEET_PREDICTIONS, rows)
        soonest = rows.sort("rul_cycles").head(1)
        unanswered = live.join(predicted, on="unit", how="anti")["unit"].to_list()
        return made(
            context,
            written,
            entries={
                "soonest_rul_cycles": round(float(soonest["rul_cycles"][0]), 1) if rows.height else "no live engine",
                "soonest_unit": str(soonest["unit"][0]) if rows.height else "no live engine",
                "engines": rows.height,
                "without_prediction": _without_prediction(unanswered),
                **_fleet_pictures(rows, region),
            },
        )

    return asset


def _without_prediction(units: list[str]) -> str:
    """Engines that the model cannot say anything about, and why."""
    if not units:
        return "0 engines"
    more = f" and {len(units) - SHOWN_UNITS} more" if len(units) > SHOWN_UNITS else ""
    names = ", ".join(units[:SHOWN_UNITS]) + more
    return (
        f"{len(units)} engines ({names}): too few cycles in validated_telemetry (needed: {NEEDED}); land those cycles"
    )


def _fleet_pictures(rows: pl.DataFrame, region: Region) -> dict[str, dg.MetadataValue]:
    """Remaining lives from the soonest on, and each engine as a dot; nothing where no engine is live."""
    from sinet_pipelines.pictures.watch import rul_by_region

    if rows.is_empty():
        return {}
    lives = rows["rul_cycles"].sort()
    return {
        "lives_soonest_first": glance(lives, label="remaining life, soonest first", unit="cycles"),
        "fleet": behind(rul_by_region({region.name: lives}), label=f"remaining life of {region.name}'s engines"),
    }
