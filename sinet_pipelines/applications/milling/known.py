"""Versions of process features: from all versions of records, late, corrected and withdrawn ones included."""

from collections.abc import Sequence
from datetime import date

import polars as pl

from sinet_pipelines.applications.milling.features import process_features
from sinet_pipelines.applications.milling.tables import PROCESS_FEATURES, VALIDATED_RECORDS
from sinet_pipelines.features.versions import Recipe, feature_versions, keep_feature_versions, names_of_rows
from sinet_pipelines.storage.tables import DAY_COLUMN, TableStore
from sinet_pipelines.storage.versions import has_versions, scan_versions

RECIPE = Recipe(PROCESS_FEATURES, "product_id", "record_id", process_features)


def keep_process_versions(tables: TableStore, *, days: Sequence[date]) -> None:
    """Records the versions of the process features of some days; call it before these days are written.

    Args:
        tables: of the region.
        days: the days.

    Raises:
        StorageError: a table cannot be read or written.
    """
    if not days or not any(has_versions(tables, one) for one in (VALIDATED_RECORDS, PROCESS_FEATURES)):
        return
    of_days = pl.col(DAY_COLUMN).is_in(list(days))
    versions = scan_versions(tables, VALIDATED_RECORDS, where=of_days)

    def rows(products: pl.Series) -> pl.DataFrame:
        return versions.filter(pl.col("product_id").is_in(products.implode())).collect()

    found = feature_versions(versions.select(names_of_rows(RECIPE)).collect(), rows, RECIPE, days=days)
    keep_feature_versions(tables, RECIPE, found, days=days)
