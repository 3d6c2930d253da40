"""Where an attempt of a step goes: its own place first, another flavour or region when the last one was taken away."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from resources.router.endings import OOM_KILLED, UNREACHABLE, Ending
from sinet_pipelines.placement.needs import Needs

RANGE_TAGS = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")


@dataclass(frozen=True)
class Place:
    """A region, a kind of hardware there, and how much more memory than its needs an attempt gets.

    Attributes:
        region: name of the region.
        hardware: id of the kind.
        memory_factor: 1.0 is what the needs say.
    """

    region: str
    hardware: str
    memory_factor: float = 1.0


def next_place(home: tuple[str, str], needs: Needs, endings: Sequence[Ending], *, days: int = 1) -> Place:
    """The place of the attempt after these endings.

    A place that was taken away (preempted, without nodes, unreachable) sends the step to the next of `may_move_to`, and
    after the last one home again; each out-of-memory kill multiplies the memory by `memory_growth`.

    Args:
        home: region and hardware that the asset is bound to.
        needs: what the asset needs.
        endings: how the earlier attempts ended, the oldest first.
        days: days that the step makes at once.
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
    """The place to try after this one; one in another region, if asked and if there is any."""
    options = [home, *needs.may_move_to]
    at = options.index(place)
    turns = options[at + 1 :] + options[: at + 1]
    return next((turn for turn in turns if not elsewhere or turn[0] != place[0]), turns[0])


def days_of(tags: Mapping[str, str]) -> int:
    """How many days a run's steps make at once, by the tags of its range.

    >>> days_of(dict(zip(RANGE_TAGS, ("2026-01-01", "2026-01-03"))))
    3
    """
    from datetime import date

    if not all(tag in tags for tag in RANGE_TAGS):
        return 1
    first, last = (date.fromisoformat(tags[tag]) for tag in RANGE_TAGS)
    return (last - first).days + 1
