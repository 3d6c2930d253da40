"""The graph of assets as edges on which data travels, and the rule that none of them may be forbidden.

An asset reads what it depends on, where it is bound to and wherever it may move. Whoever depends on an endpoint sends
it what else it depends on. What it is for is what its stage is for, unless its binding says so.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

import dagster as dg
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph

from resources.placement import CLASS_TAG, NEEDS_TAG, PURPOSE_TAG, REGION_TAG
from sinet_pipelines.placement.needs import Needs
from sinet_pipelines.placement.residency import Edge, require_allowed
from sinet_pipelines.regions import REGIONS
from sinet_pipelines.schemas.contract import DataClass

#: What a stage wants the rows of other regions for, in the words of the agreements.
PURPOSES: Mapping[str, str] = {
    "training": "training",
    "evaluation": "training",
    "quantization": "calibration",
    "deployment": "inference",
    "research": "experiments",
}
NO_STAGE = "default"  # Dagster's group of assets that were given none; all of the definitions have one
ENDPOINT = "endpoint"  # the last word of the key of what answers requests
TABLE = "dagster/table_name"
Asset = dg.AssetsDefinition | dg.AssetSpec


@dataclass(frozen=True)
class Place:
    """One asset of the graph as residency sees it.

    Attributes:
        key: of the asset.
        region: where it is bound to and its table lies.
        data_class: of what it makes.
        table: what others read of it.
        purpose: what it reads others for.
        moves: regions to which its step may be moved.
        parents: what it depends on.
    """

    key: dg.AssetKey
    region: str
    data_class: DataClass
    table: str
    purpose: str
    moves: tuple[str, ...]
    parents: tuple[dg.AssetKey, ...]


def require_residency(assets: Iterable[Asset], *, day: date | None = None) -> None:
    """Nothing, where no edge of the graph is forbidden on a day.

    Args:
        assets: of the definitions.
        day: on which it is asked; None for today (UTC).

    Raises:
        ResidencyError: an edge is; the message names the asset, the table, the class and the rule.
    """
    all_assets = list(assets)
    places = {place.key: place for asset in all_assets for place in _places(asset)}
    readers = [*places.values(), *(reader for asset in all_assets for reader in _checks(asset, places))]
    edges = [edge for reader in readers for edge in edges_into(reader, places)]
    require_allowed(edges, regions={region.name: region for region in REGIONS}, day=day or today())


def today() -> date:
    """The day by which agreements are judged."""
    return datetime.now(UTC).date()


def edges_into(place: Place, places: Mapping[dg.AssetKey, Place], *, at: str | None = None) -> list[Edge]:
    """The edges on which an asset gets what it depends on.

    Args:
        place: of the asset.
        places: of what it depends on; what has no place has no rows either.
        at: where its step really runs; None for all places where it may.
    """
    targets = (place.region, *place.moves) if at is None else (at,)
    parents = [places[key] for key in place.parents if key in places]
    edges = [_edge(place, parent, target, place.purpose) for parent in parents for target in targets]
    endpoints = [parent for parent in parents if parent.key.path[-1] == ENDPOINT]
    for endpoint in endpoints:
        sent = [parent for parent in parents if parent not in endpoints]
        edges += [_edge(place, parent, endpoint.region, PURPOSES["deployment"]) for parent in sent]
    return edges


def _edge(reader: Place, parent: Place, target: str, purpose: str) -> Edge:
    return Edge(reader.key.to_user_string(), parent.table, parent.data_class, parent.region, target, purpose)


def _checks(asset: Asset, places: Mapping[dg.AssetKey, Place]) -> Iterator[Place]:
    """Checks that are steps of their own, each as what reads its asset and whatever that was made from."""
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
        data_class=DataClass(tags.get(CLASS_TAG) or _text(metadata.get("data_class", "raw"))),
        table=_text(metadata.get(TABLE, key.path[-1])),
        purpose=tags.get(PURPOSE_TAG) or PURPOSES.get(stage or "", stage or ""),
        moves=moves,
        parents=tuple(parents),
    )


def _text(entry: Any) -> str:
    return str(entry.value if isinstance(entry, dg.MetadataValue) else entry)
