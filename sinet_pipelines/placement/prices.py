"""The price of a step's time, from the rows of hardware."""

from sinet_pipelines.inventory.regions import Region
from sinet_pipelines.placement.needs import Needs

SECONDS_AN_HOUR = 3600


def usd_per_second(region: Region, hardware: str, needs: Needs) -> float:
    """The price of a second of a step in its region: of its devices, or of its cores on `cpu`.

    A step that may be preempted costs the spot price where there is one. Storage and transfer are not counted.

    >>> from sinet_pipelines.inventory.regions import read_inventory
    >>> east = read_inventory(None).region("EAST")
    >>> round(usd_per_second(east, "cpu", Needs(cpu_millicores=2000)) * 3600, 6)
    0.08
    """
    kind = region.kind(hardware)
    spot = kind.usd_per_hour_spot if needs.is_preemptible else None
    price = (spot or kind.usd_per_hour).value
    units = needs.cpu_millicores / 1000 if kind.is_cpu else max(1, needs.count)
    return price * units / SECONDS_AN_HOUR
