"""Region and hardware of an asset turned into what sends its step there: kinds, tags, pool, the region's resource."""

from collections.abc import Iterable
from typing import Any

from sinet_pipelines.errors import UnknownHardwareError
from sinet_pipelines.hardware import get_hardware
from sinet_pipelines.regions import Region
from sinet_pipelines.schemas.contract import DataClass

OWNERS = ["team:predictive-maintenance"]
REGION_TAG = "sinet/region"
HARDWARE_TAG = "sinet/hardware"
CLASS_TAG = "sinet/data_class"


def bind(
    region: Region,
    *,
    data_class: DataClass,
    hardware: str = "cpu",
    reads: Iterable[Region] = (),
    uses: Iterable[str] = (),
    kinds: Iterable[str] = (),
) -> dict[str, Any]:
    """The arguments of `@dg.asset` that bind an asset to a region and a kind of hardware.

    Args:
        region: where the step runs and its table lies.
        data_class: class of what the asset makes.
        hardware: id of the kind it runs on; the region must have it on site.
        reads: other regions whose tables the step reads.
        uses: keys of the other resources it needs.
        kinds: one or two words more for the page (`deltalake`, `mlflow`).

    Raises:
        UnknownHardwareError: the region does not have this hardware on site.
    """
    get_hardware(hardware)
    if hardware not in region.hardware:
        allowed = ", ".join(region.hardware)
        raise UnknownHardwareError(f"{region.name} has no {hardware} on site (it has: {allowed}); bind to one of these")
    place = {REGION_TAG: region.name, HARDWARE_TAG: hardware}
    return {
        "kinds": {region.key, hardware, *kinds},
        "owners": OWNERS,
        "tags": {**place, CLASS_TAG: str(data_class)},
        "op_tags": place,
        "pool": f"{region.key}-{hardware}",
        "required_resource_keys": {region.key, *(other.key for other in reads), *uses},
    }
