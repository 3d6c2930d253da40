"""Reads all of a home's storage and compares it with what was recorded: rows and blobs by content, databases."""

import hashlib
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from types import ModuleType

import dagster as dg
import polars as pl

from resources.feature_store import FEATURE_STORE
from resources.kept import VERSION_ENTRY, Kept
from resources.versions import VERSION_TAG, day_events
from resources.writes import BLOBS_FOLDER
from sinet_pipelines.features.health import store_faults
from sinet_pipelines.registry.health import CURE as REGISTER
from sinet_pipelines.schemas import events, features, monitoring, telemetry
from sinet_pipelines.schemas.contract import Contract
from sinet_pipelines.storage.content import content_hash
from sinet_pipelines.storage.databases import database_fault
from sinet_pipelines.storage.health import REBUILD, StorageFault, decode_table
from sinet_pipelines.storage.layout import mlflow_database
from sinet_pipelines.storage.tables import DAY_COLUMN, TableStore

SCHEMAS: tuple[ModuleType, ...] = (telemetry, features, events, monitoring)


def all_faults(kept: Kept) -> list[StorageFault]:
    """What storage lost of every asset, as the planner sees it: by a look, no row read."""
    keys = [key for key in kept.graph.toposorted_asset_keys if kept.graph.get(key).is_executable]
    return list(dict.fromkeys(fault for key in keys for fault in kept.faults(key)))


def deep_faults(kept: Kept) -> list[StorageFault]:
    """These, and what only reading everything shows. Takes about a second for a million rows."""
    found = dict.fromkeys(all_faults(kept))
    contracts = {
        value.name: value for module in SCHEMAS for value in vars(module).values() if isinstance(value, Contract)
    }
    for folder in sorted((kept.home / "tables").glob("*/*")):
        if folder.name in contracts:
            found |= dict.fromkeys(decode_table(folder.parent, folder.name))
    if not found:  # else rows of what is damaged cannot be read
        for key in kept.graph.toposorted_asset_keys:
            found |= dict.fromkeys(_content_faults(kept, key, contracts))
    found |= dict.fromkeys(_blob_faults(kept.home / BLOBS_FOLDER))
    if (database := mlflow_database(kept.home)).exists():
        fault = database_fault(database, thorough=True, cure=REGISTER)
        found |= {} if fault is None else {fault: None}
    if (store := kept.home / FEATURE_STORE).is_dir():
        found |= dict.fromkeys(store_faults(store))
    return list(found)


def _content_faults(kept: Kept, key: dg.AssetKey, contracts: dict[str, Contract]) -> Iterator[StorageFault]:
    """Days, or tables without days, whose rows are not those that were recorded."""
    place = kept.place(key)
    if place is None or place[1] not in contracts:
        return
    region, table = place
    contract, store = contracts[table], TableStore(str(kept.home / "tables" / region))
    if kept.graph.get(key).is_partitioned:
        recorded = {day: event.tags or {} for day, event in day_events(kept.instance, key).items()}
        made = {day: tags[VERSION_TAG] for day, tags in recorded.items() if VERSION_TAG in tags}
        for day, version in sorted(made.items()):
            if content_hash(store.read(contract, days=(day, day)), contract) != version:
                yield _changed(store, contract, day)
        return
    event = kept.event(key)
    if event is not None and VERSION_ENTRY in event.metadata and event.tags:
        rows: pl.DataFrame = store.read(contract)
        if content_hash(rows, contract) != event.tags.get(VERSION_TAG):
            yield _changed(store, contract, None)


def _changed(store: TableStore, contract: Contract, day: date | None) -> StorageFault:
    folder = Path(store.uri(contract.name))
    if day is not None:
        folder /= f"{DAY_COLUMN}={day}"
    return StorageFault(
        folder,
        "its rows are not those that were recorded",
        f"remove this folder; then {REBUILD}",
        day=day.isoformat() if day else None,
    )


def _blob_faults(root: Path) -> Iterator[StorageFault]:
    for path in sorted(root.glob("*/??/*")):
        if len(path.name) == hashlib.sha256().digest_size * 2 and path.is_file():
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            if found != path.name:
                yield StorageFault(path, f"the blob holds {found[:16]}", f"remove this file; then {REBUILD}")
