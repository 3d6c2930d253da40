"""Where an attempt of a step goes: its own place first, another hardware or region after its place was lost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from resources.router.endings import OOM_KILLED, UNREACHABLE, Ending
from sinet_pipelines.placement.needs import Needs

RANGE_TAGS = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")


@dataclass(frozen=True)
class Place:
    """A region, a kind of hardware there, and the memory of the attempt relative to its needs.

    Attributes:
        region: name of the region.
        hardware: id of the kind.
        memory_factor: 1.0 is the memory of the needs.
    """

    region: str
    hardware: str
    memory_factor: float = 1.0


def next_place(home: tuple[str, str], needs: Needs, endings: Sequence[Ending], *, days: int = 1) -> Place:
    """The place of the attempt after these endings.

    After a lost place (preempted, without nodes, unreachable) the step goes to the next one of `may_move_to`, and after
    the last one back to its own. Each out-of-memory kill multiplies the memory by `memory_growth`.

    Args:
        home: region and hardware of the asset's binding.
        needs: what the asset needs.
        endings: how the earlier attempts ended, the oldest first.
        days: number of days in the step.
    """
    place = home
    for ending in endings:
        if ending.reason.moves:
            place = after(place, home, needs, elsewhere=ending.reason is UNREACHABLE)
    region, hardware = place
    kills = sum(ending.reason is OOM_KILLED for ending in endings)
    per_day = needs.memory_mib_per_day * max(days - 1, 0) / needs.memory_mib
    return Place(region, hardware, round((1 + per_day) * needs.memory_growth**kills, 3))


def after(place: tuple[str, str], home: tuple[str, str], needs: Needs, *, elsewhere: bool = False) -> tuple[str, str]:
    """The place to try after this one; with `elsewhere` one in another region, if there is any."""
    options = [home, *needs.may_move_to]
    at = options.index(place)
    turns = options[at + 1 :] + options[: at + 1]
    return next((turn for turn in turns if not elsewhere or turn[0] != place[0]), turns[0])


def days_of(tags: Mapping[str, str]) -> int:
    """The number of days in a run's steps, from the tags of its range.

    >>> days_of(dict(zip(RANGE_TAGS, ("2026-01-01", "2026-01-03"))))
    3
    """
    from datetime import date

    if not all(tag in tags for tag in RANGE_TAGS):
        return 1
    first, last = (date.fromisoformat(tags[tag]) for tag in RANGE_TAGS)
    return (last - first).days + 1
