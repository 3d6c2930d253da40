"""`feature_store`: the feature view over all regions' tables, its training rows and its online store."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from resources.reads import this_step
from sinet_pipelines.features.replicas import FOLDER
from sinet_pipelines.features.repository import FeatureRepository

FEATURE_STORE = FOLDER


class FeatureStoreResource(dg.ConfigurableResource):
    """Feast over Delta; the first step that uses it imports Feast.

    Attributes:
        folder: folder of the registry file and the online store.
    """

    folder: str

    def repository(self, *, tables: Sequence[str], **definition: Any) -> FeatureRepository:
        """The feature repository over these tables.

        Args:
            tables: URIs of the Delta tables of `window_features`, one for each region.
            definition: the other attributes of `FeatureRepository`: features, region and its online store, ...
        """
        reads = this_step()
        reader = reads.region if reads is not None else None
        return FeatureRepository(Path(self.folder), tuple(tables), reader=reader, **definition)


def feature_store_resource(home: Path) -> FeatureStoreResource:
    """The embedded feature store of a home."""
    return FeatureStoreResource(folder=str(home / FEATURE_STORE))
