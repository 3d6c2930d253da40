"""Reads all of a home's storage and compares it with the event log: rows and blobs by content, and databases."""

import hashlib
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import dagster as dg
import polars as pl

from resources.feature_store import FEATURE_STORE
from resources.materializations.held import VERSION_ENTRY
from resources.materializations.kept import Kept
from resources.materializations.versions import VERSION_TAG
from sinet_pipelines.applications import load_applications
from sinet_pipelines.applications.application import parse_key
from sinet_pipelines.features.health import store_faults
from sinet_pipelines.registry.health import CURE as REGISTER
from sinet_pipelines.schemas.contract import Contract
from sinet_pipelines.storage.blobs import is_blob_name
from sinet_pipelines.storage.content import content_hash
from sinet_pipelines.storage.databases import database_fault
from sinet_pipelines.storage.health import REBUILD, StorageFault, decode_table
from sinet_pipelines.storage.layout import BLOBS, blobs_folders, mlflow_database, tables_folders
from sinet_pipelines.storage.objects import Objects
from sinet_pipelines.storage.roots import Stores
from sinet_pipelines.storage.tables import DAY_COLUMN, TableStore, tables_of


def all_faults(kept: Kept) -> list[StorageFault]:
    """The data that storage has lost of every asset, as the planner finds them without reading rows."""
    keys = [key for key in kept.graph.toposorted_asset_keys if kept.graph.get(key).is_materializable]
    return list(dict.fromkeys(fault for key in keys for fault in kept.faults(key)))


def deep_faults(kept: Kept) -> list[StorageFault]:
    """These faults, and those that only a complete read finds.

    Takes about a second for a million rows.
    """
    found = dict.fromkeys(all_faults(kept))
    contracts = {(one.name, table.name): table for one in load_applications() for table in one.tables}
    for root in tables_folders(kept.home):  # one folder for each application
        for folder in sorted(one for one in root.iterdir() if (root.name, one.name) in contracts):
            found |= dict.fromkeys(decode_table(folder))
    if not found:  # a damaged table cannot be read
        for key in kept.graph.toposorted_asset_keys:
            found |= dict.fromkeys(_content_faults(kept, key, contracts))
    for root in blobs_folders(kept.home):
        found |= dict.fromkeys(_blob_faults(root))
    for objects in Stores(kept.home).values():
        found |= dict.fromkeys(_stored_blob_faults(objects))
    if (database := mlflow_database(kept.home)).exists():
        fault = database_fault(database, thorough=True, cure=REGISTER)
        found |= {} if fault is None else {fault: None}
    if (store := kept.home / FEATURE_STORE).is_dir():
        found |= dict.fromkeys(store_faults(store))
    return list(found)


def _content_faults(kept: Kept, key: dg.AssetKey, contracts: dict[tuple[str, str], Contract]) -> Iterator[StorageFault]:
    """Days, or tables without days, whose rows differ from the recorded ones."""
    place = kept.place(key)
    application = parse_key(key.path).application
    if place is None or (application, place[1]) not in contracts:
        return
    region, table = place
    contract, store = contracts[application, table], tables_of(kept.home, region, application)
    if kept.graph.get(key).is_partitioned:
        recorded = {day: event.tags for day, event in kept.recorded_days(key).items()}
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
    folder = Path(store.uri(contract))
    if day is not None:
        folder /= f"{DAY_COLUMN}={day}"
    return StorageFault(
        folder,
        "its rows differ from the recorded ones",
        f"remove this folder; then {REBUILD}",
        day=day.isoformat() if day else None,
    )


def _stored_blob_faults(objects: Objects) -> Iterator[StorageFault]:
    for one in objects.walk(BLOBS):
        name = one.key.rpartition("/")[2]
        if is_blob_name(name) and (found := hashlib.sha256(objects.read(one.key)).hexdigest()) != name:
            path = Path(objects.root, one.key)
            yield StorageFault(path, f"the blob holds {found[:16]}", f"remove this object; then {REBUILD}")


def _blob_faults(root: Path) -> Iterator[StorageFault]:
    for path in sorted(root.glob("??/*")):
        if len(path.name) == hashlib.sha256().digest_size * 2 and path.is_file():
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            if found != path.name:
                yield StorageFault(path, f"the blob holds {found[:16]}", f"remove this file; then {REBUILD}")
