"""Checks a Delta table on an object store by the table's log and one listing of its files; no row is read."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

from sinet_pipelines.errors import AbsentError
from sinet_pipelines.storage.delta import open_table
from sinet_pipelines.storage.health import StorageFault, TableHealth
from sinet_pipelines.storage.objects import open_objects

DAY = "partition.event_date"


def look_at_stored_table(uri: str, options: Mapping[str, str]) -> TableHealth:
    """The state of the table at an address of a store.

    Raises:
        StorageError: the store does not respond or denies access, or the table's log cannot be read.
    """
    path = Path(uri.replace("://", ":/"))  # for messages
    opened = open_table(uri, options)
    if opened is None:
        return TableHealth(path)
    added = opened.get_add_actions(flatten=True)
    columns = {name: added[name].to_pylist() for name in ("path", "size_bytes", "num_records")}
    has_days = DAY.removeprefix("partition.") in opened.metadata().partition_columns
    days = [day.isoformat() for day in added[DAY].to_pylist()] if has_days else [""] * len(columns["path"])
    sizes = _sizes(uri, options)
    rows, faults = dict[str, int](), []
    for name, size, count, day in zip(*columns.values(), days, strict=True):
        rows[day] = rows.get(day, 0) + (count or 0)
        there = sizes.get(unquote(name))
        if there != size:
            found = "the data file is missing" if there is None else f"it has {there} bytes, recorded were {size}"
            faults.append(StorageFault(path / unquote(name), found, day=day or None))
    return TableHealth(path, opened.version(), rows, tuple(faults))


def _sizes(uri: str, options: Mapping[str, str]) -> dict[str, int]:
    """Size in bytes of each file below the table, by its relative path."""
    root, _, table = uri.rpartition("/")
    try:
        return {one.key.removeprefix(f"{table}/"): one.size for one in open_objects(root, options).walk(table)}
    except AbsentError:
        return {}
