"""What storage still holds of what the event log records: a materialisation counts only while its data is there.

A step's writes are recorded on its materialisation: rows and version of its table, rows in tables that it writes
beside (`rows_in_<table>`), and what `resources/writes.py` lists. Here they are compared with the home.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph
from dagster._core.storage.event_log.base import AssetEntry

from resources.placement import REGION_TAG
from resources.residency import TABLE
from resources.versions import Tags, as_day, day_events
from resources.writes import WRITES_ENTRY, recorded_writes
from sinet_pipelines.features.health import store_faults
from sinet_pipelines.storage.health import StorageFault, TableHealth, look_at_table

ROWS_ENTRY, VERSION_ENTRY = "dagster/row_count", "table_version"
STORE_ENTRY = "kept_in"  # definition metadata of an asset that fills the feature store: its folder in a home
BESIDE_ENTRY = "rows_in_"  # and the name of a table that the step writes beside its own


@dataclass(frozen=True)
class Kept:
    """The event log of a home held against its storage.

    Attributes:
        instance: whose event log records what was made.
        graph: of the assets.
        home: whose storage is looked at.
    """

    instance: dg.DagsterInstance
    graph: BaseAssetGraph
    home: Path

    def days(self, key: dg.AssetKey) -> dict[date, Tags]:
        """Tags of each day of an asset as last materialised, without the days that storage lost."""
        made: dict[date, Tags] = {}
        lost: dict[StorageFault, list[date]] = {}
        for day, event in sorted(day_events(self.instance, key).items()):
            if fault := self._day_fault(key, day, event):
                lost.setdefault(fault, []).append(day)
            else:
                made[day] = event.tags or {}
        self._lost[key] = lost
        return made

    def days_in(self, region: str, table: str) -> frozenset[date]:
        """The days of which a table holds rows, as far as its log can be read."""
        rows = self._at(region, table).rows
        return frozenset(day for name, count in rows.items() if count and (day := as_day(name)))

    def event(self, key: dg.AssetKey) -> dg.AssetMaterialization | None:
        """The newest materialisation of an asset without days; None where there is none or storage lost it."""
        record = self.newest(key)
        event = record.asset_materialization if record is not None else None
        fault = None if event is None else self.fault(key, event)
        self._lost[key] = {} if fault is None else {fault: []}
        return event if fault is None else None

    def is_lost(self, key: dg.AssetKey) -> bool:
        """Whether an asset without days was made and storage lost it."""
        return self.newest(key) is not None and self.event(key) is None

    def newest(self, key: dg.AssetKey) -> dg.EventLogEntry | None:
        """The newest materialisation of an asset, whether or not storage holds it; one query for all assets."""
        entry = self._newest.get(key)
        return None if entry is None else entry.last_materialization

    def last_run(self, key: dg.AssetKey) -> str | None:
        """The id of the last run that made an asset without days or was going to; None where no run ever was."""
        entry = self._newest.get(key)
        return None if entry is None else entry.last_run_id

    @cached_property
    def _newest(self) -> Mapping[dg.AssetKey, AssetEntry]:
        keys = [key for key in self.graph.toposorted_asset_keys if self.graph.get(key).is_executable]
        records = self.instance.get_asset_records(keys)
        return {record.asset_entry.asset_key: record.asset_entry for record in records}

    def faults(self, key: dg.AssetKey) -> Mapping[StorageFault, list[date]]:
        """What storage lost of an asset; under each fault its days, none for an asset without days.

        As of the last call of `days` or `event` for this asset, if there was one.
        """
        if key not in self._lost:
            if self.graph.get(key).is_partitioned:
                self.days(key)
            else:
                self.event(key)
        return self._lost[key]

    def fault(self, key: dg.AssetKey, event: dg.AssetMaterialization) -> StorageFault | None:
        """Why storage does not hold what the newest materialisation of an asset without days recorded."""
        table = self._table(key)
        if table is not None:
            rows, version = _number(event, ROWS_ENTRY), _number(event, VERSION_ENTRY)
            if fault := table.fault_of(day="", rows=rows, version=version):
                return fault
        return next(chain(self._write_faults(event), self._store_faults(key, event)), None)

    def _day_fault(self, key: dg.AssetKey, day: date, event: dg.AssetMaterialization) -> StorageFault | None:
        table = self._table(key)
        if table is None:
            return None
        rows, version = _number(event, ROWS_ENTRY), _number(event, VERSION_ENTRY)
        if fault := table.fault_of(day=day.isoformat(), rows=rows, version=version):
            return fault
        for entry in event.metadata:
            if entry.startswith(BESIDE_ENTRY):
                region = self.graph.get(key).tags[REGION_TAG]
                beside = self._at(region, entry.removeprefix(BESIDE_ENTRY))
                if fault := beside.fault_of(day=day.isoformat(), rows=_number(event, entry), version=None):
                    return fault
        return None

    def place(self, key: dg.AssetKey) -> tuple[str, str] | None:
        """Region and name of the asset's table; None for one that has none."""
        node = self.graph.get(key)
        entry = node.metadata.get(TABLE)
        if entry is None or REGION_TAG not in node.tags:
            return None
        return node.tags[REGION_TAG], str(entry.value if isinstance(entry, dg.MetadataValue) else entry)

    def _table(self, key: dg.AssetKey) -> TableHealth | None:
        place = self.place(key)
        return None if place is None else self._at(*place)

    def _at(self, region: str, table: str) -> TableHealth:
        if (region, table) not in self._looked_at:
            self._looked_at[region, table] = look_at_table(self.home / "tables" / region, table)
        return self._looked_at[region, table]

    @cached_property
    def _lost(self) -> dict[dg.AssetKey, Mapping[StorageFault, list[date]]]:
        return {}

    @cached_property
    def _looked_at(self) -> dict[tuple[str, str], TableHealth]:
        """One look at each table for all days and assets."""
        return {}

    def _store_faults(self, key: dg.AssetKey, event: dg.AssetMaterialization) -> Iterator[StorageFault]:
        entry = self.graph.get(key).metadata.get(STORE_ENTRY)
        if entry is not None:
            engines = _number(event, "engines") or 0
            yield from store_faults(self.home / str(getattr(entry, "value", entry)), engines=engines)

    def _write_faults(self, event: dg.AssetMaterialization) -> Iterator[StorageFault]:
        entry = event.metadata.get(WRITES_ENTRY)
        if entry is not None:
            yield from recorded_writes(entry.value).faults(self.home)


def _number(event: dg.AssetMaterialization, entry: str) -> int | None:
    """A recorded number, None where the event has none."""
    metadata: Mapping[str, Any] = event.metadata
    value = metadata.get(entry)
    return value.value if isinstance(value, dg.IntMetadataValue) else None
