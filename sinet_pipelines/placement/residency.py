"""Checks the edges on which rows or weights move from one region to another against the policies of the regions.

    raw, personal    never leave their region
    sequence         only under an agreement of their own region: table, to, purpose, until
    feature, model   may leave

The receiving region must accept their class. The check is for one day: an agreement that has expired does not count.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from sinet_pipelines.errors import ResidencyError
from sinet_pipelines.inventory.regions import Region
from sinet_pipelines.schemas.contract import DataClass

NEVER_LEAVE = (DataClass.RAW, DataClass.PERSONAL)
SHOWN = 5  # forbidden edges in one message; the others are counted


@dataclass(frozen=True)
class Crossing:
    """One table, or another kind of data, that a step in one region reads from the same or another region.

    Attributes:
        asset: the reading asset: `turbofan/training_set`.
        table: the data that are read.
        data_class: of its columns.
        source: the region in which it lies.
        target: the region to which it goes.
        purpose: of the reading asset, as agreements spell it; empty where the asset has none.
    """

    asset: str
    table: str
    data_class: DataClass
    source: str
    target: str
    purpose: str = ""

    @property
    def crosses(self) -> bool:
        """Whether data leave their region on it."""
        return self.source != self.target


@dataclass(frozen=True)
class Forbidden:
    """A forbidden edge, and the rule that forbids it."""

    edge: Crossing
    rule: str

    def __str__(self) -> str:
        one = self.edge
        way = f"{one.table} from {one.source} to {one.target}"
        return f"{one.asset} takes {way}, columns of class {one.data_class}: {self.rule}"


def forbidden(edges: Iterable[Crossing], *, regions: Mapping[str, Region], day: date) -> list[Forbidden]:
    """The forbidden edges on a day, each once, with the rule that forbids it.

    Args:
        edges: of the graph; those within a region are always allowed.
        regions: by their names, with the policies.
        day: the day of the check; an agreement may have expired.
    """
    found = []
    for edge in dict.fromkeys(edges):
        if edge.crosses and (rule := _rule_against(edge, regions[edge.source], regions[edge.target], day)):
            found.append(Forbidden(edge, rule))
    return found


def require_allowed(edges: Iterable[Crossing], *, regions: Mapping[str, Region], day: date) -> None:
    """Checks that no edge is forbidden.

    Raises:
        ResidencyError: an edge is forbidden; the message names asset, table, class and rule of each.
    """
    found = forbidden(edges, regions=regions, day=day)
    if found:
        more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        listed = "; ".join(map(str, found[:SHOWN]))
        raise ResidencyError(
            f"{listed}{more}. Bind the asset to the region of its data, read what may travel (class feature), "
            "or agree on it in the region's row or in inventory.yaml"
        )


def _rule_against(edge: Crossing, source: Region, target: Region, day: date) -> str:
    """The rule that forbids an edge, as text; empty for an allowed edge."""
    if edge.data_class in NEVER_LEAVE:
        return f"class {edge.data_class} never leaves its region"
    if edge.data_class not in target.accepts:
        accepts = ", ".join(target.accepts) or "nothing"
        return f"{target.name} accepts {accepts} from other regions"
    if edge.data_class is DataClass.SEQUENCE:
        return _disagreement(edge, source, day)
    return ""


def _disagreement(edge: Crossing, source: Region, day: date) -> str:
    wanted = f"class sequence leaves {source.name} only under an agreement for {edge.table} to {edge.target}"
    agreed = [one for one in source.agreements if (one.table, one.to) == (edge.table, edge.target)]
    if not agreed:
        return f"{wanted}, and there is none"
    fitting = [one for one in agreed if edge.purpose in ("", one.purpose)]
    if not fitting:
        purposes = ", ".join(sorted({one.purpose for one in agreed}))
        return f"{wanted} for {edge.purpose}, and the agreed purpose is {purposes}"
    last = max(one.until for one in fitting)
    return "" if last >= day else f"{wanted}, and that ran out on {last} (today is {day})"
