"""The online store of Feast on a region's Redis server; Feast finds it and its config by their dotted path.

Feast's own Redis store has the password in its settings, names keys by the project alone, and leaves a corrected row
of the same instant out. Importing this module imports Feast, which takes seconds: import it inside functions.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, cast

import orjson
from feast.infra.online_stores.online_store import OnlineStore
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value

from sinet_pipelines.errors import StorageError
from sinet_pipelines.features.feast_library import Entity, FeastConfigBaseModel, FeatureView, RepoConfig
from sinet_pipelines.features.online_access import OnlineAccess, server_errors
from sinet_pipelines.features.redis_replica import RedisReplica

if TYPE_CHECKING:
    from redis import Redis

Row = tuple[EntityKey, dict[str, Value], datetime, datetime | None]
Found = tuple[datetime | None, dict[str, Value] | None]


class ReplicaOnlineStoreConfig(FeastConfigBaseModel):
    """The address of the replica; the password is read when the store connects.

    Attributes:
        type: the dotted path of the store.
        region: the region whose replica and credentials these are.
        url: `redis://host:port/database`, or `rediss://` for TLS.
        user: user of the server; empty for its default user.
        key_prefix: begin of the names of the replica's keys.
    """

    type: Literal["sinet_pipelines.features.redis_store.ReplicaOnlineStore"] = (
        "sinet_pipelines.features.redis_store.ReplicaOnlineStore"
    )
    region: str
    url: str
    user: str = ""
    key_prefix: str


class ReplicaOnlineStore(OnlineStore):
    """Reads and writes entities of a replica; the last write of an entity wins, as in Feast's SQLite store."""

    def __init__(self) -> None:
        self._client: Redis | None = None

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[Row],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Replaces the values of entities.

        Args:
            config: of the repository.
            table: the feature view.
            data: key, values, instant and creation of each row.
            progress: called with the number of rows that were written.

        Raises:
            StorageError: the key of a row is null, or the server rejects the write.
        """
        replica = _replica(config, table)
        if any(_is_null(key) for key, *_ in data):
            raise StorageError(f"a row of {table.name} has no entity; leave rows with a null key out")
        rows = [
            (entity_name(key), at, {name: value.SerializeToString() for name, value in values.items()})
            for key, values, at, _ in data
        ]
        with server_errors(replica.access):
            replica.write(rows, client=self._connected(replica.access))
        if progress:
            progress(len(rows))

    def online_read(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> list[Found]:
        """Instant and values of each entity, in the order of the keys; None for an absent one and for a null key.

        Args:
            config: of the repository.
            table: the feature view.
            entity_keys: keys of the entities.
            requested_features: names; None for all of the view.
        """
        replica = _replica(config, table)
        names = requested_features or [feature.name for feature in table.features]
        with server_errors(replica.access):
            client = self._connected(replica.access)
            whole = [key for key in entity_keys if not _is_null(key)]
            found = iter(replica.read([entity_name(key) for key in whole], names, client=client))
        rows = [(None, []) if _is_null(key) else next(found) for key in entity_keys]
        return [
            (None, None) if at is None else (at, {n: _value(v) for n, v in zip(names, values, strict=True)})
            for at, values in rows
        ]

    def update(
        self,
        config: RepoConfig,
        tables_to_delete: Sequence[FeatureView],
        tables_to_keep: Sequence[FeatureView],
        entities_to_delete: Sequence[Entity],
        entities_to_keep: Sequence[Entity],
        partial: bool,
    ) -> None:
        """Does nothing: a replica has no schema, so that definitions can be applied while the server is down."""

    def teardown(self, config: RepoConfig, tables: Sequence[FeatureView], entities: Sequence[Entity]) -> None:
        """Removes the keys of the views.

        Args:
            config: of the repository.
            tables: the feature views.
            entities: not used.
        """
        for table in tables:
            _replica(config, table).remove()

    def _connected(self, access: OnlineAccess) -> "Redis":
        if self._client is None:
            self._client = access.connect()
        return self._client


def _is_null(key: EntityKey) -> bool:
    return any(value.WhichOneof("val") in (None, "null_val") for value in key.entity_values)


def entity_name(key: EntityKey) -> str:
    """The name of an entity: its only join key as text, or its join keys as JSON."""
    values = [getattr(value, str(value.WhichOneof("val"))) for value in key.entity_values]
    if len(values) == 1:
        return str(values[0])
    return orjson.dumps(dict(zip(key.join_keys, values, strict=True)), option=orjson.OPT_SORT_KEYS).decode()


def _value(content: bytes | None) -> Value:
    """A value from its bytes; null where the entity does not have it."""
    return Value.FromString(content) if content else Value()


def _replica(config: RepoConfig, table: FeatureView) -> RedisReplica:
    own = cast(ReplicaOnlineStoreConfig, config.online_store)
    return RedisReplica(OnlineAccess(own.region, own.url, own.user), own.key_prefix, table.name)
