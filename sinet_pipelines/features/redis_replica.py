"""A replica of the newest features in Redis: names of keys, values of an entity, and the mark of the last write.

    <prefix>:<view>:mark          the mark of the last write
    <prefix>:<view>:entities      set of the names of all entities
    <prefix>:<view>:of:<name>     hash of an entity: `_at`, microseconds since 1970, and each feature in Feast's bytes

The prefix has the home, the application and the region, so that several can share a server.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sinet_pipelines.errors import StorageError
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
        if not self._has_entities(client):  # lost or never there: without a mark, `settle` searches for all entities
            client.delete(self._mark)
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
        return [
            (None if at is None else self._instant(at, name), values)
            for name, (at, *values) in zip(names, found, strict=True)
        ]

    def settle(self, mark: Mark, entities: Sequence[WrittenEntity]) -> None:
        """Removes every other entity and sets the mark.

        Raises:
            StorageError: the server does not answer, or rejects a command.
        """
        with server_errors(self.access), self.access.connect() as client:
            kept = {one.name.encode() for one in entities}
            names, former = self._names(client), self._read_mark(client)
            if former is None or len(names) < former.entities:  # the set lost members, whose values are still there
                names |= self._names_of_keys(client)
            others = sorted(names - kept)
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
            names = sorted(self._names(client) | self._names_of_keys(client))
            for start in range(0, len(names), READ_AT_ONCE):
                client.delete(*map(self._key, names[start : start + READ_AT_ONCE]))
            client.delete(self._entities, self._mark)

    def mark(self) -> Mark | None:
        """The mark of the last write; None where there is none.

        Raises:
            StorageError: the server does not answer, or rejects a command.
        """
        with server_errors(self.access), self.access.connect() as client:
            return self._read_mark(client)

    def event_times(self) -> dict[str, datetime]:
        """The instant of each entity's row, of those that have values.

        Raises:
            StorageError: the server does not answer, or rejects a command.
        """
        with server_errors(self.access), self.access.connect() as client:
            names = sorted(self._names(client))
            found = self._fields(names, [AT], client)
        pairs = ((name.decode(errors="replace"), at) for name, (at,) in zip(names, found, strict=True))
        return {name: self._instant(at, name) for name, at in pairs if at is not None}

    def _read_mark(self, client: "Redis") -> Mark | None:
        found: Any = client.get(self._mark)
        try:
            return None if found is None else Mark.from_json(found)
        except ValueError:
            return None

    def _fields(self, names: Sequence[str | bytes], fields: list[str], client: "Redis") -> list[list[bytes | None]]:
        found: list[list[bytes | None]] = []
        for start in range(0, len(names), READ_AT_ONCE):
            with client.pipeline(transaction=False) as batch:
                for name in names[start : start + READ_AT_ONCE]:
                    batch.hmget(self._key(name), fields)
                found += batch.execute()
        return found

    def _has_entities(self, client: "Redis") -> bool:
        found: Any = client.sscan(self._entities, count=1)
        return found != (0, [])

    def _names(self, client: "Redis") -> set[bytes]:
        members: Iterator[bytes] = client.sscan_iter(self._entities, count=READ_AT_ONCE)
        return set(members)  # as bytes: a member that another program added may be no text

    def _names_of_keys(self, client: "Redis") -> set[bytes]:
        """The entities that have values, also those that the set does not have; reads the names of all keys."""
        begin = self._key(b"")
        pattern = re.sub(rb"([\\*?\[\]])", rb"\\\1", begin) + b"*"
        found: Iterator[bytes] = client.scan_iter(match=pattern, count=READ_AT_ONCE)
        return {one.removeprefix(begin) for one in found}

    def _key(self, name: str | bytes) -> bytes:
        own = name.encode() if isinstance(name, str) else name
        return f"{self.prefix}:{self.view}:of:".encode() + own

    def _instant(self, text: bytes, name: str) -> datetime:
        try:
            return _EPOCH + timedelta(microseconds=int(text))
        except (ValueError, OverflowError) as error:
            raise StorageError(
                f"the online store of {self.region} at {self.place}: the value {AT} of {name[:80]} is {text[:40]!r} "
                "and not a number of microseconds, so another program wrote it; `sinet run` replaces it"
            ) from error

    @property
    def _mark(self) -> str:
        return f"{self.prefix}:{self.view}:mark"

    @property
    def _entities(self) -> str:
        return f"{self.prefix}:{self.view}:entities"


def _microseconds(at: datetime) -> int:
    zoned = at.replace(tzinfo=UTC) if at.tzinfo is None else at
    return (zoned - _EPOCH) // timedelta(microseconds=1)
