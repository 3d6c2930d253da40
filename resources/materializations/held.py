"""Checks whether storage still holds the data of a materialisation: tables, blobs and versions; reads no row.

Nothing here imports Dagster, so that `sinet status` does not need it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property, lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

from resources.materializations.published import Published
from resources.writes import recorded_writes
from sinet_pipelines.features.health import store_faults
from sinet_pipelines.features.replicas import ReplicaPlace
from sinet_pipelines.schemas.contract import TableName
from sinet_pipelines.storage.health import StorageFault, TableHealth
from sinet_pipelines.storage.tables import tables_of

ROWS_ENTRY, VERSION_ENTRY = "dagster/row_count", "table_version"
GAP_TAG = "sinet/gap"  # marks a landed day without rows, since its upstream has none; the value is the reason
ENGINES_ENTRY = "engines"
BESIDE_ENTRY = "rows_in_"  # and the name of a table of the same class that the step writes beside its own


@dataclass(frozen=True)
class Place:
    """The place of an asset's rows.

    Attributes:
        region: where its table is; empty for one that is bound nowhere.
        table: its name and class; None for an asset without a table.
        store: the folder in a home of the feature store that it fills; None where it fills none.
        application: whose asset it is.
    """

    region: str = ""
    table: TableName | None = None
    store: str | None = None
    application: str = ""


@dataclass(frozen=True)
class Recorded:
    """The metadata of a materialisation about the data that it wrote.

    Attributes:
        tags: of the event.
        numbers: its metadata by entry; None for an entry that is no whole number.
        writes: the entry of blobs and versions; None where there is none.
    """

    tags: Mapping[str, str]
    numbers: Mapping[str, int | None]
    writes: Any = None


@dataclass(frozen=True)
class Held:
    """A home's storage; each table is read once.

    Attributes:
        published: the published state of tables that do not leave their regions.
        is_awaited: whether the published data of a region and application are older than the records of its steps; then
            nothing of these tables counts as lost.
    """

    published: Published
    is_awaited: Callable[[str, str], bool] = lambda _, __: False

    @property
    def home(self) -> Path:
        """The home."""
        return self.published.home

    def table(self, region: str, application: str, table: TableName) -> TableHealth:
        """The state of a table; for a table that may not leave its region, the state that the region published."""
        if self.published.is_published(application, table):
            return self.published.health(region, application, table)
        key = region, application, table
        if key not in self._looked_at:
            self._looked_at[key] = tables_of(self.home, region, application).health(table)
        return self._looked_at[key]

    def fault(self, place: Place, event: Recorded) -> StorageFault | None:
        """The data that storage has lost of an asset without days; None where nothing is lost."""
        if place.table is not None and not self._is_unknown(place):
            rows, version = event.numbers.get(ROWS_ENTRY), event.numbers.get(VERSION_ENTRY)
            table = self.table(place.region, place.application, place.table)
            if fault := table.fault_of(day="", rows=rows, version=version):
                return fault
        return next(chain(self._write_faults(event), self._store_faults(place, event)), None)

    def fault_of_days(self, place: Place) -> Callable[[date, Recorded], StorageFault | None]:
        """For an asset, a function of a day and its record: the data that storage has lost; None if none is lost."""
        table = place.table
        if table is None or self._is_unknown(place):
            return lambda _, __: None
        own = self.table(place.region, place.application, table)
        beside: dict[str, TableHealth] = {}

        def fault_of(day: date, event: Recorded) -> StorageFault | None:
            name, rows, version = day.isoformat(), event.numbers.get(ROWS_ENTRY), event.numbers.get(VERSION_ENTRY)
            if fault := own.fault_of(day=name, rows=rows, version=version):
                return fault
            for entry, number in event.numbers.items():
                if entry.startswith(BESIDE_ENTRY):
                    if entry not in beside:
                        other = TableName(entry.removeprefix(BESIDE_ENTRY), table.data_class)
                        beside[entry] = self.table(place.region, place.application, other)
                    if fault := beside[entry].fault_of(day=name, rows=number, version=None):
                        return fault
            return None

        return fault_of

    def _is_unknown(self, place: Place) -> bool:
        is_published = place.table is not None and self.published.is_published(place.application, place.table)
        return is_published and self.is_awaited(place.region, place.application)

    @cached_property
    def _looked_at(self) -> dict[tuple[str, str, TableName], TableHealth]:
        return {}

    def _store_faults(self, place: Place, event: Recorded) -> Iterator[StorageFault]:
        if place.store is not None:
            folder, deployment = self.home / place.store, self.published.deployment
            store = deployment.region(place.region).online_store
            if store.is_server and not deployment.is_one_machine:
                return  # a server of another region may not be reachable from here; the check in the region looks at it
            replica = ReplicaPlace(folder, place.region, store, place.application)
            yield from store_faults(folder, engines=event.numbers.get(ENGINES_ENTRY) or 0, replica=replica)

    def _write_faults(self, event: Recorded) -> Iterator[StorageFault]:
        if event.writes is not None:
            yield from recorded_writes(event.writes).faults(self.home)


@lru_cache(maxsize=8192)  # a log names each day once for each asset
def as_day(partition: str | None) -> date | None:
    """The day that a partition key names; None for a key that is no day, for which users can report events too."""
    try:
        day = date.fromisoformat(partition or "")
    except ValueError:
        return None
    return day if day.isoformat() == partition else None
