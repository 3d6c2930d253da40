"""Replicas of the online store in `sinet status`: one line and one entry for each region that has one."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sinet_pipelines.errors import StorageError
from sinet_pipelines.features.replicas import FOLDER, ReplicaRecord, read_records, replica_faults
from sinet_pipelines.schemas.contract import DataClass
from sinet_pipelines.words import counted

if TYPE_CHECKING:
    from resources.deployment import Deployment
    from sinet_pipelines.features.lag import Lag

ASSET = "online_features"  # name of the asset that writes a replica


def read_online(deployment: "Deployment") -> list[dict[str, Any]]:
    """The state of each replica that was written, compared with the tables of features.

    A server of a region that runs apart is not opened: the check of the asset, which runs there, shows its state.
    """
    return [_entry(one) for one in [*map(_lag_of, _records(deployment)), *_left(deployment)]]


def _left(deployment: "Deployment") -> "list[Lag]":
    """The replicas of regions that may not or no longer have one; their features are still there."""
    from sinet_pipelines.features.lag import Lag

    found = []
    for one in read_records(Path(deployment.home) / FOLDER):
        place, region = one.place, one.place.region
        if region and not _may_have_one(deployment, region):
            is_known = region in deployment.inventory.names
            why = "no longer accepts class feature" if is_known else "is not in the inventory"
            keys = f"the keys {one.key_prefix}:* from {place.store.url} and " if place.store.is_server else ""
            fault = f"{region} {why} and still has features of {place.application}; remove {keys}the folder {place.own}"
            found.append(Lag(region, place.application, place.store.kind, place.open().place, fault=fault))
    return found


def _may_have_one(deployment: "Deployment", region: str) -> bool:
    return region in deployment.inventory.names and DataClass.FEATURE in deployment.region(region).accepts


def _lag_of(one: ReplicaRecord) -> "Lag":
    """The lag of a replica; a table that cannot be read is its fault."""
    from sinet_pipelines.features.lag import Lag, read_lag

    try:
        return read_lag(one.place, one.source)
    except StorageError as error:
        place = one.place
        return Lag(place.region, place.application, place.store.kind, place.open().place, fault=str(error))


def _entry(lag: "Lag") -> dict[str, Any]:
    return {
        "region": lag.region,
        "application": lag.application,
        "store": lag.store,
        "place": lag.place,
        "engines": lag.engines,
        "engines_behind": lag.behind,
        "engines_missing": lag.missing,
        "engines_withdrawn": lag.withdrawn,
        "has_newer_tables": lag.has_newer_tables,
        "event_lag_s": lag.event_lag_s,
        "arrival_lag_s": lag.arrival_lag_s,
        "limit_s": lag.limit_s,
        "newest_event_at": _spelled(lag.newest_event_at),
        "written_at": _spelled(lag.written_at),
        "passed": lag.passed,
        "fault": lag.fault,
        "reason": lag.sentence,
    }


def servers_differ(known: Sequence[dict[str, Any]], deployment: "Deployment") -> bool:
    """Whether a replica on a server has another fault than in these entries; files are compared by their time.

    Args:
        known: entries of `read_online`.
        deployment: of the home.
    """
    faults = {one["region"]: one["fault"] for one in known}
    for one in _records(deployment):
        if one.place.store.is_server:
            now = next((fault.message for fault in replica_faults(one.place)), "")
            if faults.get(one.place.region) != now:
                return True
    return False


def with_replica(asset: dict[str, Any], online: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Marks the asset of a replica as missing while the replica cannot be used."""
    region, _, name = str(asset["asset"]).partition("/")
    if not name.endswith(f"/{ASSET}") or not any(one["region"] == region and one["fault"] for one in online):
        return asset
    return {**asset, "state": "missing"}


def online_line(one: dict[str, Any]) -> str:
    """The line of one replica."""
    if one["fault"]:
        return f"online store of {one['region']}: {one['fault']}"
    newest = (one["newest_event_at"] or "none")[:16].replace("T", " ")
    text = (
        f"online store of {one['region']} ({one['store']}): {counted(one['engines'], 'engine')}, newest event {newest}"
    )
    withdrawn = one.get("engines_withdrawn", 0)
    if one["engines_behind"] or one["engines_missing"] or withdrawn:
        behind = f"{one['engines_behind']} behind, {one['engines_missing']} missing"
        behind += f", {withdrawn} withdrawn" if withdrawn else ""
        text += f", {behind}, lag {one['event_lag_s']:,.0f} s of events and {one['arrival_lag_s']:,.0f} s of arrivals"
    else:
        text += ", lag 0 s" + (", not of the newest versions of the tables" if one.get("has_newer_tables") else "")
    return text if one["passed"] else f"{text} (allowed: {one['limit_s']:,.0f} s); `sinet run` writes it again"


def _records(deployment: "Deployment") -> list[ReplicaRecord]:
    """The replicas of regions of the inventory, each where the inventory has it now."""
    found = []
    for one in read_records(Path(deployment.home) / FOLDER):
        if _may_have_one(deployment, one.place.region):
            store = deployment.region(one.place.region).online_store
            if deployment.is_one_machine or not store.is_server:
                found.append(replace(one, place=replace(one.place, store=store)))
    return found


def _spelled(at: datetime | None) -> str | None:
    return at.isoformat(timespec="seconds") if at else None
