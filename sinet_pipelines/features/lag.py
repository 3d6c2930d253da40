"""The lag of a replica: how much newer the tables of features are than the online store of a region.

Feast itself is not imported: a status or a check needs only instants, of rows and of commits.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
from deltalake import DeltaTable

from sinet_pipelines.errors import SinetError, StorageError, first_line
from sinet_pipelines.features.replica_mark import Mark, TableRead
from sinet_pipelines.features.replicas import AFTER_THAT, ReplicaPlace, ReplicaSource, read_record, replica_faults
from sinet_pipelines.storage.delta import open_table, scan_table
from sinet_pipelines.storage.health import REBUILD, look_at_table
from sinet_pipelines.storage.layout import absolute_uri, is_local, relative_uri
from sinet_pipelines.storage.roots import options_at
from sinet_pipelines.storage.stored_health import look_at_stored_table
from sinet_pipelines.words import counted


@dataclass(frozen=True)
class Offline:
    """The newest state of the tables of features.

    Attributes:
        events: instant of each entity's newest row, UTC.
        tables: the newest version of each table, by address relative to the home.
    """

    events: Mapping[str, datetime]
    tables: Mapping[str, TableRead]

    @property
    def newest_commit_at(self) -> datetime | None:
        """The latest commit of a table; None without tables."""
        return max((one.committed_at for one in self.tables.values()), default=None)


@dataclass(frozen=True)
class Lag:
    """The state of a region's replica, compared with the tables.

    Attributes:
        region: its name.
        application: whose features they are.
        store: `redis` or `sqlite`.
        place: the server, or the file.
        engines: entities of the tables.
        behind: entities whose row in the replica is older than in the tables.
        missing: entities of the tables that the replica does not have.
        withdrawn: entities whose row in the replica left the tables: they have an older one, or none.
        has_newer_tables: whether a table has another version than the one that the replica was written from.
        event_lag_s: seconds by which the newest row of the replica is older than that of the tables; of the entities
            behind, the greatest difference if that is more.
        arrival_lag_s: seconds between the newest commit that the replica was written from and the newest of the
            tables; 0 where no entity is behind or missing.
        newest_event_at: instant of the newest row of the replica; None for none.
        written_at: last write; None for none.
        limit_s: greatest `event_lag_s` allowed.
        fault: why the replica cannot be read or is not that of this home, as a sentence; empty for none.
    """

    region: str
    application: str
    store: str
    place: str
    engines: int = 0
    behind: int = 0
    missing: int = 0
    withdrawn: int = 0
    has_newer_tables: bool = False
    event_lag_s: float = 0.0
    arrival_lag_s: float = 0.0
    newest_event_at: datetime | None = None
    written_at: datetime | None = None
    limit_s: float = 0.0
    fault: str = ""

    @property
    def passed(self) -> bool:
        """Whether the replica is there, has no row that left the tables, and is within its limit."""
        return not (self.fault or self.missing or self.withdrawn) and self.event_lag_s <= self.limit_s

    @property
    def sentence(self) -> str:
        """What is wrong, and the cure; empty where the check passes."""
        if self.passed:
            return ""
        if self.fault:
            return self.fault
        lacks = f"lacks {counted(self.missing, 'engine')} of {self.engines}; " if self.missing else ""
        lacks += f"has {counted(self.withdrawn, 'engine')} whose row left the tables; " if self.withdrawn else ""
        return (
            f"the online store of {self.region} {lacks}is {self.event_lag_s:,.0f} s behind the tables (allowed: "
            f"{self.limit_s:,.0f} s); `sinet run` writes it again"
        )


def recorded_lag(place: ReplicaPlace, *, reader: str | None = None) -> Lag:
    """The lag of a region's replica behind the tables that its last write was made from.

    Args:
        place: of the replica.
        reader: region whose credentials open tables on stores; None for the region of each.

    Raises:
        StorageError: a table cannot be read.
    """
    record = read_record(place.folder, place.region)
    if record is not None:
        return read_lag(place, record.source, reader=reader)
    fault = next((one.message for one in replica_faults(place)), "")
    return Lag(place.region, place.application, place.store.kind, place.open().place, fault=fault)


def read_offline(home: Path, source: ReplicaSource, *, reader: str | None = None) -> Offline:
    """The newest rows and versions of the tables of a replica; one that was never written has none.

    Args:
        home: home of the tables.
        source: the tables.
        reader: region whose credentials open tables on stores; None for the region of each.

    Raises:
        StorageError: a table cannot be read.
    """
    entity, event_time = source.entity, source.event_time
    parts, versions = [], dict[str, TableRead]()
    for uri in (absolute_uri(one, home) for one in source.tables):
        options = options_at(home, uri, reader=reader)
        health = look_at_table(Path(uri)) if is_local(uri) else look_at_stored_table(uri, options)
        if health.faults:
            raise StorageError(health.faults[0].message)
        table = open_table(uri, options)
        if table is None:
            continue
        versions[relative_uri(uri, home)] = TableRead(table.version(), _last_file_at(table))
        parts.append(scan_table(table, uri, options).select(pl.col(entity), pl.col(event_time)))
    if not parts:
        return Offline({}, versions)
    latest = pl.concat(parts).group_by(entity).agg(pl.col(event_time).max()).drop_nulls().sort(entity)
    try:
        newest = latest.collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise StorageError(f"{', '.join(versions)} cannot be read: {first_line(error)}; {REBUILD}") from error
    zoned = newest[event_time].dt.convert_time_zone("UTC")
    return Offline(dict(zip(newest[entity].to_list(), zoned.to_list(), strict=True)), versions)


def read_lag(place: ReplicaPlace, source: ReplicaSource, *, reader: str | None = None) -> Lag:
    """The lag of a region's replica; a replica that cannot be read is a fault of the result.

    Args:
        place: of the replica.
        source: the tables that it is written from.
        reader: region whose credentials open tables on stores; None for the region of each.

    Raises:
        StorageError: a table cannot be read.
    """
    offline = read_offline(place.folder.parent, source, reader=reader)
    replica = place.open()
    lost = Lag(
        place.region, place.application, place.store.kind, replica.place,
        engines=len(offline.events), missing=len(offline.events), limit_s=place.store.lag_limit_s,
    )  # fmt: skip
    found = next(replica_faults(place), None)
    fault = found.message if found else ""
    if found is not None and found.cure == AFTER_THAT:  # a second request would wait as long as the first one
        return _of_events(lost, offline, {}, None, fault)
    record = read_record(place.folder, place.region)
    try:
        online = {} if record is None else replica.event_times()
    except SinetError as error:  # also where the client of the server is not installed
        return _of_events(lost, offline, {}, None, fault or str(error))
    return _of_events(lost, offline, online, record.mark if record else None, fault)


def _last_file_at(table: DeltaTable) -> datetime:
    """When the newest data file of a table was written; of a table without files, when it was created.

    The history of a table is no source: the Delta library finds none in a folder whose name has a `#` or a space.
    """
    files = pl.DataFrame(table.get_add_actions(flatten=True))
    newest = files["modification_time"].max() if files.height else None
    if isinstance(newest, datetime):
        return newest.replace(tzinfo=UTC) if newest.tzinfo is None else newest.astimezone(UTC)
    at_ms = newest if isinstance(newest, int) else table.metadata().created_time or 0
    return datetime.fromtimestamp(at_ms / 1000, UTC)


def _of_events(start: Lag, offline: Offline, online: Mapping[str, datetime], mark: Mark | None, fault: str) -> Lag:
    """The lag by the instants of the rows in both."""
    ages = [(at - online[name]).total_seconds() for name, at in offline.events.items() if name in online]
    late = [age for age in ages if age > 0]
    missing = len(offline.events) - len(ages)
    newest = max(online.values(), default=None)
    newest_offline = max(offline.events.values(), default=None)
    between = (newest_offline - newest).total_seconds() if newest is not None and newest_offline is not None else 0.0
    commits = (offline.newest_commit_at, mark.newest_commit_at if mark else None)
    waiting = (commits[0] - commits[1]).total_seconds() if commits[0] is not None and commits[1] is not None else 0.0
    return Lag(
        start.region,
        start.application,
        start.store,
        start.place,
        engines=start.engines,
        behind=len(late),
        missing=missing,
        withdrawn=sum(age < 0 for age in ages) + len(online) - len(ages),
        has_newer_tables=mark is not None and _versions(mark.tables) != _versions(offline.tables),
        event_lag_s=max([0.0, between, *late]),
        arrival_lag_s=max(0.0, waiting) if late or missing else 0.0,
        newest_event_at=newest,
        written_at=mark.written_at if mark else None,
        limit_s=start.limit_s,
        fault=fault,
    )


def _versions(tables: Mapping[str, TableRead]) -> dict[str, int]:
    return {name: one.version for name, one in tables.items()}
