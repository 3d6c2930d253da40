"""Chooses how many days one run of a backfill makes."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sinet_pipelines.words import counted

NEAR = 1.05  # of the shortest time: estimates differ by more, and a small run loses less when it is killed
PARTS = (1, 2, 3, 5, 8, 13, 21, 34)  # numbers of parts that are compared


@dataclass(frozen=True)
class Bound:
    """The largest number of days of one run, with the reason."""

    days: int
    reason: str


@dataclass(frozen=True)
class Split:
    """How a backfill is split.

    Attributes:
        days_per_run: `max_partitions_per_run`.
        reason: why this number.
    """

    days_per_run: int
    reason: str


def choose_split(days: int, seconds_of: Callable[[int], float] | None, bounds: Sequence[Bound] = ()) -> Split:
    """The number of days of a run with the shortest estimated time; of nearly equal ones the smallest.

    Args:
        days: how many different days there are to make.
        seconds_of: estimated time of the whole backfill with so many days in a run; None where it is not known.
        bounds: limits of memory and time.

    >>> choose_split(24, lambda size: math.ceil(24 / size) * 10 + 24).days_per_run
    24
    >>> choose_split(24, lambda size: math.ceil(24 / size) * 0.1 + 24).days_per_run
    2
    """
    bound = min(bounds, key=lambda one: one.days, default=None)
    largest = max(1, days if bound is None else min(days, bound.days))
    limited = f" ({bound.reason})" if bound is not None and bound.days < days else ""
    sizes = sorted({min(largest, math.ceil(days / parts)) for parts in PARTS if parts <= max(days, 1)} | {largest})
    if seconds_of is None:
        why = "past runs do not show the fixed cost of a run, so there are as few runs as possible"
        return Split(largest, f"{why}{limited}")
    seconds = {size: seconds_of(size) for size in sizes if size > 0}
    shortest = min(seconds.values())
    chosen = min(size for size, found in seconds.items() if found <= shortest * NEAR)
    best = min(seconds, key=lambda size: (seconds[size], size))
    if chosen == best:
        why = f"the shortest of {counted(len(seconds), 'split')} that were compared"
    else:
        why = f"within 5 % of the shortest ({counted(best, 'day')} a run), and a killed run loses less"
    return Split(chosen, f"{why}{limited}")


def makespan(seconds: Sequence[float], concurrency: int = 1) -> float:
    """The time of runs that start in this order, each when one of so many places is free.

    >>> makespan([3, 1, 1, 1], 2), makespan([3, 1], 1)
    (3.0, 4.0)
    """
    places = [0.0] * max(1, concurrency)
    for one in seconds:
        first = min(range(len(places)), key=places.__getitem__)
        places[first] += one
    return float(max(places))
