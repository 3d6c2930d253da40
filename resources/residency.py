"""Derives from the graph of assets the edges on which data travels between regions, and rejects forbidden ones.

An asset reads its upstreams in the region that it is bound to and in every region that it may move to. An asset that
depends on an endpoint sends the endpoint its other upstreams. Its purpose is that of its stage, unless its binding
declares one.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

import dagster as dg

from resources.dagster_private import BaseAssetGraph
from resources.keys import ROLE_TAG, Role
from resources.placement import CLASS_TAG, NEEDS_TAG, PURPOSE_TAG, REGION_TAG
from sinet_pipelines.inventory.regions import Region
from sinet_pipelines.placement.needs import Needs
from sinet_pipelines.placement.residency import Crossing, require_allowed
from sinet_pipelines.schemas.contract import DataClass

#: The purpose for which a stage reads rows of other regions, as agreements spell it.
PURPOSES: Mapping[str, str] = {
    "training": "training",
    "evaluation": "training",
    "quantization": "calibration",
    "deployment": "inference",
    "research": "experiments",
}
NO_STAGE = "default"  # Dagster's group of assets without a group; every asset of the definitions has a group
TABLE = "sinet/table"  # the contract's name; `dagster/table_name` also holds region and application
CLASS_ENTRY = "data_class"  # definition metadata of an asset with a table
Asset = dg.AssetsDefinition | dg.AssetSpec


@dataclass(frozen=True)
class Place:
    """One asset of the graph with the facts that decide on residency.

    Attributes:
        key: of the asset.
        region: the region it is bound to, which holds its table.
        data_class: class of its data.
        table: name of its table for other assets.
        purpose: for what it reads data of other regions.
        moves: regions to which its step may move.
        parents: its upstreams.
        answers: whether it is an endpoint: its downstreams then send it their other upstreams.
    """

    key: dg.AssetKey
    region: str
    data_class: DataClass
    table: str
    purpose: str
    moves: tuple[str, ...]
    parents: tuple[dg.AssetKey, ...]
    answers: bool = False


def require_residency(assets: Iterable[Asset], regions: Iterable[Region], *, day: date | None = None) -> None:
    """Checks that no edge of the graph is forbidden on a day.

    Args:
        assets: assets of the definitions.
        regions: of the deployment.
        day: the day to check; None for today (UTC).

    Raises:
        ResidencyError: an edge is forbidden; the message names the asset, the table, the class and the rule.
    """
    all_assets = list(assets)
    places = {place.key: place for asset in all_assets for place in _places(asset)}
    readers = [*places.values(), *(reader for asset in all_assets for reader in _checks(asset, places))]
    edges = [edge for reader in readers for edge in edges_into(reader, places)]
    require_allowed(edges, regions={region.name: region for region in regions}, day=day or today())


def today() -> date:
    """The day for which agreements are checked."""
    return datetime.now(UTC).date()


def edges_into(place: Place, places: Mapping[dg.AssetKey, Place], *, at: str | None = None) -> list[Crossing]:
    """The edges on which an asset receives its upstreams.

    Args:
        place: of the asset.
        places: of its upstreams; an asset without a place has no rows.
        at: region where its step runs; None for all regions where it may run.
    """
    targets = (place.region, *place.moves) if at is None else (at,)
    parents = [places[key] for key in place.parents if key in places]
    edges = [_edge(place, parent, target, place.purpose) for parent in parents for target in targets]
    endpoints = [parent for parent in parents if parent.answers]
    for endpoint in endpoints:
        sent = [parent for parent in parents if parent not in endpoints]
        edges += [_edge(place, parent, endpoint.region, PURPOSES["deployment"]) for parent in sent]
    return edges


def _edge(reader: Place, parent: Place, target: str, purpose: str) -> Crossing:
    return Crossing(reader.key.to_user_string(), parent.table, parent.data_class, parent.region, target, purpose)


def _checks(asset: Asset, places: Mapping[dg.AssetKey, Place]) -> Iterator[Place]:
    """Checks with steps of their own: each reads its asset and everything that the asset was made from."""
    if isinstance(asset, dg.AssetChecksDefinition) and REGION_TAG in asset.op.tags:
        for key in sorted({check.asset_key for check in asset.check_keys}.intersection(places)):
            place = places[key]
            yield replace(place, region=asset.op.tags[REGION_TAG], parents=(key, *place.parents), moves=())


def places_in(graph: BaseAssetGraph, keys: Iterable[dg.AssetKey], *, moves: tuple[str, ...] = ()) -> list[Place]:
    """The places of some assets of a loaded graph."""
    found = []
    for key in keys:
        if graph.has(key) and REGION_TAG in (node := graph.get(key)).tags:
            found.append(_place(key, node.tags, node.metadata, node.group_name, parents=node.parent_keys, moves=moves))
    return found


def _places(asset: Asset) -> Iterator[Place]:
    specs = [asset] if isinstance(asset, dg.AssetSpec) else list(asset.specs)
    moves: tuple[str, ...] = ()
    if isinstance(asset, dg.AssetsDefinition) and asset.is_executable and NEEDS_TAG in asset.op.tags:
        moves = tuple(name for name, _ in Needs.from_json(asset.op.tags[NEEDS_TAG]).may_move_to)
    for spec in specs:
        if REGION_TAG in spec.tags:
            parents = [dep.asset_key for dep in spec.deps]
            yield _place(spec.key, spec.tags, spec.metadata, spec.group_name, parents=parents, moves=moves)


def _place(
    key: dg.AssetKey,
    tags: Mapping[str, str],
    metadata: Mapping[str, Any],
    group: str | None,
    *,
    parents: Iterable[dg.AssetKey],
    moves: tuple[str, ...],
) -> Place:
    stage = group if group != NO_STAGE else None
    return Place(
        key=key,
        region=tags[REGION_TAG],
        data_class=DataClass(tags.get(CLASS_TAG) or _text(metadata.get(CLASS_ENTRY, "raw"))),
        table=_text(metadata.get(TABLE, key.path[-1])),
        purpose=tags.get(PURPOSE_TAG) or PURPOSES.get(stage or "", stage or ""),
        moves=moves,
        parents=tuple(parents),
        answers=tags.get(ROLE_TAG) == Role.ENDPOINT,
    )


def _text(entry: Any) -> str:
    return str(entry.value if isinstance(entry, dg.MetadataValue) else entry)
