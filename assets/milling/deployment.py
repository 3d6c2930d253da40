"""Deployment: from the champion to a serving endpoint and predictions of the newest products."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl

from assets.framework.deployment import endpoint_of
from assets.framework.lineage import copied, derived
from assets.framework.regional import here, once, per_region
from assets.framework.reports import entries_of, made
from assets.milling.evaluation import MODEL
from assets.milling.keys import global_key, regional_key
from resources.deployment import Deployment
from resources.keys import ENDPOINT, Cadence
from resources.placement import bind
from sinet_pipelines.applications.milling.application import MILLING
from sinet_pipelines.applications.milling.schemas import INPUT_NAMES
from sinet_pipelines.applications.milling.tables import FAILURE_PREDICTIONS, LIVE_RECORDS
from sinet_pipelines.applications.milling.task import FAILURE
from sinet_pipelines.inventory.names import EAST, WEST
from sinet_pipelines.inventory.regions import Region
from sinet_pipelines.schemas.contract import DataClass

if TYPE_CHECKING:
    from numpy.typing import NDArray


def _sample(_: dg.AssetExecutionContext) -> "Mapping[str, NDArray]":
    """A typical product of the published table."""
    from sinet_pipelines.applications.milling.serving import sample

    return sample()


endpoint = once(
    lambda deployment: endpoint_of(MILLING, deployment.region(WEST), sample=_sample, reads=[deployment.region(EAST)])
)


@per_region
def failure_predictions(deployment: Deployment, region: Region) -> dg.AssetsDefinition:
    """Probability of failure and warning for each product of the region's newest days, from the endpoint."""
    live_key = regional_key(region, "live_records")

    @dg.asset(
        key=regional_key(region, "failure_predictions"),
        deps=[global_key(ENDPOINT), live_key],
        metadata=entries_of(
            FAILURE_PREDICTIONS,
            sources={
                **copied(FAILURE_PREDICTIONS, of=LIVE_RECORDS, keys=[live_key]),
                **derived(FAILURE.outputs, INPUT_NAMES, keys=[live_key]),
            },
        ),
        **bind(region, cadence=Cadence.FOLLOW, data_class=DataClass.FEATURE, uses=["serving"], kinds={"deltalake"}),
    )
    def asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        from sinet_pipelines.applications.milling.serving import SERVED

        tables = here(context, region).tables
        live = tables.read(LIVE_RECORDS).sort("record_id", "product_id")
        predicted = context.resources.serving.predict(MODEL, live, region=deployment.region(WEST), served=SERVED)
        facts = live.select("product_id", "recorded_at", "product_type")
        rows = predicted.join(facts, on="product_id").with_columns(
            pl.col("is_warned") == 1.0, region=pl.lit(region.name)
        )
        written = tables.replace(FAILURE_PREDICTIONS, rows.select(FAILURE_PREDICTIONS.schema.names))
        warned = rows.filter("is_warned")
        return made(
            context,
            written,
            entries={
                "products": rows.height,
                "warnings": warned.height,
                "greatest_probability": round(float(rows["failure_probability"].max() or 0.0), 4),
                "without_prediction": live.height - rows.height,
            },
        )

    return asset
