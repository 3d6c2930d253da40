"""A recipe: what an experiment asks, and on which hardware, in which region, it is to be answered."""

from dataclasses import dataclass

from sinet_pipelines.errors import UnknownHardwareError
from sinet_pipelines.hardware import get_hardware
from sinet_pipelines.regions import get_region


@dataclass(frozen=True)
class Recipe:
    """An experiment before it is carried out.

    Attributes:
        name: as its assets are named.
        question: what it asks, in one sentence.
        region: where it is carried out.
        hardware: id of the kind that the answer is about.
        simulated_on: id of the kind that stands in for it; None where the hardware itself computes.
        family: name of the challenger's family, in `research/experiments.py`.

    Raises:
        UnknownRegionError: regions.py does not list the region.
        UnknownHardwareError: hardware.py does not list a kind, or the region has it not on site.
    """

    name: str
    question: str
    region: str
    hardware: str
    simulated_on: str | None
    family: str

    def __post_init__(self) -> None:
        on_site = get_region(self.region).hardware
        for kind in (self.hardware, self.measured_on):
            get_hardware(kind)
            if kind not in on_site:
                allowed = ", ".join(on_site)
                raise UnknownHardwareError(
                    f"recipe {self.name} names {kind}, which {self.region} has not on site (it has: {allowed}); name "
                    "one of these or another region"
                )

    @property
    def measured_on(self) -> str:
        """The kind of hardware that its figures come from."""
        return self.simulated_on or self.hardware

    @property
    def provenance(self) -> str:
        """Where its figures come from, in words.

        >>> Recipe("n", "Does it?", "NULL_ISLAND", "neuromorphic", "cpu", "f").provenance
        'simulated on cpu'
        >>> Recipe("n", "Does it?", "NULL_ISLAND", "fpga", None, "f").provenance
        'measured on fpga'
        """
        return f"{'simulated' if self.simulated_on else 'measured'} on {self.measured_on}"
