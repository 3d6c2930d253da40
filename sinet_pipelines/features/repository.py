"""The feature repository: the entity `unit`, the view `window_features`, their registry and the online store.

Definitions are code: the content of the registry file is derived from them and replaced completely. The online store
has each engine's newest row over the whole tables of all regions, since it keeps the last write, not the newest event.
"""

import logging
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa
import yaml

from sinet_pipelines.errors import StorageError, UsageError
from sinet_pipelines.schemas.arrival import KNOWN_AT
from sinet_pipelines.storage.aside import set_aside
from sinet_pipelines.storage.commits import before_commit
from sinet_pipelines.storage.files import write_whole
from sinet_pipelines.storage.layout import relative_uri
from sinet_pipelines.storage.locks import held

if TYPE_CHECKING:
    from feast import Entity, FeatureStore, FeatureView

PROJECT = "sinet"
ENTITY = "unit"
VIEW = "window_features"
REGISTRY_FILE, ONLINE_FILE = "registry.db", "online.db"
# an engine that was silent for longer has no present state: its windows would be of another life
TTL = timedelta(days=2)
EVENT_TIME = "recorded_at"
SETTINGS_FILE = "feature_store.yaml"
SETTINGS_HEAD = "# written by `sinet run`: feast.FeatureStore(repo_path=<this folder>) opens the store of this home\n"
TIE_BREAKS = ("cycle", "row_hash")  # rows of one instant: the later cycle, then whatever is the same everywhere


@dataclass(frozen=True)
class FeatureRepository:
    """The definitions of the features of one home, and access to them.

    Attributes:
        folder: of the registry file and the online store, `<home>/feast`.
        tables: URIs of the Delta tables of `window_features`, one for each region; one that was never written has no
            rows yet.
        features: the view's features with their types, in order.
        ttl: greatest age of a row that still describes an engine.
        reader: the region as which the regions' stores are opened; None for each region itself.
    """

    folder: Path
    tables: tuple[str, ...]
    features: Mapping[str, pa.DataType]
    ttl: timedelta = TTL
    reader: str | None = None

    def apply(self) -> bool:
        """Updates the registry and the online store's tables to these definitions; returns whether anything changed.

        The registry is replaced by a rename: after a kill it is the old one or the new one. A damaged registry or
        online store is set aside and made again.
        """
        from sinet_pipelines.features.health import store_faults

        with self._alone():
            self._write_settings()
            faults = [fault.path for fault in store_faults(self.folder)]
            for path in faults:
                set_aside(self.folder, path.name, why="damaged")
            if not faults and self._is_current():
                return False
            with tempfile.TemporaryDirectory(dir=self.folder) as scratch:
                draft = Path(scratch) / self._registry.name
                if self._registry.exists():
                    shutil.copyfile(self._registry, draft)
                self._open(draft).apply([self._entity, self._view])
                draft.replace(self._registry)
            self.__dict__.pop("store", None)  # one opened before has read the old registry
            return True

    def write_online(self) -> int:
        """Writes each engine's newest row over all tables to the online store; returns the number of engines.

        An engine whose rows all left the tables is removed from the online store.

        Raises:
            StorageError: no table of features was ever written.
        """
        with self._alone():  # of two writers at once, the one who read first must not write last
            newest = self._newest()
            before_commit()
            if newest.num_rows:
                self.store.write_to_online_store(VIEW, df=newest.to_pandas())
            self._keep_only(newest[ENTITY].to_pylist())
            return newest.num_rows

    def read_online(self, units: Sequence[str], *, features: Sequence[str] | None = None) -> pl.DataFrame:
        """(n_units, 1 + n_features) the units in their order, with nulls for one that is not in the online store.

        Args:
            units: names of engines.
            features: names wanted; all of the view by default.
        """
        wanted = self._known(features)
        rows = [{ENTITY: unit} for unit in units]
        if not rows:
            return self._frame({ENTITY: [], **{name: [] for name in wanted}})
        answer = self.store.get_online_features(features=_refs(wanted), entity_rows=rows).to_dict()
        return self._frame({name: answer[name] for name in (ENTITY, *wanted)})

    def historical(self, entities: pl.DataFrame, *, features: Sequence[str] | None = None) -> pl.DataFrame:
        """The entities with the newest features at their instants; with `as_known_at`, those known at that moment.

        Args:
            entities: (n, columns) rows with `unit` and the instant `event_timestamp`; where they have the moments
                `as_known_at` too, a value that arrived afterwards is not used.
            features: names wanted; all of the view by default.

        Returns:
            (n, columns + n_features) the entities in their order.

        Raises:
            UsageError: a column is missing or would stand twice.
            StorageError: no table of features was ever written.
        """
        from sinet_pipelines.features.store import ENTITY_TIME

        given = [ENTITY, ENTITY_TIME, *([KNOWN_AT] if KNOWN_AT in entities.columns else [])]
        entity_df = entities.select(given).to_pandas()
        job = self.store.get_historical_features(entity_df=entity_df, features=_refs(self._known(features)))
        return entities.hstack(pl.DataFrame(pl.from_arrow(job.to_arrow())).drop(given).get_columns())

    @cached_property
    def store(self) -> "FeatureStore":
        """Feast's store over the registry.

        Raises:
            UsageError: the definitions were never applied.
        """
        if not self._registry.exists():
            raise UsageError(f"no feature is defined in {self.folder}; apply the repository first")
        return self._open(self._registry)

    @property
    def root(self) -> Path:
        """The home: `feast.FeatureStore(repo_path=root)` opens the same store by Feast's own SDK."""
        return self.folder.parent

    @property
    def _registry(self) -> Path:
        return self.folder / REGISTRY_FILE

    @property
    def _online(self) -> Path:
        return self.folder / ONLINE_FILE

    @property
    def _entity(self) -> "Entity":
        from sinet_pipelines.features.feast_library import Entity, ValueType

        return Entity(name=ENTITY, value_type=ValueType.STRING, description="an engine of the fleet")

    @property
    def _view(self) -> "FeatureView":
        from sinet_pipelines.features.feast_library import (
            FeatureView,
            Field,
            String,
            from_value_type,
            pa_to_feast_value_type,
        )
        from sinet_pipelines.features.source import DeltaSource

        tables = [relative_uri(table, self.root) for table in self.tables]
        source = DeltaSource(name=VIEW, tables=tables, timestamp_field=EVENT_TIME, tie_breaks=TIE_BREAKS)
        fields = [
            Field(name=name, dtype=from_value_type(pa_to_feast_value_type(str(dtype))))
            for name, dtype in self.features.items()
        ]
        return FeatureView(
            name=VIEW,
            source=source,
            schema=[Field(name=ENTITY, dtype=String), *fields],
            entities=[self._entity],
            ttl=self.ttl,
            description="an engine's sensors over its last cycles, in standard deviations of their regime",
        )

    def _open(self, registry: Path) -> "FeatureStore":
        from sinet_pipelines.features.feast_library import FeatureStore, RepoConfig

        logging.getLogger("feast").setLevel(logging.WARNING)
        settings = self._settings(registry=str(registry), online=str(self._online))
        settings["offline_store"] = {**settings["offline_store"], "reader": self.reader or ""}
        config = RepoConfig(**settings, repo_path=self.root)
        return FeatureStore(config=config)

    def _settings(self, *, registry: str, online: str) -> dict[str, Any]:
        """Feast's settings, without what an object store needs, which is secret."""
        return {
            "project": PROJECT,
            "provider": "local",
            "entity_key_serialization_version": 3,
            "registry": {"registry_type": "file", "path": registry},
            "online_store": {"type": "sqlite", "path": online},
            "offline_store": {"type": "sinet_pipelines.features.store.DeltaOfflineStore"},
            "materialization_config": {"pull_latest_features": True},  # whoever materialises gets newest rows as well
        }

    def _write_settings(self) -> None:
        """Writes `feature_store.yaml`, where Feast's SDK looks for it; a file with this content is kept."""
        path = self.root / SETTINGS_FILE
        registry, online = (relative_uri(str(one), self.root) for one in (self._registry, self._online))
        settings = self._settings(registry=registry, online=online)
        content = (SETTINGS_HEAD + yaml.safe_dump(settings, sort_keys=False)).encode()
        if not path.exists() or path.read_bytes() != content:
            write_whole(path, content)

    def _is_current(self) -> bool:
        """Whether the registry holds these very definitions; what Feast's own commands noted there does not count."""
        views = self._open(self._registry).list_feature_views()
        for view in views:
            view.materialization_intervals = []
        return views == [self._view]

    def _newest(self) -> pa.Table:
        """Each engine's newest row over the whole of all tables."""
        from sinet_pipelines.features.store import DeltaOfflineStore

        job = DeltaOfflineStore.pull_latest_from_table_or_query(
            config=self.store.config,
            data_source=self.store.get_feature_view(VIEW).batch_source,
            join_key_columns=[ENTITY],
            feature_name_columns=list(self.features),
            timestamp_field=EVENT_TIME,
            created_timestamp_column=None,
        )
        return job.to_arrow()

    def _keep_only(self, units: Sequence[str]) -> None:
        """Deletes every other engine from the online store, which Feast itself has no way to do."""
        from feast.infra.key_encoding_utils import serialize_entity_key
        from feast.protos.feast.types.EntityKey_pb2 import EntityKey
        from feast.protos.feast.types.Value_pb2 import Value

        version = self.store.config.entity_key_serialization_version
        names = (EntityKey(join_keys=[ENTITY], entity_values=[Value(string_val=unit)]) for unit in units)
        keys = [(serialize_entity_key(name, entity_key_serialization_version=version),) for name in names]
        with closing(sqlite3.connect(self._online)) as store, store:
            store.execute("CREATE TEMP TABLE kept (entity_key BLOB PRIMARY KEY)")
            store.executemany("INSERT INTO kept VALUES (?)", keys)
            store.execute(
                f'DELETE FROM "{PROJECT}_{VIEW}" WHERE entity_key NOT IN (SELECT entity_key FROM kept)'  # noqa: S608
            )

    def _known(self, features: Sequence[str] | None) -> list[str]:
        wanted = list(self.features if features is None else features)
        unknown = [name for name in wanted if name not in self.features]
        if unknown:
            raise UsageError(
                f"{VIEW} has no {', '.join(unknown)} (it has {len(self.features)}: {', '.join(self.features)})"
            )
        return wanted

    def _frame(self, values: Mapping[str, Sequence[object]]) -> pl.DataFrame:
        types = pa.schema([(name, pa.string() if name == ENTITY else self.features[name]) for name in values])
        return pl.DataFrame(values, schema=pl.DataFrame(pl.from_arrow(types.empty_table())).schema)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Holds the folder: one process and thread at a time changes what is in it."""
        try:
            with held(self.folder / ".lock"):
                yield
        except (OSError, sqlite3.Error) as error:
            raise StorageError(
                f"{self.folder} could not be written: {error}; the features in it are as before"
            ) from error


def _refs(features: Sequence[str]) -> list[str]:
    return [f"{VIEW}:{name}" for name in features]
