"""Expected durations: on another kind of hardware, on spot devices, and of a gang that exchanges gradients."""

import math
import re
from dataclasses import dataclass

from sinet_pipelines.errors import PlacementInputError
from sinet_pipelines.inventory.hardware import Hardware
from sinet_pipelines.inventory.regions import Region

_COMPARED = ("bf16", "fp16", "fp32", "int8")  # the first format that both kinds have a peak for
_FABRIC = re.compile(r"([0-9]+(?:\.[0-9]+)?) Gbit/s")
MOST_INTERRUPTIONS = 20.0  # expected; a step that restarts more often never ends in practice


@dataclass(frozen=True)
class Gang:
    """A step on several devices that exchange their gradients.

    Attributes:
        bytes: of the gradients.
        rounds: how often they are exchanged.
    """

    bytes: int
    rounds: int


def relative_speed(kind: Hardware, bound: Hardware) -> float | None:
    """How many times as fast as the bound kind another one is, by the peaks of their data sheets; None where unknown.

    A device is compared with a device, or with one core of `cpu`.

    >>> from sinet_pipelines.inventory.hardware import kind_of, read_hardware
    >>> rows = read_hardware(None)
    >>> round(relative_speed(kind_of(rows, "nvidia-h100"), kind_of(rows, "nvidia-a100")), 2)
    3.17
    """
    if kind.id == bound.id:
        return 1.0
    for number_format in _COMPARED:
        peaks = kind.peak_tflops.get(number_format), bound.peak_tflops.get(number_format)
        if peaks[0] is not None and peaks[1] is not None and min(peaks[0].value, peaks[1].value) > 0:
            return peaks[0].value / peaks[1].value
    return None


def on_spot(hours: float, interruptions_per_hour: float, devices: int) -> float | None:
    """The expected hours of a step that restarts from its beginning after each interruption; None if it never ends.

    Interruptions of each device come at a constant rate, and one of them ends the whole step: the expectation is
    (exp(rate x hours) - 1) / rate (Daly, "A higher order estimate of the optimum checkpoint interval for restart
    dumps", Future Generation Computer Systems 22, 2006, eq. 3 without checkpoints).

    >>> round(on_spot(10.0, 0.02, 1), 2), on_spot(10.0, 0.0, 1)
    (11.07, 10.0)
    """
    rate = interruptions_per_hour * max(1, devices)
    if rate == 0:
        return hours
    if rate * hours > MOST_INTERRUPTIONS:
        return None
    return math.expm1(rate * hours) / rate


def all_reduce_hours(gang: Gang | None, *, devices: int, devices_per_node: int, region: Region) -> float:
    """The hours that a gang exchanges gradients over the region's fabric; 0 on one node.

    A ring moves 2 (n - 1) / n times the gradients through the slowest line (Patarasuk and Yuan, "Bandwidth optimal
    all-reduce algorithms for clusters of workstations", Journal of Parallel and Distributed Computing 69, 2009).

    Raises:
        PlacementInputError: the region's row does not name the speed of its fabric.
    """
    if gang is None or devices <= devices_per_node:
        return 0.0
    found = _FABRIC.search(region.fabric)
    if found is None:
        raise PlacementInputError(
            f"the fabric of {region.name} is {region.fabric!r}, without a speed; write it as 'Ethernet 100 Gbit/s'"
        )
    moved_bits = 8 * gang.bytes * 2 * (devices - 1) / devices
    return gang.rounds * moved_bits / (float(found[1]) * 1e9) / 3600
