"""Compares the event log with storage: a materialisation counts only while its data exist.

The record of a materialisation lists the writes of its step: rows and version of its table, rows of other tables that
the step writes (`rows_in_<table>`), and the writes in `resources/writes.py`. Here they are compared with the home.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from resources.dagster_private import BaseAssetGraph, BaseAssetNode
from resources.deployment import Deployment
from resources.keys import CURRENT_CHECK, LANDING_ZONE
from resources.materializations.day_log import read_days, read_refusals, recorded
from resources.materializations.held import VERSION_ENTRY, Held, Place, Recorded, as_day
from resources.materializations.published import Published
from resources.materializations.versions import Tags, version_in
from resources.placement import CLASS_TAG, REGION_TAG
from resources.residency import CLASS_ENTRY, TABLE
from sinet_pipelines.applications.application import parse_key
from sinet_pipelines.escaping import from_markdown
from sinet_pipelines.features.replicas import AGAIN
from sinet_pipelines.schemas.contract import DataClass, TableName
from sinet_pipelines.storage.health import StorageFault

if TYPE_CHECKING:
    from resources.dagster_private import AssetEntry

STORE_ENTRY = "kept_in"  # definition metadata of an asset that fills the feature store: its folder in a home
BESIDE_TABLES = "tables_beside"  # definition metadata of an asset: names of the tables that its step writes beside


@dataclass(frozen=True)
class Kept:
    """The event log of a home, compared with its storage.

    Attributes:
        instance: whose event log records what was made.
        graph: of the assets.
        deployment: the home whose storage is read.
        published: the published data of its regions; read again by default.
    """

    instance: dg.DagsterInstance
    graph: BaseAssetGraph
    deployment: Deployment
    published: Published | None = None

    @property
    def home(self) -> Path:
        """The home."""
        return self.deployment.home

    def days(self, key: dg.AssetKey) -> dict[date, Tags]:
        """Tags of the newest materialisation of each day of an asset, without days that storage has lost."""
        made: dict[date, Tags] = {}
        lost: dict[StorageFault, list[date]] = {}
        events = self.recorded_days(key)
        fault_of = self._held.fault_of_days(self._whereabouts(key)) if events else None
        for day, event in sorted(events.items()):
            if fault_of is not None and (fault := fault_of(day, event)):
                lost.setdefault(fault, []).append(day)
            else:
                made[day] = event.tags
        self._lost[key] = lost
        return made

    def recorded_days(self, key: dg.AssetKey) -> Mapping[date, Recorded]:
        """The newest materialisation of each day of an asset, lost days included; all assets are read at once."""
        if key not in self._recorded_days:
            return read_days(self.instance, [key])[key]
        return self._recorded_days[key]

    @cached_property
    def _recorded_days(self) -> Mapping[dg.AssetKey, Mapping[date, Recorded]]:
        graph = self.graph
        return read_days(self.instance, [key for key in graph.get_all_asset_keys() if graph.get(key).is_partitioned])

    def refusals(self, check: dg.AssetCheckKey) -> Mapping[date, dg.AssetCheckEvaluation]:
        """The days whose newest result of a check failed, each with that result; all checks are read at once."""
        return self._refusals.get(check, {})

    @cached_property
    def _refusals(self) -> Mapping[dg.AssetCheckKey, Mapping[date, dg.AssetCheckEvaluation]]:
        graph = self.graph
        of_days = [check for check in graph.asset_check_keys if graph.get(check.asset_key).is_partitioned]
        return read_refusals(self.instance, of_days)

    def days_in(self, region: str, application: str, table: TableName) -> frozenset[date]:
        """The days of a table that have rows; none if the table's log cannot be read."""
        rows = self._held.table(region, application, table).rows
        return frozenset(day for name, count in rows.items() if count and (day := as_day(name)))

    def event(self, key: dg.AssetKey) -> dg.AssetMaterialization | None:
        """The newest materialisation of an asset without days; None where there is none or its data are lost."""
        record = self.newest(key)
        event = record.asset_materialization if record is not None else None
        fault = None if event is None else self.fault(key, event)
        self._lost[key] = {} if fault is None else {fault: []}
        return event if fault is None else None

    def is_lost(self, key: dg.AssetKey) -> bool:
        """Whether an asset without days was made and its data are lost."""
        return self.newest(key) is not None and self.event(key) is None

    def newest(self, key: dg.AssetKey) -> dg.EventLogEntry | None:
        """The newest materialisation of an asset, even if its data are lost; one query reads all assets."""
        entry = self._newest.get(key)
        return None if entry is None else entry.last_materialization

    def newest_version(self, key: dg.AssetKey) -> str:
        """The version of the newest materialisation of an asset without days, even if its data are lost."""
        entry = self.newest(key) if key in self._newest else self.instance.get_latest_materialization_event(key)
        event = entry.asset_materialization if entry is not None else None
        return version_in((event.tags or {}) if event is not None else {})

    def last_run(self, key: dg.AssetKey) -> str | None:
        """The id of the last run that made, or planned to make, an asset without days; None where there is none."""
        entry = self._newest.get(key)
        return None if entry is None else entry.last_run_id

    def is_awaited(self, region: str, application: str) -> bool:
        """Whether a region's published data of an application are missing, or older than the records of its steps.

        This happens when a step wrote rows and was killed before it published: published data name the versions that
        they describe. A later observation settles it, whatever it found.
        """
        if self.deployment.is_one_machine:
            return False
        if (region, application) not in self._awaited:
            self._awaited[region, application] = self._is_awaited(region, application)
        return self._awaited[region, application]

    def _is_awaited(self, region: str, application: str) -> bool:
        if self._published.is_missing(region, application):
            return True
        tables = self._published.of(region, application).tables
        ahead = [
            record
            for record, table, version in self._writes(region, application)
            if table in tables and version > tables[table].version
        ]
        if not ahead:
            return False
        zone = dg.AssetKey(self._published.applications[application].key(LANDING_ZONE, region=region))
        observed = max((one.storage_id for one in self.instance.fetch_observations(zone, limit=1).records), default=0)
        return max(ahead) > observed

    def _writes(self, region: str, application: str) -> Iterator[tuple[int, str, int]]:
        """The newest record of each asset with a table: its number, and the name and recorded version of the table."""
        for key, entry in self._newest.items():
            place, event = self._whereabouts(key), entry.last_materialization_record
            if (place.region, place.application) != (region, application) or place.table is None or event is None:
                continue
            made = event.event_log_entry.asset_materialization
            version = recorded(made).numbers.get(VERSION_ENTRY) if made is not None else None
            if version is not None:
                yield event.storage_id, place.table.name, version

    @cached_property
    def _awaited(self) -> dict[tuple[str, str], bool]:
        return {}

    @cached_property
    def _newest(self) -> Mapping[dg.AssetKey, "AssetEntry"]:
        keys = [key for key in self.graph.toposorted_asset_keys if self.graph.get(key).is_executable]
        records = self.instance.get_asset_records(keys)
        return {record.asset_entry.asset_key: record.asset_entry for record in records}

    def faults(self, key: dg.AssetKey) -> Mapping[StorageFault, list[date]]:
        """The data of an asset that storage has lost: each fault with its days; no days for an asset without days.

        As of the last call of `days` or `event` for this asset, if there was one.
        """
        if key not in self._lost:
            if self.graph.get(key).is_partitioned:
                self.days(key)
            else:
                self.event(key)
        return self._lost[key]

    def fault(self, key: dg.AssetKey, event: dg.AssetMaterialization) -> StorageFault | None:
        """The data that storage has lost of an asset without days; None where nothing is lost."""
        place = self._whereabouts(key)
        return self._held.fault(place, recorded(event)) or self._reported_fault(key, place)

    def _reported_fault(self, key: dg.AssetKey, place: Place) -> StorageFault | None:
        """The fault of an online store that the check in its region found since the last write.

        Where regions run apart, the server of a region is opened in the region alone.
        """
        newest = self.newest(key)
        if place.store is None or self.deployment.is_one_machine or newest is None:
            return None
        check = dg.AssetCheckKey(key, CURRENT_CHECK)
        for record in self.instance.event_log_storage.get_asset_check_execution_history(check, limit=1):
            entry = record.event
            if entry is None or entry.dagster_event_type is not dg.DagsterEventType.ASSET_CHECK_EVALUATION:
                continue
            result = entry.get_dagster_event().asset_check_evaluation_data
            if not result.passed and entry.timestamp > newest.timestamp:
                sentence = from_markdown(result.description or "its check failed").removesuffix(f"; {AGAIN}")
                return StorageFault(self.home / place.store / place.region, sentence, AGAIN)
        return None

    def place(self, key: dg.AssetKey) -> tuple[str, str] | None:
        """Region and name of the asset's table; None for one that has none."""
        found = self._whereabouts(key)
        return None if found.table is None else (found.region, found.table.name)

    def _whereabouts(self, key: dg.AssetKey) -> Place:
        if key not in self._places:
            self._places[key] = place_of(self.graph.get(key))
        return self._places[key]

    @cached_property
    def _places(self) -> dict[dg.AssetKey, Place]:
        return {}

    @cached_property
    def _held(self) -> Held:
        """The home's storage; each table is read once for all days and assets."""
        return Held(self._published, self.is_awaited)

    @cached_property
    def _published(self) -> Published:
        return self.published or Published(self.deployment)

    @cached_property
    def _lost(self) -> dict[dg.AssetKey, Mapping[StorageFault, list[date]]]:
        return {}


def place_of(node: BaseAssetNode) -> Place:
    """The place of an asset's rows, as its definition declares it."""
    region = node.tags.get(REGION_TAG, "")
    table, data_class, store = (_entry(node, name) for name in (TABLE, CLASS_ENTRY, STORE_ENTRY))
    application = parse_key(node.key.path).application if table or store else ""
    if table is None or REGION_TAG not in node.tags:
        return Place(region, None, store, application)
    declared = data_class or node.tags.get(CLASS_TAG, DataClass.RAW)
    return Place(region, TableName(table, DataClass(declared)), store, application)


def _entry(node: BaseAssetNode, name: str) -> str | None:
    entry = node.metadata.get(name)
    return None if entry is None else str(getattr(entry, "value", entry))
