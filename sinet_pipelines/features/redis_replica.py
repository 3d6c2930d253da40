"""A replica of the newest features in Redis: names of keys, values of an entity, and the mark of the last write.

    <prefix>:<view>:mark          the mark of the last write
    <prefix>:<view>:entities      set of the names of all entities
    <prefix>:<view>:of:<name>     hash of an entity: `_at`, microseconds since 1970, and each feature in Feast's bytes

The prefix has the home, the application and the region, so that several can share a server.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sinet_pipelines.features.online_access import OnlineAccess, server_errors
from sinet_pipelines.features.replica_mark import Mark, WrittenEntity

if TYPE_CHECKING:
    from redis import Redis

STORE = "sinet_pipelines.features.redis_store.ReplicaOnlineStore"
AT = "_at"  # field of an entity's instant
AT_ONCE = 200  # entities of one transaction: 200 features of each are some 2 MB
READ_AT_ONCE = 2000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class RedisReplica:
    """The keys of a replica on a server.

    Attributes:
        access: the server.
        prefix: begin of the names of its keys.
        view: name of the feature view.
    """

    access: OnlineAccess
    prefix: str
    view: str

    @property
    def place(self) -> str:
        """The server, for messages."""
        return self.access.url

    @property
    def region(self) -> str:
        """Whose replica it is."""
        return self.access.region

    def settings(self, _: str = "") -> dict[str, Any]:
        """Feast's settings of the store; without a password."""
        access = self.access
        return {
            "type": STORE,
            "region": access.region,
            "url": access.url,
            "user": access.user,
            "key_prefix": self.prefix,
        }

    def write(self, entities: Sequence[tuple[str, datetime, Mapping[str, bytes]]], *, client: "Redis") -> None:
        """Replaces entities; each is replaced as a whole.

        Args:
            entities: name, instant and values by feature.
            client: of the server.
        """
        for start in range(0, len(entities), AT_ONCE):
            with client.pipeline(transaction=True) as batch:
                for name, at, values in entities[start : start + AT_ONCE]:
                    batch.delete(self._key(name))
                    fields: dict[Any, Any] = {AT: _microseconds(at), **values}
                    batch.hset(self._key(name), mapping=fields)
                    batch.sadd(self._entities, name)
                batch.execute()

    def read(
        self, names: Sequence[str], features: Sequence[str], *, client: "Redis"
    ) -> list[tuple[datetime | None, list[bytes | None]]]:
        """The instant and the values of each entity in the order of the names; None for an entity that is absent."""
        found = self._fields(names, [AT, *features], client)
        return [(None if at is None else _instant(at), values) for at, *values in found]

    def settle(self, mark: Mark, entities: Sequence[WrittenEntity]) -> None:
        """Removes every other entity and sets the mark.

        Raises:
            StorageError: the server does not answer, or rejects a command.
        """
        with server_errors(self.access), self.access.connect() as client:
            kept = {one.name for one in entities}
            others = sorted(name for name in self._names(client) if name not in kept)
            for start in range(0, len(others), READ_AT_ONCE):
                part = others[start : start + READ_AT_ONCE]
                with client.pipeline(transaction=True) as batch:
                    batch.delete(*map(self._key, part))
                    batch.srem(self._entities, *part)
                    batch.execute()
            client.set(self._mark, mark.to_json())

    def remove(self) -> None:
        """Removes all keys of the replica.

        Raises:
            StorageError: the server does not answer, or rejects a command.
        """
        with server_errors(self.access), self.access.connect() as client:
            names = self._names(client)
            for start in range(0, len(names), READ_AT_ONCE):
                client.delete(*map(self._key, names[start : start + READ_AT_ONCE]))
            client.delete(self._entities, self._mark)

    def mark(self) -> Mark | None:
        """The mark of the last write; None where there is none.

        Raises:
            StorageError: the server does not answer, or rejects a command.
        """
        with server_errors(self.access), self.access.connect() as client:
            found: Any = client.get(self._mark)
        try:
            return None if found is None else Mark.from_json(found)
        except ValueError:
            return None

    def event_times(self) -> dict[str, datetime]:
        """The instant of each entity's row, of those that have values.

        Raises:
            StorageError: the server does not answer, or rejects a command.
        """
        with server_errors(self.access), self.access.connect() as client:
            names = self._names(client)
            found = self._fields(names, [AT], client)
        return {name: _instant(at) for name, (at,) in zip(names, found, strict=True) if at is not None}

    def _fields(self, names: Sequence[str], fields: list[str], client: "Redis") -> list[list[bytes | None]]:
        found: list[list[bytes | None]] = []
        for start in range(0, len(names), READ_AT_ONCE):
            with client.pipeline(transaction=False) as batch:
                for name in names[start : start + READ_AT_ONCE]:
                    batch.hmget(self._key(name), fields)
                found += batch.execute()
        return found

    def _names(self, client: "Redis") -> list[str]:
        members: Iterator[bytes] = client.sscan_iter(self._entities, count=READ_AT_ONCE)
        return sorted({one.decode() for one in members})

    def _key(self, name: str) -> str:
        return f"{self.prefix}:{self.view}:of:{name}"

    @property
    def _mark(self) -> str:
        return f"{self.prefix}:{self.view}:mark"

    @property
    def _entities(self) -> str:
        return f"{self.prefix}:{self.view}:entities"


def _microseconds(at: datetime) -> int:
    zoned = at.replace(tzinfo=UTC) if at.tzinfo is None else at
    return (zoned - _EPOCH) // timedelta(microseconds=1)


def _instant(text: bytes) -> datetime:
    return _EPOCH + timedelta(microseconds=int(text))
