"""The stores that a step opens, by its edges, and the Secrets that its pod mounts for these stores alone."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import dagster as dg

from resources.dagster_private import IStepContext
from resources.residency import edges_into, places_in
from sinet_pipelines.inventory.regions import Region
from sinet_pipelines.placement.bindings import store_mounts


def store_config(step: IStepContext, region: Region, regions: Iterable[Region]) -> dict[str, Any]:
    """The part of a step's `dagster-k8s/config` by which its pod gets credentials; empty where it opens no store.

    Args:
        step: of a plan whose definitions can be loaded in this process.
        region: where its pod runs.
        regions: all regions of the deployment.
    """
    stored = {one.name: one for one in regions if one.root is not None and not one.root.is_local}
    needed = [stored[name] for name in sources_of(step, region) if name in stored] if stored else []
    return store_mounts(region, needed) if needed else {}


def sources_of(step: IStepContext, region: Region) -> Sequence[str]:
    """The regions whose data a step opens where it runs in a region: that one, and those that its edges come from."""
    layer = step.job.get_definition().asset_layer
    selected = layer.get_selected_entity_keys_for_node(step.node_handle)
    keys = {key for key in selected if isinstance(key, dg.AssetKey)}
    checked = {key.asset_key for key in selected if isinstance(key, dg.AssetCheckKey)}
    made = places_in(layer.asset_graph, keys or checked)
    if not keys:  # a check of its own reads the asset and what that was made from
        made = [replace(place, parents=(place.key, *place.parents)) for place in made]
    parents = {one.key: one for one in places_in(layer.asset_graph, {key for place in made for key in place.parents})}
    edges = [edge for place in made for edge in edges_into(place, parents, at=region.name)]
    return sorted({region.name, *(place.region for place in made), *(edge.source for edge in edges)})
