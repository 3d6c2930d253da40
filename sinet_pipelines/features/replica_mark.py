"""The mark of a write to an online store: what was written from which tables, kept in the store and in the home.

A replica whose two marks differ was not last written by this home, or was emptied.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson


@dataclass(frozen=True)
class TableRead:
    """The version of a table that a write was made from.

    Attributes:
        version: of its Delta log.
        committed_at: when its newest data file was written, UTC.
    """

    version: int
    committed_at: datetime


@dataclass(frozen=True)
class WrittenEntity:
    """An entity of a write.

    Attributes:
        name: its value of the join key, as text.
        key: its key in Feast's form.
        event_at: the instant of its row, UTC.
    """

    name: str
    key: bytes
    event_at: datetime


@dataclass(frozen=True)
class Mark:
    """What the last write to a replica put there.

    Attributes:
        write: a random name of the write.
        entities: number of entities.
        definition: version of the features: the hash of their definition and code.
        written_at: end of the write, UTC.
        newest_event_at: instant of the newest row, UTC; None without rows.
        tables: the versions of the tables, by address relative to the home.
    """

    write: str
    entities: int
    definition: str
    written_at: datetime
    newest_event_at: datetime | None = None
    tables: Mapping[str, TableRead] = field(default_factory=dict)

    @property
    def newest_commit_at(self) -> datetime | None:
        """The latest commit among the versions that were read; None without tables."""
        return max((one.committed_at for one in self.tables.values()), default=None)

    def to_json(self) -> bytes:
        """The mark as bytes."""
        return orjson.dumps(self, option=orjson.OPT_UTC_Z | orjson.OPT_SORT_KEYS)

    @staticmethod
    def from_json(content: bytes | str) -> "Mark":
        """The mark from its bytes.

        Raises:
            ValueError: these are not the bytes of a mark.
        """
        try:
            return Mark.from_dict(orjson.loads(content))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"no mark of a write ({error})") from error

    @staticmethod
    def from_dict(found: Mapping[str, Any]) -> "Mark":
        """The mark from plain data."""
        newest = found["newest_event_at"]
        tables = {
            name: TableRead(int(one["version"]), _at(one["committed_at"])) for name, one in found["tables"].items()
        }
        return Mark(
            write=str(found["write"]),
            entities=int(found["entities"]),
            definition=str(found["definition"]),
            written_at=_at(found["written_at"]),
            newest_event_at=None if newest is None else _at(newest),
            tables=tables,
        )


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
