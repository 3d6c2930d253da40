"""Turns an asset's region, hardware and needs into the settings of its step: tags, pool, resources, Kubernetes Job."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from resources.deployment import RESOURCE
from resources.keys import CADENCE_TAG, INPUTS_TAG, ROLE_TAG, Cadence, Role
from sinet_pipelines.errors import UnknownRegionError
from sinet_pipelines.inventory.regions import Region
from sinet_pipelines.inventory.sites import ServingTarget
from sinet_pipelines.placement.bindings import check_needs, hardware_for, step_config
from sinet_pipelines.placement.needs import Needs
from sinet_pipelines.schemas.contract import DataClass

OWNERS = ["team:predictive-maintenance"]
REGION_TAG = "sinet/region"
HARDWARE_TAG = "sinet/hardware"
CLASS_TAG = "sinet/data_class"
PURPOSE_TAG = "sinet/purpose"
NEEDS_TAG = "sinet/needs"
CLASS_OF_KINDS_TAG = "sinet/hardware_class"  # of a step bound to a class (`gpu`): any kind of it in the region will do
JOB_TAG = "dagster-k8s/config"  # the tag that dagster-k8s reads


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
    others: Iterable[Region] = (),
    cadence: Cadence = Cadence.MANUAL,
    inputs: str = "",
    role: Role | None = None,
) -> dict[str, Any]:
    """The arguments of `@dg.asset` that bind an asset to a region and a kind of hardware.

    Args:
        region: where the step runs and its table lies.
        data_class: class of the asset's data.
        hardware: id of the hardware it runs on, or a class (`gpu`): then the region's first of that class.
        reads: other regions whose tables the step reads.
        others: other regions among which are those that its needs allow it to move to; those that it reads always are.
        uses: keys of the other resources it needs.
        kinds: one or two more kinds for the UI (`deltalake`, `mlflow`).
        needs: cores, memory, devices, hours, priority and retries; by default a core and 2 GiB for an hour.
        purpose: for what it reads sequences of other regions; by default the purpose of its stage.
        deploys: whether it applies objects to its region's cluster, unless the row serves no model there.
        cadence: when the asset is made.
        inputs: name of the rule that computes the fingerprint of its inputs (from
            `resources/materializations/inputs.py` or the application); by default the versions of its upstreams.
        role: its special role for other assets, if it has one.

    Raises:
        UnknownHardwareError: the region does not have this hardware on site.
        NeedsError: no node of the region can satisfy the needs.
    """
    needs, reads = needs or Needs(), tuple(reads)
    if deploys and region.cluster.serving.target is not ServingTarget.PROCESS:
        needs = replace(needs, deploys=True)
    place = place_tags(region, hardware, needs, others=(*reads, *others))
    tags = {
        REGION_TAG: region.name,
        HARDWARE_TAG: place[HARDWARE_TAG],
        CLASS_TAG: str(data_class),
        CADENCE_TAG: str(cadence),
        **({INPUTS_TAG: inputs} if inputs else {}),
        **({ROLE_TAG: str(role)} if role else {}),
        **({PURPOSE_TAG: purpose} if purpose else {}),
    }
    return {
        "kinds": {region.key, place[HARDWARE_TAG], *kinds},
        "owners": OWNERS,
        "tags": tags,
        "op_tags": place,
        "pool": f"{region.key}-{place[HARDWARE_TAG]}",
        "required_resource_keys": {RESOURCE, region.key, *(other.key for other in reads), *uses},
    }


def bind_check(
    region: Region, *, hardware: str = "cpu", reads: Iterable[Region] = (), needs: Needs | None = None
) -> dict[str, Any]:
    """The arguments of `@dg.asset_check` that bind a check with a step of its own, as `bind` binds an asset.

    Args:
        region: where the check runs.
        hardware: as for an asset.
        reads: other regions whose tables it reads.
        needs: as for an asset.
    """
    place = place_tags(region, hardware, needs or Needs())
    return {
        "op_tags": place,
        "pool": f"{region.key}-{place[HARDWARE_TAG]}",
        "required_resource_keys": {RESOURCE, region.key, *(other.key for other in reads)},
    }


def place_tags(region: Region, hardware: str, needs: Needs, *, others: Iterable[Region] = ()) -> dict[str, Any]:
    """The tags of a step: where it runs, what it needs, and its Kubernetes Job.

    The places to which it may move are checked as well, so that an invalid one is found when definitions load and not
    when it is first used.

    Args:
        region: where the step runs.
        hardware: id of the kind it runs on, or a class of kinds.
        needs: of the step.
        others: regions that it may move to, beside its own.

    Raises:
        UnknownHardwareError: a region does not have the hardware.
        UnknownRegionError: it may move to a region that is none of these.
        NeedsError: no node there can satisfy the needs.
    """
    kind, known, places = hardware_for(region, hardware), {one.name: one for one in (region, *others)}, []
    for name, wanted in needs.may_move_to:
        if name not in known:
            raise UnknownRegionError(
                f"the step may move to {name}, which is none of the regions that it is bound with "
                f"({', '.join(known)}); bind it with `others=deployment.regions`, or name one of these"
            )
        other = known[name]
        places.append((name, hardware_for(other, wanted).id))
        check_needs(other, hardware_for(other, wanted), needs)
    needs = replace(needs, may_move_to=tuple(places))
    return {
        REGION_TAG: region.name,
        HARDWARE_TAG: kind.id,
        **({} if hardware == kind.id else {CLASS_OF_KINDS_TAG: hardware}),
        NEEDS_TAG: needs.to_json(),
        JOB_TAG: step_config(region, kind, needs),
    }
