"""A number with its source: a data sheet, a paper, or an assumption that users should replace with their own number."""

from dataclasses import dataclass

from sinet_pipelines.errors import InventoryError

HOURS_A_DAY = 24


@dataclass(frozen=True)
class Figure:
    """One number of the inventory.

    Attributes:
        value: in the unit of the field's name.
        source: the data sheet, paper or price list; for an assumption, the reason for it.
        is_assumption: no number is published for this place; replace it with your own in `inventory.yaml`.
    """

    value: float
    source: str
    is_assumption: bool = False

    def __post_init__(self) -> None:
        if not self.source:
            raise InventoryError(
                f"the figure {self.value:g} has no source; name one, or set is_assumption: true and name the reason"
            )
        if not 0 <= self.value < float("inf"):
            raise InventoryError(f"a figure is {self.value:g} ({self.source}); prices, rates and sizes are 0 or more")


@dataclass(frozen=True)
class Hourly:
    """A number for each hour of a day (UTC).

    Attributes:
        values: 24 numbers, beginning with the hour after midnight.
        source: as in a figure.
        is_assumption: as in a figure.
    """

    values: tuple[float, ...]
    source: str
    is_assumption: bool = False

    def __post_init__(self) -> None:
        if len(self.values) != HOURS_A_DAY or not all(0 <= value < float("inf") for value in self.values):
            raise InventoryError(
                f"{len(self.values)} hours from {self.source!r}, the least {min(self.values, default=0):g}; "
                f"give {HOURS_A_DAY} numbers of 0 or more, midnight UTC first"
            )

    def at(self, hour: int) -> float:
        """The number of an hour, 0 to 23; later hours are those of the next day."""
        return self.values[hour % HOURS_A_DAY]


def assumed(value: float, why: str) -> Figure:
    """An assumption with its reason, for a number that is not published and should be replaced.

    >>> assumed(0.04, "near public prices of one core").is_assumption
    True
    """
    return Figure(value, why, is_assumption=True)
