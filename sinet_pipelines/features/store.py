"""The offline store of Feast on Delta tables: training rows by an as-of join, latest rows over whole tables.

Feast finds `DeltaOfflineStore` and its config by their dotted path. No other module imports this one at its top, since
the import of Feast takes seconds. Tables are written by `storage/tables.py`: saving data sets, pushing rows and logging
features through Feast are not implemented, as its interface allows.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal

import pandas as pd
import polars as pl
import pyarrow as pa

from sinet_pipelines.errors import UsageError
from sinet_pipelines.features.feast_library import (
    BaseRegistry,
    DataSource,
    FeastConfigBaseModel,
    FeatureView,
    OfflineStore,
    OnDemandFeatureView,
    RepoConfig,
    RetrievalJob,
    RetrievalMetadata,
)
from sinet_pipelines.features.point_in_time import point_in_time_join
from sinet_pipelines.features.source import DeltaSource
from sinet_pipelines.features.two_axes import join_as_known
from sinet_pipelines.schemas.arrival import KNOWN_AT, KNOWN_FROM, KNOWN_UNTIL

ENTITY_TIME = "event_timestamp"  # Feast's name for the instant of an entity row


class DeltaOfflineStoreConfig(FeastConfigBaseModel):
    """How the tables are reached; each `DeltaSource` states where its table is.

    Attributes:
        type: the dotted path of the store.
        reader: the region as which the regions' stores are opened; empty for each region itself.
        home: the home, relative to the folder of `feature_store.yaml`; empty for that folder.
    """

    type: Literal["sinet_pipelines.features.store.DeltaOfflineStore"] = (
        "sinet_pipelines.features.store.DeltaOfflineStore"
    )
    reader: str = ""
    home: str = ""


class DeltaRetrievalJob(RetrievalJob):
    """Rows that are read and joined when they are requested."""

    def __init__(
        self,
        rows: Callable[[], pl.DataFrame],
        *,
        full_feature_names: bool = False,
        on_demand_feature_views: Sequence[OnDemandFeatureView] = (),
        metadata: RetrievalMetadata | None = None,
    ) -> None:
        self._rows = rows
        self._full_feature_names = full_feature_names
        self._on_demand_feature_views = list(on_demand_feature_views)
        self._metadata = metadata

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        return self._rows().to_arrow()

    @property
    def full_feature_names(self) -> bool:
        """Whether a feature's column begins with its view's name."""
        return self._full_feature_names

    @property
    def on_demand_feature_views(self) -> list[OnDemandFeatureView]:
        """The views that Feast computes from these rows."""
        return self._on_demand_feature_views

    @property
    def metadata(self) -> RetrievalMetadata | None:
        """The request."""
        return self._metadata


class DeltaOfflineStore(OfflineStore):
    """Reads features from Delta tables; results depend on rows alone, not on the order in which they are stored."""

    @staticmethod
    def get_historical_features(
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: pd.DataFrame | str | None,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
    ) -> RetrievalJob:
        """Each entity row with the newest features at or before its instant, in the rows' order and number.

        With a column `as_known_at` of instants, only values are used that had arrived at that moment and were not yet
        corrected or withdrawn (`join_as_known`).

        Args:
            config: of the repository.
            feature_views: the requested views; a `ttl` of zero is none, as everywhere in Feast.
            feature_refs: `view:feature` each.
            entity_df: (n, columns) rows with the join keys and an instant, `event_timestamp` or the only one there is
                beside `as_known_at`.
            registry: where on-demand views are found.
            project: whose they are.
            full_feature_names: name columns `view__feature`.

        Raises:
            UsageError: no data frame of entities, no instant in it, or a column that would stand twice.
        """
        if not isinstance(entity_df, pd.DataFrame):
            found = "none" if entity_df is None else "a query"
            raise UsageError(f"entities are requested by {found} (allowed: a data frame); give units and instants")
        entities = pl.from_pandas(entity_df)
        time = _entity_time(entities.schema)
        wanted = _wanted(feature_views, feature_refs, full_feature_names=full_feature_names)

        def joined() -> pl.DataFrame:
            rows = entities
            for view, names in zip(feature_views, wanted, strict=True):
                rows = _join_view(rows, view, names=names, config=config, entity_time=time)
            return rows

        return DeltaRetrievalJob(
            joined,
            full_feature_names=full_feature_names,
            on_demand_feature_views=OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry),
            metadata=RetrievalMetadata(
                features=feature_refs,
                keys=[name for name in entities.columns if name not in (time, KNOWN_AT)],
                min_event_timestamp=entities[time].min(),
                max_event_timestamp=entities[time].max(),
            ),
        )

    @staticmethod
    def pull_latest_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> RetrievalJob:
        """Each entity's newest row over the whole table, independent of the requested range.

        The online store keeps the last write, not the newest event: the newest row of an old range would replace a
        newer value there. So `start_date` and `end_date` have no effect.

        Args:
            config: of the repository.
            data_source: a `DeltaSource`.
            join_key_columns: columns that name an entity.
            feature_name_columns: columns wanted.
            timestamp_field: column of the instant a row became true.
            created_timestamp_column: column of the instant a row was written.
            start_date: not used.
            end_date: not used.
        """
        source = delta_source(data_source)
        created = [created_timestamp_column] if created_timestamp_column else []
        columns = dict.fromkeys([*join_key_columns, *feature_name_columns, timestamp_field, *created])
        order = [*created, *source.tie_breaks, *sorted(feature_name_columns)]

        def latest() -> pl.DataFrame:
            rows = source.scan(config).select(*dict.fromkeys([*columns, *order]))
            newest = rows.group_by(join_key_columns).agg(pl.col(timestamp_field).max())
            of_newest = rows.join(newest, on=[*join_key_columns, timestamp_field], how="semi")
            settled = of_newest.collect(engine="streaming").sort(*join_key_columns, *order)
            return settled.unique(join_key_columns, keep="last", maintain_order=True).select(*columns)

        return DeltaRetrievalJob(latest)

    @staticmethod
    def pull_all_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> RetrievalJob:
        """All rows from `start_date` to `end_date`, both included, by entity and instant; None leaves an end open.

        Args:
            config: of the repository.
            data_source: a `DeltaSource`.
            join_key_columns: columns that name an entity.
            feature_name_columns: columns wanted.
            timestamp_field: column of the instant a row became true.
            created_timestamp_column: column of the instant a row was written.
            start_date: the first instant; without a zone it is UTC.
            end_date: the last instant; without a zone it is UTC.
        """
        source = delta_source(data_source)
        moment = [timestamp_field, *([created_timestamp_column] if created_timestamp_column else [])]
        columns = dict.fromkeys([*join_key_columns, *feature_name_columns, *moment])

        def between() -> pl.DataFrame:
            rows = source.scan(config).select(*columns)
            if start_date is not None:
                rows = rows.filter(pl.col(timestamp_field) >= _utc(start_date))
            if end_date is not None:
                rows = rows.filter(pl.col(timestamp_field) <= _utc(end_date))
            return rows.sort(*join_key_columns, *moment, *sorted(feature_name_columns)).collect()

        return DeltaRetrievalJob(between)


def delta_source(source: DataSource | None) -> DeltaSource:
    """The source of a view, which must be Delta tables.

    Raises:
        UsageError: it is another kind of source.
    """
    if not isinstance(source, DeltaSource):
        raise UsageError(
            f"a source of kind {type(source).__name__} is not read here (allowed: DeltaSource); name tables"
        )
    return source


def _utc(instant: datetime) -> datetime:
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


def _entity_time(schema: pl.Schema) -> str:
    """The column of the instants: `event_timestamp`, or the only one there is."""
    instants = [name for name, dtype in schema.items() if isinstance(dtype, pl.Datetime) and name != KNOWN_AT]
    if ENTITY_TIME in instants:
        return ENTITY_TIME
    if len(instants) != 1:
        raise UsageError(f"entities have {len(instants)} columns of instants; name the requested instant {ENTITY_TIME}")
    return instants[0]


def _wanted(views: Sequence[FeatureView], refs: Sequence[str], *, full_feature_names: bool) -> list[Mapping[str, str]]:
    """The requested columns of each view, each with its name in the result, in the order of the request."""
    wanted: list[Mapping[str, str]] = []
    for view in views:
        name = view.projection.name_to_use()
        features = [feature for owner, _, feature in (ref.partition(":") for ref in refs) if owner == name]
        wanted.append({f: f"{name}__{f}" if full_feature_names else f for f in features})
    return wanted


def _join_view(
    entities: pl.DataFrame, view: FeatureView, *, names: Mapping[str, str], config: RepoConfig, entity_time: str
) -> pl.DataFrame:
    """The entities with the columns of one view."""
    source = delta_source(view.batch_source)
    keys = {column.name: view.projection.join_key_map.get(column.name, column.name) for column in view.entity_columns}
    ties = {name: f"__tie_{name}" for name in source.tie_breaks}
    created = source.created_timestamp_column
    named = {**keys, **names}
    order = {source.timestamp_field: "__recorded", **({created: "__written"} if created else {}), **ties}
    is_as_known = KNOWN_AT in entities.columns
    scanned = source.scan_versions(config) if is_as_known else source.scan(config)
    features = scanned.select(
        *(pl.col(column).alias(name) for column, name in named.items()),
        *(pl.col(column).alias(name) for column, name in order.items()),
        *((KNOWN_FROM, KNOWN_UNTIL) if is_as_known else ()),
    )
    join = join_as_known if is_as_known else point_in_time_join
    return join(
        entities,
        features,
        columns=list(names.values()),
        on=list(keys.values()),
        entity_time=entity_time,
        feature_time="__recorded",
        created_time="__written" if created else None,
        tie_breaks=list(ties.values()),
        ttl=view.ttl or None,
    )
