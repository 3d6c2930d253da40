"""`feature_store`: the feature view over all regions' tables, its training rows and its online store."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import dagster as dg
import pyarrow as pa

from resources.reads import this_step
from sinet_pipelines.features.repository import FeatureRepository

FEATURE_STORE = "feast"  # folder in a home


class FeatureStoreResource(dg.ConfigurableResource):
    """Feast over Delta; the first step that uses it imports Feast.

    Attributes:
        folder: folder of the registry file and the online store.
    """

    folder: str

    def repository(self, *, tables: Sequence[str], features: Mapping[str, pa.DataType]) -> FeatureRepository:
        """The feature repository over these tables.

        Args:
            tables: URIs of the Delta tables of `window_features`, one for each region.
            features: the view's features with their types, in order.
        """
        reads = this_step()
        reader = reads.region if reads is not None else None
        return FeatureRepository(Path(self.folder), tuple(tables), dict(features), reader=reader)


def feature_store_resource(home: Path) -> FeatureStoreResource:
    """The embedded feature store of a home."""
    return FeatureStoreResource(folder=str(home / FEATURE_STORE))
