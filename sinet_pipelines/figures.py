"""A number with where it is from: a data sheet, a paper, or an assumption that somebody should replace by their own."""

from dataclasses import dataclass

from sinet_pipelines.errors import RegistryError

HOURS_A_DAY = 24


@dataclass(frozen=True)
class Figure:
    """One number of the registry.

    Attributes:
        value: in the unit that the field's name says.
        source: the data sheet, paper or price list; for an assumption, what makes it a likely one.
        is_assumption: nobody published this number for this place; replace it by your own in `registry.yaml`.
    """

    value: float
    source: str
    is_assumption: bool = False

    def __post_init__(self) -> None:
        if not self.source:
            raise RegistryError(
                f"the figure {self.value:g} has no source; name one, or say is_assumption: true and why"
            )
        if not 0 <= self.value < float("inf"):
            raise RegistryError(f"a figure is {self.value:g} ({self.source}); prices, rates and sizes are 0 or more")


@dataclass(frozen=True)
class Hourly:
    """A number for each hour of a day (UTC).

    Attributes:
        values: 24 of them, the hour that begins at midnight first.
        source: as of a figure.
        is_assumption: as of a figure.
    """

    values: tuple[float, ...]
    source: str
    is_assumption: bool = False

    def __post_init__(self) -> None:
        if len(self.values) != HOURS_A_DAY or not all(0 <= value < float("inf") for value in self.values):
            raise RegistryError(
                f"{len(self.values)} hours from {self.source!r}, the least {min(self.values, default=0):g}; "
                f"give {HOURS_A_DAY} numbers of 0 or more, midnight UTC first"
            )

    def at(self, hour: int) -> float:
        """The number of an hour, 0 to 23; hours beyond go on into the next day."""
        return self.values[hour % HOURS_A_DAY]


def assumed(value: float, why: str) -> Figure:
    """A number that nobody published: it is likely, for this reason, and to be replaced.

    >>> assumed(0.04, "near public prices of one core").is_assumption
    True
    """
    return Figure(value, why, is_assumption=True)
