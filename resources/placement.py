"""Region, hardware and needs of an asset turned into what sends its step there: tags, pool, resources, its Job."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from sinet_pipelines.placement.bindings import check_needs, hardware_for, step_config
from sinet_pipelines.placement.needs import Needs
from sinet_pipelines.regions import Region, get_region
from sinet_pipelines.schemas.contract import DataClass
from sinet_pipelines.sites import ServingTarget

OWNERS = ["team:predictive-maintenance"]
REGION_TAG = "sinet/region"
HARDWARE_TAG = "sinet/hardware"
CLASS_TAG = "sinet/data_class"
PURPOSE_TAG = "sinet/purpose"
NEEDS_TAG = "sinet/needs"
JOB_TAG = "dagster-k8s/config"  # the name by which dagster-k8s knows it


def bind(
    region: Region,
    *,
    data_class: DataClass,
    hardware: str = "cpu",
    reads: Iterable[Region] = (),
    uses: Iterable[str] = (),
    kinds: Iterable[str] = (),
    needs: Needs | None = None,
    purpose: str = "",
    deploys: bool = False,
) -> dict[str, Any]:
    """The arguments of `@dg.asset` that bind an asset to a region and a kind of hardware.

    Args:
        region: where the step runs and its table lies.
        data_class: class of what the asset makes.
        hardware: id of the kind it runs on, or a class of kinds (`gpu`): then the region's first of it.
        reads: other regions whose tables the step reads.
        uses: keys of the other resources it needs.
        kinds: one or two words more for the page (`deltalake`, `mlflow`).
        needs: cores, memory, devices, hours and what the step can put up with; a core and 2 GiB for an hour if none.
        purpose: what it reads sequences of other regions for; what its stage is for, if empty.
        deploys: it applies objects to its region's cluster, unless the row says that nothing is served there.

    Raises:
        UnknownHardwareError: the region does not have this hardware on site.
        NeedsError: no node of the region can satisfy the needs.
    """
    needs = needs or Needs()
    if deploys and region.cluster.serving.target is not ServingTarget.PROCESS:
        needs = replace(needs, deploys=True)
    place = place_tags(region, hardware, needs)
    told = {REGION_TAG: region.name, HARDWARE_TAG: place[HARDWARE_TAG], CLASS_TAG: str(data_class)}
    return {
        "kinds": {region.key, place[HARDWARE_TAG], *kinds},
        "owners": OWNERS,
        "tags": {**told, **({PURPOSE_TAG: purpose} if purpose else {})},
        "op_tags": place,
        "pool": f"{region.key}-{place[HARDWARE_TAG]}",
        "required_resource_keys": {region.key, *(other.key for other in reads), *uses},
    }


def bind_check(
    region: Region, *, hardware: str = "cpu", reads: Iterable[Region] = (), needs: Needs | None = None
) -> dict[str, Any]:
    """The arguments of `@dg.asset_check` that bind a check which is a step of its own, as `bind` does an asset.

    Args:
        region: where the check runs.
        hardware: as of an asset.
        reads: other regions whose tables it reads.
        needs: as of an asset.
    """
    place = place_tags(region, hardware, needs or Needs())
    return {
        "op_tags": place,
        "pool": f"{region.key}-{place[HARDWARE_TAG]}",
        "required_resource_keys": {region.key, *(other.key for other in reads)},
    }


def place_tags(region: Region, hardware: str, needs: Needs) -> dict[str, Any]:
    """The tags of a step: where it runs, what it needs, and the Job that it becomes there.

    The places that it may move to are looked at as well: an alternative that cannot be is found now, not in a night
    in which it is wanted.

    Raises:
        UnknownHardwareError: a region does not have the hardware.
        UnknownRegionError: there is no such region to move to.
        NeedsError: no node there can satisfy the needs.
    """
    kind = hardware_for(region, hardware)
    others = []
    for name, wanted in needs.may_move_to:
        other = get_region(name)
        others.append((name, hardware_for(other, wanted).id))
        check_needs(other, hardware_for(other, wanted), needs)
    needs = replace(needs, may_move_to=tuple(others))
    return {
        REGION_TAG: region.name,
        HARDWARE_TAG: kind.id,
        NEEDS_TAG: needs.to_json(),
        JOB_TAG: step_config(region, kind, needs),
    }
