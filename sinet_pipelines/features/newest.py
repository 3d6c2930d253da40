"""The rows that a replica gets: each engine's newest over the whole of all tables."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa

from sinet_pipelines.features.definitions import ENTITY, EVENT_TIME
from sinet_pipelines.features.replica_mark import WrittenEntity
from sinet_pipelines.features.replicas import VIEW

if TYPE_CHECKING:
    from feast import FeatureStore


def newest_rows(store: "FeatureStore", features: Sequence[str], *, versions: Mapping[str, int]) -> pa.Table:
    """(n_engines, 2 + n_features) each engine's newest row, with its name and instant.

    Args:
        store: Feast's store over the registry.
        features: names of the features wanted.
        versions: of the tables, by address relative to the home; a later commit has no effect.

    Raises:
        StorageError: no table of features was ever written.
    """
    from sinet_pipelines.features.store import DeltaOfflineStore, delta_source

    job = DeltaOfflineStore.pull_latest_from_table_or_query(
        config=store.config,
        data_source=delta_source(store.get_feature_view(VIEW).batch_source).at_versions(versions),
        join_key_columns=[ENTITY],
        feature_name_columns=list(features),
        timestamp_field=EVENT_TIME,
        created_timestamp_column=None,
    )
    return job.to_arrow()


def written_entities(newest: pa.Table, store: "FeatureStore") -> list[WrittenEntity]:
    """The engines of the newest rows, each with its key in Feast's form.

    Args:
        newest: result of `newest_rows`.
        store: Feast's store over the registry.
    """
    from feast.infra.key_encoding_utils import serialize_entity_key
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    version = store.config.entity_key_serialization_version
    rows = pl.DataFrame(pl.from_arrow(newest.select([ENTITY, EVENT_TIME])))
    instants = rows[EVENT_TIME].dt.convert_time_zone("UTC").to_list()
    found = []
    for unit, at in zip(rows[ENTITY].to_list(), instants, strict=True):
        key = EntityKey(join_keys=[ENTITY], entity_values=[Value(string_val=unit)])
        found.append(WrittenEntity(unit, serialize_entity_key(key, entity_key_serialization_version=version), at))
    return found
