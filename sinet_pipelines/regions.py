"""EAST, WEST and NULL_ISLAND as rows: role, hardware on site, and the agreements under which data may leave.

A region is a row here; partitions, resources, assets and tests follow from it.
"""

from dataclasses import dataclass
from datetime import date

from sinet_pipelines.errors import UnknownRegionError


@dataclass(frozen=True)
class Agreement:
    """Leave for one table of class `sequence` to go from its region to another, for one purpose, until a day.

    Attributes:
        table: the table that may travel.
        to: the region it may go to.
        purpose: what it may be used for there.
        until: the last day of the agreement.
    """

    table: str
    to: str
    purpose: str
    until: date


@dataclass(frozen=True)
class Region:
    """A region and what is bound to it.

    Attributes:
        name: as it is spelled in tables, keys and JSON.
        role: what the region is for.
        hardware: ids of the kinds on site, in the order of preference.
        agreements: what sequences may leave.
    """

    name: str
    role: str
    hardware: tuple[str, ...]
    agreements: tuple[Agreement, ...] = ()

    @property
    def key(self) -> str:
        """The region's name as a resource key and folder-safe word: `null_island`."""
        return self.name.lower()


_UNTIL = date(2028, 12, 31)  # shipped policies run out on purpose: somebody must look at them again
_AGREEMENTS = (
    Agreement("evaluation_sequences", "EAST", "training", _UNTIL),
    Agreement("evaluation_sequences", "WEST", "calibration", _UNTIL),
    Agreement("evaluation_sequences", "NULL_ISLAND", "experiments", _UNTIL),
    Agreement("training_sequences", "EAST", "training", _UNTIL),
    Agreement("calibration_sequences", "WEST", "calibration", _UNTIL),
    Agreement("training_sequences", "NULL_ISLAND", "experiments", _UNTIL),
    Agreement("live_sequences", "WEST", "inference", _UNTIL),
)

EAST = Region(
    "EAST",
    "primary training hub, master registry, experiment tracking",
    ("nvidia-h100", "nvidia-a100", "amd-mi250", "tpu-v4", "cerebras-cs2", "cpu"),
    _AGREEMENTS,
)
WEST = Region(
    "WEST",
    "inference, quantization and pruning, edge and OTA; backup training and disaster recovery for EAST",
    ("nvidia-t4", "nvidia-a10", "tpu-v4", "nvidia-a100", "cpu"),
    _AGREEMENTS,
)
NULL_ISLAND = Region(
    "NULL_ISLAND",
    "experiments: quantum simulation, spiking networks, reinforcement learning, new architectures",
    ("fpga", "graphcore-ipu", "neuromorphic", "cpu"),
    _AGREEMENTS,
)

REGIONS: tuple[Region, ...] = (EAST, WEST, NULL_ISLAND)


def get_region(name: str) -> Region:
    """The region of this name.

    Raises:
        UnknownRegionError: no region has this name.

    >>> get_region("WEST").key
    'west'
    """
    for region in REGIONS:
        if region.name == name:
            return region
    known = ", ".join(region.name for region in REGIONS)
    raise UnknownRegionError(f"no region {name!r} (known: {known}); add a row to regions.py")
