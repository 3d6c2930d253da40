"""Deployment: serves the champion at an endpoint, predicts the fleet, and indexes its past failures."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl

from assets.framework.deployment import endpoint_of
from assets.framework.lineage import copied, derived
from assets.framework.nearest import failure_index_of
from assets.framework.pictures import behind, glance
from assets.framework.regional import here, once, per_region
from assets.framework.reports import entries_of, made
from assets.turbofan.evaluation import MODEL
from assets.turbofan.features import newest_regimes
from assets.turbofan.keys import global_key, regional_key
from resources.deployment import Deployment
from resources.keys import Cadence
from resources.placement import bind
from sinet_pipelines.applications.turbofan.application import TURBOFAN
from sinet_pipelines.applications.turbofan.features.completeness import NEEDED
from sinet_pipelines.applications.turbofan.past_failures import past_windows
from sinet_pipelines.applications.turbofan.schemas.features import FLEET_PREDICTIONS, LIVE_SEQUENCES
from sinet_pipelines.applications.turbofan.schemas.telemetry import VALIDATED_TELEMETRY
from sinet_pipelines.inventory.names import EAST, WEST
from sinet_pipelines.inventory.regions import Region
from sinet_pipelines.schemas.contract import DataClass

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHOWN_UNITS = 5  # names of engines in an entry


def _sample(context: dg.AssetExecutionContext) -> "Mapping[str, NDArray]":
    """The window of a valid engine."""
    from sinet_pipelines.applications.turbofan.serving import sample_of

    return sample_of(newest_regimes(here(context, EAST)))


endpoint = once(
    lambda deployment: endpoint_of(
        TURBOFAN,
        deployment.region(WEST),
        sample=_sample,
        deps=[global_key("operating_regimes")],
        reads=[deployment.region(EAST)],
    )
)


@per_region
def fleet_predictions(deployment: Deployment, region: Region) -> dg.AssetsDefinition:
    """Remaining useful life in cycles of every live engine of the region, predicted by the endpoint over its protocol.

    The interval's ends are null where a model has none. An engine that lacks too many cycles has no prediction; its
    name is in the metadata.
    """

    @dg.asset(
        key=regional_key(region, "fleet_predictions"),
        deps=[global_key("endpoint"), regional_key(region, "live_sequences")],
        metadata=entries_of(
            FLEET_PREDICTIONS,
            sources={
                **copied(FLEET_PREDICTIONS, of=LIVE_SEQUENCES, keys=[regional_key(region, "live_sequences")]),
                **derived(
                    ["rul_cycles", "lower_cycles", "upper_cycles"],
                    ["window", "first_cycles", "cycle"],
                    keys=[regional_key(region, "live_sequences")],
                ),
            },
        ),
        **bind(region, cadence=Cadence.FOLLOW, data_class=DataClass.FEATURE, uses=["serving"], kinds={"deltalake"}),
    )
    def asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        from sinet_pipelines.applications.turbofan.serving import SERVED

        tables = here(context, region).tables
        live = tables.read(LIVE_SEQUENCES).sort("unit")
        predicted = context.resources.serving.predict(MODEL, live, region=deployment.region(WEST), served=SERVED)
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
    """Engines without a prediction, and why."""
    if not units:
        return "0 engines"
    more = f" and {len(units) - SHOWN_UNITS} more" if len(units) > SHOWN_UNITS else ""
    names = ", ".join(units[:SHOWN_UNITS]) + more
    return (
        f"{len(units)} engines ({names}): too few cycles in validated_telemetry (needed: {NEEDED}); land those cycles"
    )


def _fleet_pictures(rows: pl.DataFrame, region: Region) -> dict[str, dg.MetadataValue]:
    """Remaining lives in rising order, and each engine as a dot; nothing without live engines."""
    from sinet_pipelines.pictures.watch import rul_by_region

    if rows.is_empty():
        return {}
    lives = rows["rul_cycles"].sort()
    return {
        "lives_soonest_first": glance(lives, label="remaining life, soonest first", unit="cycles"),
        "fleet": behind(rul_by_region({region.name: lives}), label=f"remaining life of {region.name}'s engines"),
    }


@per_region
def failure_index(deployment: Deployment, region: Region) -> dg.AssetsDefinition:
    """An index of windows before the region's past failures, for the failures that are most similar to an engine.

    The vector of a window is the change of the 21 sensors since the engine was new. Every fifth cycle of the last 125
    before a failure is in the index; cycles between these measure how many nearest windows it finds.
    """
    upstreams = [regional_key(region, name) for name in ("window_features", "failure_events")]
    return failure_index_of(TURBOFAN, region, windows=past_windows, deps=upstreams)
