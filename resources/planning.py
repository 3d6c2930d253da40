"""Reads the steps of a deployment's assets for the placement planner: needs, open places, durations, sizes, reads."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from resources.dagster_private import BaseAssetGraph
from resources.deployment import Deployment
from resources.keys import name_of
from resources.materializations.kept import place_of
from resources.materializations.past_runs import past_runs, placed, table_bytes
from resources.placement import CLASS_OF_KINDS_TAG, HARDWARE_TAG, NEEDS_TAG, REGION_TAG
from resources.residency import PURPOSES, Place, places_in
from sinet_pipelines.backfills.estimates import CostModel
from sinet_pipelines.backfills.history import SECONDS
from sinet_pipelines.inventory.regions import Region
from sinet_pipelines.placement.assembly import DEFAULT_BYTES, Read
from sinet_pipelines.placement.needs import Needs
from sinet_pipelines.placement.options import Work
from sinet_pipelines.schemas.contract import DataClass

SECONDS_AN_HOUR = 3600
NEEDS_HOURS, PAST_RUNS = "needs.hours, since no past run made it", "learnt from past runs"
DEFAULT_SIZE, RECORDED_SIZE = "the default of its data class, since none is recorded", "of its newest day"


@dataclass(frozen=True)
class Known:
    """What a home has recorded about its assets.

    Attributes:
        hours: of a step that makes one day, by asset.
        bytes: of the newest day, by asset.
    """

    hours: Mapping[str, float]
    bytes: Mapping[str, int]


def known_of(instance: dg.DagsterInstance, graph: BaseAssetGraph, deployment: Deployment) -> Known:
    """The durations and sizes that a home has recorded.

    Only tables that may leave their region are measured: the planner opens nothing of the others.
    """
    model = CostModel(past_runs(instance, graph, placed(graph, deployment)), SECONDS)
    hours = {}
    for key in graph.toposorted_asset_keys:
        name = key.to_user_string()
        line = model.line(name)
        if line is not None and (found := line.at(1)) > 0:
            hours[name] = found / SECONDS_AN_HOUR
    never = (DataClass.RAW, DataClass.PERSONAL)
    keys = [
        key
        for key in graph.toposorted_asset_keys
        if (table := place_of(graph.get(key)).table) is not None and table.data_class not in never
    ]
    sizes = table_bytes(graph, deployment, keys)
    return Known(hours, {name: round(days[-1]) for name, days in sizes.items() if days and days[-1] > 0})


def works_of(
    graph: BaseAssetGraph, deployment: Deployment, *, known: Known | None = None, without: Collection[str] = ()
) -> list[Work]:
    """The steps of all assets that are made or observed here, upstream assets first.

    Args:
        graph: of the assets.
        deployment: whose regions they are bound to.
        known: what the home has recorded.
        without: regions that are left out: others may stand in for them.
    """
    found, known = [], known or Known({}, {})
    for key in graph.toposorted_asset_keys:
        node: Any = graph.get(key)
        tags = node.assets_def.op.tags if node.is_executable else {}
        if REGION_TAG not in tags:
            continue
        name, needs = key.to_user_string(), Needs.from_json(tags[NEEDS_TAG])
        place = places_in(graph, [key])[0]
        hours, size = known.hours.get(name), known.bytes.get(name)
        open_to, pinned_by = _open_places(key, tags, needs, deployment.regions, without)
        found.append(
            Work(
                asset=name,
                region=tags[REGION_TAG],
                hardware=tags[HARDWARE_TAG],
                needs=needs,
                hours=needs.hours if hours is None else hours,
                hours_from=NEEDS_HOURS if hours is None else PAST_RUNS,
                open_to=open_to,
                pinned_by=pinned_by,
                bytes=DEFAULT_BYTES[place.data_class] if size is None else size,
                bytes_from=DEFAULT_SIZE if size is None else RECORDED_SIZE,
                data_class=place.data_class,
                table=place.table,
            )
        )
    return found


def _open_places(
    key: dg.AssetKey, tags: Mapping[str, str], needs: Needs, regions: Sequence[Region], without: Collection[str]
) -> tuple[tuple[tuple[str, str], ...], str]:
    """The places that an asset's definition leaves open beside its own, and why there are no others."""
    home = tags[REGION_TAG]
    places = dict.fromkeys(needs.may_move_to)
    if tags.get(CLASS_OF_KINDS_TAG):
        own = next(one for one in regions if one.name == home)
        places.update(dict.fromkeys((home, kind) for kind in _of_class(own, tags[CLASS_OF_KINDS_TAG])))
    if name_of(key).region:
        pinned_by = f"its key says {home}"
    else:
        pinned_by = f"its definition binds it to {home}"
        if home in without:
            stands_in = [one for one in regions if home in one.stands_in_for]
            alike = {one.name: _like(one, tags[HARDWARE_TAG]) for one in stands_in}
            places.update(dict.fromkeys(place for found in alike.values() for place in found))
            without_it = [name for name, found in alike.items() if not found]
            if not stands_in:
                pinned_by += f", and no region stands in for {home} (stands_in_for in inventory.yaml)"
            elif without_it:
                has = f"{', '.join(without_it)}, which stands in for {home}"
                pinned_by += f", and {has}, has no hardware of the class of {tags[HARDWARE_TAG]}"
    places.pop((home, tags[HARDWARE_TAG]), None)
    return tuple(places), pinned_by


def _of_class(region: Region, accelerator: str) -> list[str]:
    return [kind.id for kind in region.kinds if kind.accelerator == accelerator]


def _like(region: Region, hardware: str) -> list[tuple[str, str]]:
    """The places of a region with the same kind, or else with kinds of the same class."""
    if hardware in region.hardware:
        return [(region.name, hardware)]
    return [(region.name, kind) for kind in _of_class(region, region.kind(hardware).accelerator)]


def reads_of(graph: BaseAssetGraph, works: Sequence[Work]) -> list[Read]:
    """What the steps read: of their upstreams, and what they send to an endpoint.

    Args:
        graph: of the assets.
        works: of `works_of`.
    """
    keys = {key.to_user_string(): key for key in graph.get_all_asset_keys()}
    places: dict[dg.AssetKey, Place] = {
        place.key: place for place in places_in(graph, [keys[one.asset] for one in works])
    }
    found = []
    for place in places.values():
        name = place.key.to_user_string()
        parents = [places[key] for key in sorted(place.parents) if key in places]
        found += [Read(one.key.to_user_string(), name, place.purpose) for one in parents]
        for endpoint in (one for one in parents if one.answers):
            found += [
                Read(
                    one.key.to_user_string(),
                    endpoint.key.to_user_string(),
                    PURPOSES["deployment"],
                    is_order=False,
                    reader=name,
                )
                for one in parents
                if not one.answers
            ]
    return found
