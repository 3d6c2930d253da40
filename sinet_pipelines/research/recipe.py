"""The recipe of an experiment: its question, its hardware and its region."""

from dataclasses import dataclass

from sinet_pipelines.errors import UnknownHardwareError
from sinet_pipelines.inventory.regions import Region


@dataclass(frozen=True)
class Recipe:
    """The plan of an experiment.

    Attributes:
        name: the experiment's name in the names of its assets.
        question: its question, in one sentence.
        region: name of the region that executes it.
        hardware: id of the kind of hardware that the experiment is about.
        simulated_on: id of the kind of hardware on which it is simulated; None where the hardware itself computes.
        family: name of the challenger's family among the application's experiments.
    """

    name: str
    question: str
    region: str
    hardware: str
    simulated_on: str | None
    family: str

    def require_on_site(self, region: Region) -> None:
        """Checks that the region has the hardware of the recipe.

        Args:
            region: row of the recipe's region.

        Raises:
            UnknownHardwareError: the inventory has no such kind, or the region does not have it on site.
        """
        for kind in (self.hardware, self.measured_on):
            region.kind(kind)
            if kind not in region.hardware:
                allowed = ", ".join(region.hardware)
                raise UnknownHardwareError(
                    f"recipe {self.name} names {kind}, which is not on site in {self.region} (on site: {allowed}); "
                    "name one of these or another region"
                )

    @property
    def measured_on(self) -> str:
        """The kind of hardware on which its figures are measured."""
        return self.simulated_on or self.hardware

    @property
    def provenance(self) -> str:
        """The source of its figures, in words.

        >>> Recipe("n", "Does it?", "NULL_ISLAND", "neuromorphic", "cpu", "f").provenance
        'simulated on cpu'
        >>> Recipe("n", "Does it?", "NULL_ISLAND", "fpga", None, "f").provenance
        'measured on fpga'
        """
        return f"{'simulated' if self.simulated_on else 'measured'} on {self.measured_on}"
