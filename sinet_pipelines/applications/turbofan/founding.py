"""Decides the fleet of a home: the existing one, if it is the requested one, or a new one with its layout."""

from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

from sinet_pipelines.applications.turbofan.fleet import CYCLES_PER_DAY, DAYS, Fleet, read_fleet
from sinet_pipelines.errors import FleetError

MIN_CYCLES_PER_DAY = 30  # a window of 30 cycles then includes at most one earlier day
MAX_CYCLES_PER_DAY = 86_400  # one cycle per second
MAX_DAYS = 366  # a day is a partition of every region's tables; a longer life is a typing error in a cycle


@dataclass(frozen=True)
class Wish:
    """The requested fleet.

    Attributes:
        name: name of the source folder, or `simulated`.
        simulated: whether all engines are simulated.
        seed: seed of its layout.
        cycles_per_day: None for that of the home, or 40.
        first_day: None for that of the home, or the day that makes yesterday the last.
        regions: names of the regions of the deployment; a new fleet is laid out in these.
    """

    name: str
    simulated: bool
    seed: int = 0
    cycles_per_day: int | None = None
    first_day: date | None = None
    regions: tuple[str, ...] = field(kw_only=True)


def fleet_for(home: Path, wish: Wish, *, longest: int, today: date) -> Fleet:
    """The fleet of the home, or the new one; nothing is written.

    Args:
        home: the home.
        wish: the requested fleet.
        longest: cycles of the engine with the longest life.
        today: the present day, UTC.

    Raises:
        FleetError: the home has another fleet, or the requested layout is impossible.
    """
    known = read_fleet(home)
    if known is None:
        return _new_fleet(wish, longest=longest, today=today)
    has = (known.name, known.simulated, known.seed, known.cycles_per_day, known.first_day)
    requested = (wish.name, wish.simulated, wish.seed, wish.cycles_per_day, wish.first_day)
    for what, old, new in zip(("name", "simulated", "seed", "cycles a day", "first day"), has, requested, strict=True):
        if new is not None and new != old:
            raise FleetError(
                f"{home} has a fleet ({what}: {old}) and another was requested ({what}: {new}); allowed: one fleet a "
                "home, laid out once; name another home with --home"
            )
    return known


def days_needed(longest: int, *, cycles_per_day: int) -> int:
    """Number of days of a layout that is long enough for the longest engine.

    Args:
        longest: cycles of the engine with the longest life.
        cycles_per_day: 30 to 86,400.

    Raises:
        FleetError: too few or too many cycles per day, or an engine with a life of more than a year.

    >>> days_needed(525, cycles_per_day=40), days_needed(1001, cycles_per_day=40)
    (25, 26)
    """
    if not MIN_CYCLES_PER_DAY <= cycles_per_day <= MAX_CYCLES_PER_DAY:
        raise FleetError(
            f"{cycles_per_day} cycles a day (allowed: {MIN_CYCLES_PER_DAY} to {MAX_CYCLES_PER_DAY}, so that a window "
            "of 30 cycles reaches back one day at most); give another --cycles-per-day"
        )
    days = max(DAYS, -(-longest // cycles_per_day))
    if days > MAX_DAYS:
        raise FleetError(
            f"an engine of {longest} cycles needs {days} days at {cycles_per_day} cycles a day (allowed: {MAX_DAYS}); "
            "mend its cycle numbers or give more --cycles-per-day"
        )
    return days


def _new_fleet(wish: Wish, *, longest: int, today: date) -> Fleet:
    pace = CYCLES_PER_DAY if wish.cycles_per_day is None else wish.cycles_per_day
    days = days_needed(longest, cycles_per_day=pace)
    latest = today - timedelta(days=days)  # yesterday is the last day
    first = wish.first_day or latest
    if first > latest:
        raise FleetError(
            f"from a first day of {first}, {days} days end on {first + timedelta(days=days - 1)} (allowed: yesterday "
            f"at the latest, so a first day until {latest}); give an earlier --first-day"
        )
    return Fleet(wish.name, wish.simulated, first, pace, days, seed=wish.seed, regions=wish.regions)
