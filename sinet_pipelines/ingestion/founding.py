"""Decides which fleet a home gets: the one it has, if that is what is asked for, or a new one laid down in days."""

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from sinet_pipelines.errors import FleetError
from sinet_pipelines.ingestion.fleet import CYCLES_PER_DAY, DAYS, Fleet, read_fleet

MIN_CYCLES_PER_DAY = 30  # a window of 30 cycles then reaches back one day at most
MAX_CYCLES_PER_DAY = 86_400  # one a second
MAX_DAYS = 366  # a day is a partition of every region's tables; a longer engine is a typing error in its cycle


@dataclass(frozen=True)
class Wish:
    """What fleet is asked for.

    Attributes:
        name: of the folder it is read from, or `simulated`.
        simulated: whether no real engine is in it.
        seed: of its layout.
        cycles_per_day: None for what the home has, or 40.
        first_day: None for what the home has, or the day that makes yesterday the last.
    """

    name: str
    simulated: bool
    seed: int = 0
    cycles_per_day: int | None = None
    first_day: date | None = None


def fleet_for(home: Path, wish: Wish, *, longest: int, today: date) -> Fleet:
    """The fleet that the home has, or the one it gets; nothing is written.

    Args:
        home: the home.
        wish: what is asked for.
        longest: cycles of the engine that ran longest.
        today: the present day, UTC.

    Raises:
        FleetError: the home has another fleet, or no layout can be made as asked.
    """
    known = read_fleet(home)
    if known is None:
        return _new_fleet(wish, longest=longest, today=today)
    has = (known.name, known.simulated, known.seed, known.cycles_per_day, known.first_day)
    asked = (wish.name, wish.simulated, wish.seed, wish.cycles_per_day, wish.first_day)
    for what, old, new in zip(("name", "simulated", "seed", "cycles a day", "first day"), has, asked, strict=True):
        if new is not None and new != old:
            raise FleetError(
                f"{home} has a fleet ({what}: {old}) and another was asked for ({what}: {new}); allowed: one fleet a "
                "home, laid out once; name another home with --home"
            )
    return known


def days_needed(longest: int, *, cycles_per_day: int) -> int:
    """Days of a layout in which the longest engine finds room.

    Args:
        longest: cycles of the engine that ran longest.
        cycles_per_day: 30 to 86,400.

    Raises:
        FleetError: too few or too many cycles a day, or an engine longer than a year.

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
    return Fleet(wish.name, wish.simulated, first, cycles_per_day=pace, days=days, seed=wish.seed)
