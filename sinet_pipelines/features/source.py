"""A table of features as a data source of Feast: its Delta tables, one for each region.

A table is read through its Delta log, never as a folder of Parquet files, which still has the replaced rows.
Importing this module imports Feast, which takes seconds: import it inside functions.
"""

import copy
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa
from deltalake import DeltaTable

from sinet_pipelines.errors import StorageError, UsageError
from sinet_pipelines.features.feast_library import (
    DataSource,
    DataSourceProto,
    RepoConfig,
    ValueType,
    pa_to_feast_value_type,
)
from sinet_pipelines.schemas.arrival import ARRIVALS_SUFFIX, HISTORY_SUFFIX, KNOWN_AT, KNOWN_FROM, KNOWN_UNTIL
from sinet_pipelines.storage.beside import sound_rows
from sinet_pipelines.storage.delta import open_table, scan_table
from sinet_pipelines.storage.health import look_at_table
from sinet_pipelines.storage.layout import absolute_uri, is_local, relative_uri
from sinet_pipelines.storage.roots import options_at
from sinet_pipelines.storage.stored_health import look_at_stored_table
from sinet_pipelines.storage.tables import DAY_COLUMN
from sinet_pipelines.storage.versions import INSTANT, ROW, join_versions


class DeltaSource(DataSource):
    """One table of features in one or several Delta tables of equal columns, one for each region.

    Attributes:
        tables: URIs of the Delta tables, or paths relative to the folder of `feature_store.yaml`; one that was never
            written has no rows yet.
        tie_breaks: columns that order rows of one entity, instant and creation, independent of the order of files.
        versions: the versions that are read, by address relative to the home; None for the newest of each table.
    """

    def __init__(
        self,
        *,
        name: str,
        tables: Sequence[str],
        timestamp_field: str,
        created_timestamp_column: str = "",
        tie_breaks: Sequence[str] = (),
        description: str = "",
        tags: dict[str, str] | None = None,
        owner: str = "",
    ) -> None:
        super().__init__(
            name=name,
            timestamp_field=timestamp_field,
            created_timestamp_column=created_timestamp_column,
            description=description,
            tags=tags,
            owner=owner,
        )
        self.tables = tuple(tables)
        self.tie_breaks = tuple(tie_breaks)
        self.versions: Mapping[str, int] | None = None

    def at_versions(self, versions: Mapping[str, int]) -> "DeltaSource":
        """The same source with the rows of these versions, whatever is committed meanwhile.

        Args:
            versions: by address of the table relative to the home; a table without one has no rows.
        """
        found = copy.copy(self)
        found.versions = dict(versions)
        return found

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DeltaSource):
            return False
        return super().__eq__(other) and self.tables == other.tables and self.tie_breaks == other.tie_breaks

    def __hash__(self) -> int:
        return super().__hash__()

    def scan(self, config: RepoConfig) -> pl.LazyFrame:
        """All rows of all tables that were written.

        Raises:
            StorageError: none of the tables was ever written.
        """
        return self._together([scan_table(table, uri, options) for uri, table, options in self._opened(config)])

    def scan_versions(self, config: RepoConfig) -> pl.LazyFrame:
        """All versions of all rows of all tables, with `known_from` and `known_until`, null for a present row.

        A row of which no arrival is recorded is known from the end of its day.

        Raises:
            UsageError: the rows of a table have no `event_date` and `row_hash`, so that it can keep no versions.
            StorageError: as in `scan`.
        """
        found = []
        for uri, table, options in self._opened(config):
            present = scan_table(table, uri, options)
            schema = present.collect_schema()
            if missing := [name for name in (DAY_COLUMN, ROW) if name not in schema]:
                raise UsageError(
                    f"{uri} has no column {', '.join(missing)}, so its versions are not known (needed: {DAY_COLUMN} "
                    f"and {ROW}); leave {KNOWN_AT} out of the entities"
                )
            no_arrival = pl.DataFrame(schema={**{n: schema[n] for n in (DAY_COLUMN, ROW)}, KNOWN_FROM: INSTANT})
            no_history = pl.DataFrame(schema={**schema, KNOWN_FROM: INSTANT, KNOWN_UNTIL: INSTANT})
            arrivals = self._beside(uri + ARRIVALS_SUFFIX, options, no_arrival)
            history = self._beside(uri + HISTORY_SUFFIX, options, no_history)
            found.append(join_versions(present, arrivals, history, key=()))
        return self._together(found)

    def _together(self, parts: Sequence[pl.LazyFrame]) -> pl.LazyFrame:
        """The rows of all tables; a column that only some have yet is null in the others."""
        if not parts:
            raise StorageError(f"{self.name} has no rows: no Delta table at {', '.join(self.tables)}; materialise one")
        return pl.concat(parts, how="diagonal") if len(parts) > 1 else parts[0]

    @staticmethod
    def _beside(uri: str, options: Mapping[str, str], absent: pl.DataFrame) -> pl.LazyFrame:
        """A table beside another one; without rows where it was never written, and without its damaged days."""
        health = look_at_table(Path(uri)) if is_local(uri) else look_at_stored_table(uri, options)
        return sound_rows(uri, options, health=health, schema=absent.schema)

    def _opened(self, config: RepoConfig) -> Iterator[tuple[str, DeltaTable, Mapping[str, str]]]:
        """Address, table and options of each table that was written."""
        for written in self.tables:
            uri = absolute_uri(written, _home(config))
            options = self._options(config, uri)
            name = relative_uri(uri, _home(config) or Path())
            version = None if self.versions is None else self.versions.get(name)
            if self.versions is not None and version is None:
                continue
            table = open_table(uri, options)
            if table is not None:
                if version is not None and table.version() != version:
                    table.load_as_version(version)
                yield uri, table, options

    def _options(self, config: RepoConfig, uri: str) -> Mapping[str, str]:
        """The options that open a table; read from the environment at each use and never stored."""
        home = _home(config)
        if is_local(uri) or home is None:
            return {}
        return options_at(home, uri, reader=config.offline_store.reader or None)

    def validate(self, config: RepoConfig) -> None:
        """Does nothing: a view may be defined before its first table is written."""

    def get_table_column_names_and_types(self, config: RepoConfig) -> Iterable[tuple[str, str]]:
        """Names and Arrow types of the columns, from the first table that was written."""
        for _, table, _ in self._opened(config):
            schema = pa.schema(table.schema().to_arrow())
            return [(field.name, str(field.type)) for field in schema]
        return []

    @staticmethod
    def source_datatype_to_feast_value_type() -> Callable[[str], ValueType]:
        """Feast's mapping of Arrow types."""
        return pa_to_feast_value_type

    def source_type(self) -> DataSourceProto.SourceType.ValueType:
        """Custom: Feast identifies it by its class."""
        return DataSourceProto.CUSTOM_SOURCE

    def _to_proto_impl(self) -> DataSourceProto:
        options = json.dumps({"tables": self.tables, "tie_breaks": self.tie_breaks}).encode()
        return DataSourceProto(
            name=self.name,
            type=DataSourceProto.CUSTOM_SOURCE,
            data_source_class_type=f"{type(self).__module__}.{type(self).__name__}",
            timestamp_field=self.timestamp_field,
            created_timestamp_column=self.created_timestamp_column,
            custom_options=DataSourceProto.CustomSourceOptions(configuration=options),
            description=self.description,
            tags=self.tags,
            owner=self.owner,
        )

    @staticmethod
    def from_proto(data_source: DataSourceProto) -> "DeltaSource":
        """The source from a registry."""
        options = json.loads(data_source.custom_options.configuration)
        return DeltaSource(
            name=data_source.name,
            tables=options["tables"],
            tie_breaks=options["tie_breaks"],
            timestamp_field=data_source.timestamp_field,
            created_timestamp_column=data_source.created_timestamp_column,
            description=data_source.description,
            tags=dict(data_source.tags),
            owner=data_source.owner,
        )


def _home(config: RepoConfig) -> Path | None:
    """The home, to which addresses of tables are relative; None where the settings come from no file."""
    return None if config.repo_path is None else Path(config.repo_path) / config.offline_store.home
