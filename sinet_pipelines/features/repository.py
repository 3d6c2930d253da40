"""The feature repository: the definitions of a home's features, their registry and the replica of a region.

Definitions are code: the content of the registry file is derived from them and replaced completely. A replica has
each engine's newest row over the whole tables of all regions, since it keeps the last write, not the newest event.
"""

import logging
import secrets
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa

from sinet_pipelines.errors import StorageError, UsageError
from sinet_pipelines.features.definitions import (
    ENTITY,
    EVENT_TIME,
    ONLINE_TAG,
    Definition,
    written_tags,
)
from sinet_pipelines.features.feast_settings import feast_settings, write_settings
from sinet_pipelines.features.health import REGISTRY_FILE, registry_fault
from sinet_pipelines.features.home_id import settle_home_id
from sinet_pipelines.features.lag import Lag, read_lag, read_offline
from sinet_pipelines.features.newest import newest_rows, written_entities
from sinet_pipelines.features.replica_mark import Mark
from sinet_pipelines.features.replicas import (
    LOCK_FILE,
    ONLINE_TABLE,
    PROJECT,
    VIEW,
    ReplicaPlace,
    ReplicaSource,
    begin_write,
    keep_record,
)
from sinet_pipelines.inventory.online_stores import OnlineStore
from sinet_pipelines.schemas.arrival import KNOWN_AT
from sinet_pipelines.storage.aside import set_aside
from sinet_pipelines.storage.commits import before_commit
from sinet_pipelines.storage.databases import database_fault
from sinet_pipelines.storage.layout import relative_uri
from sinet_pipelines.storage.locks import held

if TYPE_CHECKING:
    from feast import FeatureStore

# an engine that was silent for longer has no present state: its windows would be of another life
TTL = timedelta(days=2)


@dataclass(frozen=True)
class FeatureRepository:
    """The definitions of the features of one home, and access to them.

    Attributes:
        folder: of the registry file and the replicas, `<home>/feast`.
        tables: URIs of the Delta tables of `window_features`, one for each region; one that was never written has no
            rows yet.
        features: the view's features with their types, in order.
        ttl: greatest age of a row that still describes an engine.
        reader: the region as which the regions' stores are opened; None for each region itself.
        region: the region whose replica is read and written; empty for a store of no region.
        online: where this region has its replica.
        application: whose features they are.
        code_version: hash of the code that computes the features.
        owner: of the application.
        descriptions: of features, with their units.
        is_main: whether `feature_store.yaml` of the home opens this replica.
    """

    folder: Path
    tables: tuple[str, ...]
    features: Mapping[str, pa.DataType]
    ttl: timedelta = TTL
    reader: str | None = None
    region: str = ""
    online: OnlineStore = field(default=OnlineStore())
    application: str = ""
    code_version: str = ""
    owner: str = ""
    descriptions: Mapping[str, str] = field(default_factory=dict)
    is_main: bool = True

    def apply(self) -> bool:
        """Updates the registry and the online store's tables to these definitions; returns whether anything changed.

        The registry is replaced by a rename: after a kill it is the old one or the new one. A damaged registry or
        online store is set aside and made again.
        """
        with self._alone():
            if self.online.is_server:
                settle_home_id(self.folder)
            self.place.own.mkdir(parents=True, exist_ok=True)
            write_settings(self.place, is_main=self.is_main)
            damaged = self._damaged()
            for path in damaged:
                set_aside(path.parent, path.name, why="damaged")
            if not damaged and self._is_current():
                return False
            own = self.definition
            objects = [own.entity(), own.view(written=self._written()), own.service()]
            self._replace_registry(lambda draft: draft.apply(objects))
            return True

    def write_online(self) -> Mark:
        """Writes each engine's newest row over all tables to the replica; returns the mark of the write.

        An engine whose rows all left the tables is removed from the replica.

        Raises:
            StorageError: no table of features was ever written, or the store does not answer.
        """
        with self._alone():  # of two writers at once, the one who read first must not write last
            tables = read_offline(self.root, self._source, reader=self.reader).tables
            versions = {name: one.version for name, one in tables.items()}
            newest = newest_rows(self.store, list(self.features), versions=versions)
            before_commit()
            write = secrets.token_hex(8)
            begin_write(self.place, write)
            if newest.num_rows:
                self.store.write_to_online_store(VIEW, df=newest.to_pandas())
            entities = written_entities(newest, self.store)
            mark = Mark(
                write,
                newest.num_rows,
                self.definition.version,
                datetime.now(UTC),
                max((one.event_at for one in entities), default=None),
                tables,
            )
            self.place.open().settle(mark, entities)
            keep_record(self.place, mark, self._source)
            self._note_write(mark)
            if self.region:
                (self.folder / self.place.database.name).unlink(missing_ok=True)  # of a home of before, for all regions
            return mark

    def lag(self) -> Lag:
        """The lag of the replica behind the tables.

        Raises:
            StorageError: a table cannot be read.
        """
        return read_lag(self.place, self._source, reader=self.reader)

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
    def place(self) -> ReplicaPlace:
        """The place of the region's replica."""
        return ReplicaPlace(self.folder, self.region, self.online, self.application)

    @cached_property
    def definition(self) -> Definition:
        """What defines the features."""
        return Definition(
            tuple(relative_uri(table, self.root) for table in self.tables),
            self.features,
            self.ttl,
            self.code_version,
            self.application,
            self.owner,
            self.descriptions,
        )

    @property
    def _source(self) -> ReplicaSource:
        return ReplicaSource(self.definition.tables, ENTITY, EVENT_TIME)

    @property
    def _registry(self) -> Path:
        return self.folder / REGISTRY_FILE

    def _open(self, registry: Path) -> "FeatureStore":
        from sinet_pipelines.features.feast_library import FeatureStore, RepoConfig

        logging.getLogger("feast").setLevel(logging.WARNING)
        settings = feast_settings(
            self.place, registry=str(registry), online=str(self.place.database), reader=self.reader or ""
        )
        config = RepoConfig(**settings, repo_path=self.root)
        return FeatureStore(config=config)

    def _damaged(self) -> list[Path]:
        """The registry file and the replica's file, those of them that are damaged."""
        found = [registry_fault(self.folder)]
        if not self.online.is_server:
            found.append(database_fault(self.place.database, tables=[ONLINE_TABLE]))
        return [fault.path for fault in found if fault is not None]

    def _is_current(self) -> bool:
        """Whether the registry holds these very definitions; what Feast's own commands noted there does not count."""
        store = self._open(self._registry)
        return self.definition.is_of(store.list_feature_views(), store.list_feature_services())

    def _written(self) -> dict[str, str]:
        """The tags that writes to replicas set in the registry."""
        if not self._registry.exists():
            return {}
        found = {
            name: value for one in self._open(self._registry).list_feature_views() for name, value in one.tags.items()
        }
        return {name: value for name, value in found.items() if name.startswith(ONLINE_TAG)}

    def _note_write(self, mark: Mark) -> None:
        """Notes a write in the tags of the view."""

        def note(draft: "FeatureStore") -> None:
            view = draft.get_feature_view(VIEW)
            view.tags = {**view.tags, **written_tags(self.region, mark)}
            draft.registry.apply_feature_view(view, PROJECT)

        self._replace_registry(note)

    def _replace_registry(self, change: "Callable[[FeatureStore], None]") -> None:
        """Changes a copy of the registry, which then takes its place."""
        scratch = self.folder / ".draft"
        shutil.rmtree(scratch, ignore_errors=True)  # of a process that was killed; the lock is held
        scratch.mkdir()
        try:
            draft = scratch / self._registry.name
            if self._registry.exists():
                shutil.copyfile(self._registry, draft)
            change(self._open(draft))
            draft.replace(self._registry)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        self.__dict__.pop("store", None)  # one opened before has read the old registry

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
            with held(self.folder / LOCK_FILE):
                yield
        except (OSError, sqlite3.Error) as error:
            raise StorageError(
                f"{self.folder} could not be written: {error}; the features in it are as before"
            ) from error


def _refs(features: Sequence[str]) -> list[str]:
    return [f"{VIEW}:{name}" for name in features]
