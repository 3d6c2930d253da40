"""The replicas of a home's online store: one for each region, in a SQLite file or on a Redis server.

Beside a region's `feature_store.yaml`, `replica.json` records where its replica is and the mark of its last write. A
replica that is down, was emptied, lost entities or was written by another home differs from that record. It also has
the name of a write that began, so that one that was killed is known.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import orjson

from sinet_pipelines.errors import SinetError
from sinet_pipelines.features.home_id import read_home_id
from sinet_pipelines.features.online_access import OnlineAccess
from sinet_pipelines.features.redis_replica import RedisReplica
from sinet_pipelines.features.replica_mark import Mark, WrittenEntity
from sinet_pipelines.features.sqlite_replica import SqliteReplica
from sinet_pipelines.inventory.online_stores import OnlineStore
from sinet_pipelines.storage.databases import database_fault
from sinet_pipelines.storage.files import write_whole
from sinet_pipelines.storage.health import StorageFault
from sinet_pipelines.storage.locks import is_held

FOLDER = "feast"  # in a home
PROJECT, VIEW = "sinet", "window_features"
ONLINE_FILE, RECORD_FILE = "online.db", "replica.json"
LOCK_FILE = ".lock"  # of the folder: held during each write
ONLINE_TABLE = f"{PROJECT}_{VIEW}"  # name of the table in Feast's SQLite store
AGAIN = "`sinet run` writes it again"
AFTER_THAT = f"then {AGAIN}"  # cure of a store that gives no answer


class Replica(Protocol):
    """A replica in its store."""

    @property
    def place(self) -> str:
        """The file or the server, for messages."""

    def settings(self, path: str) -> dict[str, Any]:
        """Feast's settings of the store; `path` is that of a file as it is in the settings."""

    def settle(self, mark: Mark, entities: Sequence[WrittenEntity]) -> None:
        """Removes every other entity and sets the mark."""

    def mark(self) -> Mark | None:
        """The mark of the last write; None where there is none."""

    def event_times(self) -> dict[str, datetime]:
        """The instant of each entity's row, of those that have values."""


@dataclass(frozen=True)
class ReplicaPlace:
    """The place of a region's replica.

    Attributes:
        folder: of the feature store, `<home>/feast`.
        region: name of the region; empty for a store of no region, whose files are in `folder` itself.
        store: of the region.
        application: whose features they are.
    """

    folder: Path
    region: str = ""
    store: OnlineStore = field(default=OnlineStore())
    application: str = ""

    @property
    def own(self) -> Path:
        """The folder of the replica's files."""
        return self.folder / self.region

    @property
    def database(self) -> Path:
        """The file of a replica in SQLite."""
        return self.own / ONLINE_FILE

    @property
    def record(self) -> Path:
        """The file with the record of the last write."""
        return self.own / RECORD_FILE

    def open(self) -> Replica:
        """The replica in its store; nothing is connected."""
        if not self.store.is_server:
            return SqliteReplica(self.database, ONLINE_TABLE, self.region)
        access = OnlineAccess(self.region, self.store.url, self.store.user)
        return RedisReplica(access, self.key_prefix, VIEW)

    @property
    def key_prefix(self) -> str:
        """Begin of the names of the replica's keys on a server, with the id of the home."""
        parts = ("sinet", read_home_id(self.folder), self.application, self.region)
        return ":".join(part for part in parts if part)


@dataclass(frozen=True)
class ReplicaSource:
    """The tables that a replica is written from.

    Attributes:
        tables: their addresses, absolute or relative to the home.
        entity: their column of the entities.
        event_time: their column of the instants.
    """

    tables: tuple[str, ...]
    entity: str
    event_time: str


@dataclass(frozen=True)
class ReplicaRecord:
    """The record of the last write to a replica.

    Attributes:
        place: where it was written.
        key_prefix: begin of the names of its keys on a server; empty for a file.
        mark: what was written.
        source: the tables that it is written from.
        pending: name of a later write that began and did not end; empty for none.
    """

    place: ReplicaPlace
    key_prefix: str
    mark: Mark
    source: ReplicaSource
    pending: str = ""


def begin_write(place: ReplicaPlace, write: str) -> None:
    """Adds a write that begins to the record; without a record the replica is written again anyway.

    Args:
        place: of the replica; the lock of its folder is held.
        write: its name, as it will be in the mark.

    Raises:
        DiskError: the disk is full or the place is not writable.
    """
    if read_record(place.folder, place.region) is not None:
        found = orjson.loads(place.record.read_bytes())
        write_whole(place.record, orjson.dumps({**found, "pending": write}, option=orjson.OPT_INDENT_2))


def keep_record(place: ReplicaPlace, mark: Mark, source: ReplicaSource) -> None:
    """Records a write, after the store has its mark.

    Raises:
        DiskError: the disk is full or the place is not writable.
    """
    content = {
        "region": place.region,
        "application": place.application,
        "store": asdict(place.store),
        "key_prefix": place.key_prefix if place.store.is_server else "",
        "source": asdict(source),
        "mark": orjson.Fragment(mark.to_json()),
    }
    write_whole(place.record, orjson.dumps(content, option=orjson.OPT_INDENT_2))


def read_record(folder: Path, region: str = "") -> ReplicaRecord | None:
    """The record of a region's replica; None where there is none, it cannot be read, or it is of another region.

    Args:
        folder: of the feature store.
        region: name of the region.
    """
    try:
        found = orjson.loads((folder / region / RECORD_FILE).read_bytes())
        if found["region"] != region:
            return None  # copied from the folder of another region
        place = ReplicaPlace(folder, region, OnlineStore(**found["store"]), str(found["application"]))
        mark = Mark.from_dict(found["mark"])
        source = ReplicaSource(**{**found["source"], "tables": tuple(found["source"]["tables"])})
        return ReplicaRecord(place, str(found["key_prefix"]), mark, source, str(found.get("pending", "")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SinetError):
        return None


def read_records(folder: Path) -> list[ReplicaRecord]:
    """The records of all replicas of a home, by region."""
    names = ["", *sorted(path.parent.name for path in folder.glob(f"[!.]*/{RECORD_FILE}"))]
    found = (read_record(folder, name) for name in names)
    return [one for one in found if one is not None]


def replica_faults(place: ReplicaPlace, *, engines: int = 0) -> Iterator[StorageFault]:
    """The fault of a replica, compared with the record of its last write; at most one.

    Args:
        place: where the inventory has it now.
        engines: number of engines that it must have at least.
    """
    if not place.store.is_server and (fault := database_fault(place.database, tables=[ONLINE_TABLE])) is not None:
        yield fault
        return
    if (found := _difference(place, engines)) is not None:
        yield found


def _difference(place: ReplicaPlace, engines: int) -> StorageFault | None:
    record = read_record(place.folder, place.region)
    found = _compared(place, record, engines)
    if found is not None and (now := read_record(place.folder, place.region)) != record:
        return _compared(place, now, engines)  # a write ended between the reads of the record and of the store
    return found


def _compared(place: ReplicaPlace, record: ReplicaRecord | None, engines: int) -> StorageFault | None:
    own = place.record
    if record is None:
        return StorageFault(own, f"the online store of {place.region} has no record of a write", AGAIN)
    if (record.place.store.url, record.place.store.user) != (place.store.url, place.store.user):
        former, now = (one.url or "a file of the home" for one in (record.place.store, place.store))
        return StorageFault(own, f"the online store was {former}, the inventory has {now}", AGAIN)
    if place.store.is_server and record.key_prefix != place.key_prefix:
        return StorageFault(own, f"the keys in {place.store.url} are of the home that this one was copied from", AGAIN)
    is_writing = bool(record.pending) and is_held(place.folder / LOCK_FILE)
    replica = place.open()
    at = own if place.store.is_server else place.database
    where = f"the online store of {place.region} in {replica.place}" if place.store.is_server else "the online store"
    try:
        mark, times = replica.mark(), replica.event_times()
    except SinetError as error:
        return StorageFault(at, str(error), AFTER_THAT)
    if is_writing:
        return None  # the lock ends with the writer; what it leaves is compared then
    found = _mark_difference(record, mark)
    if mark is None or found:
        return StorageFault(at, f"{where} {found}", AGAIN)
    if len(times) < mark.entities:
        return StorageFault(at, f"{where} has {len(times)} engines, written were {mark.entities}", AGAIN)
    if mark.entities < engines:
        return StorageFault(at, f"{where} has {mark.entities} engines, recorded were {engines}", AGAIN)
    return None


def _mark_difference(record: ReplicaRecord, mark: Mark | None) -> str:
    """What the mark in the store shows; empty where it is that of the last write."""
    if mark is None:
        return "has no mark of a write: it was emptied"
    own = record.mark
    if mark.write not in (own.write, record.pending):
        if mark.written_at < own.written_at:
            return f"has an older copy of its data, of {mark.written_at:%Y-%m-%d %H:%M}, or another home wrote it then"
        return f"was last written at {mark.written_at:%Y-%m-%d %H:%M} by another home"
    if record.pending:
        return f"has parts of a write that did not end; the last one ended at {own.written_at:%Y-%m-%d %H:%M}"
    return ""
