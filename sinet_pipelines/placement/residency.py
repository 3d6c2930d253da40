"""What may travel: every edge on which rows or weights go from one region to another, held against the policies.

    raw, personal    never leave their region
    sequence         only under an agreement of their own region: table, to, purpose, until
    feature, model   may leave

and the region they come to must accept their class. A day decides: an agreement that has run out is none.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from sinet_pipelines.errors import ResidencyError
from sinet_pipelines.regions import Region
from sinet_pipelines.schemas.contract import DataClass

NEVER_LEAVE = (DataClass.RAW, DataClass.PERSONAL)
SHOWN = 5  # forbidden edges in one message; the others are counted


@dataclass(frozen=True)
class Edge:
    """One table, or what stands for one, read in another place than it lies.

    Attributes:
        asset: who reads it, as it is spelled: `predictive_maintenance/training_set`.
        table: what is read.
        data_class: of its columns.
        source: the region in which it lies.
        target: the region to which it goes.
        purpose: what for, in the word of the agreements; empty where the reader has none.
    """

    asset: str
    table: str
    data_class: DataClass
    source: str
    target: str
    purpose: str = ""

    @property
    def crosses(self) -> bool:
        """Whether anything leaves its region on it."""
        return self.source != self.target


@dataclass(frozen=True)
class Forbidden:
    """An edge that may not be, and the rule that says so."""

    edge: Edge
    rule: str

    def __str__(self) -> str:
        one = self.edge
        way = f"{one.table} from {one.source} to {one.target}"
        return f"{one.asset} takes {way}, columns of class {one.data_class}: {self.rule}"


def forbidden(edges: Iterable[Edge], *, regions: Mapping[str, Region], day: date) -> list[Forbidden]:
    """The edges that may not be on a day, each once, with the rule that forbids it.

    Args:
        edges: of the graph; those within a region are always allowed.
        regions: by their names, with the policies.
        day: on which it is asked.
    """
    found = []
    for edge in dict.fromkeys(edges):
        if edge.crosses and (rule := _rule_against(edge, regions[edge.source], regions[edge.target], day)):
            found.append(Forbidden(edge, rule))
    return found


def require_allowed(edges: Iterable[Edge], *, regions: Mapping[str, Region], day: date) -> None:
    """Nothing, where every edge may be.

    Raises:
        ResidencyError: one may not; the message names asset, table, class and rule of each.
    """
    found = forbidden(edges, regions=regions, day=day)
    if found:
        more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        said = "; ".join(map(str, found[:SHOWN]))
        raise ResidencyError(
            f"{said}{more}. Bind the asset to the region of its data, read what may travel (class feature), "
            "or agree on it in the region's row or in registry.yaml"
        )


def _rule_against(edge: Edge, source: Region, target: Region, day: date) -> str:
    """The rule that forbids an edge, in words; empty where it may be."""
    if edge.data_class in NEVER_LEAVE:
        return f"class {edge.data_class} never leaves its region"
    if edge.data_class not in target.accepts:
        accepts = ", ".join(target.accepts) or "nothing"
        return f"{target.name} accepts {accepts} from other regions"
    if edge.data_class is DataClass.SEQUENCE:
        return _disagreement(edge, source, day)
    return ""


def _disagreement(edge: Edge, source: Region, day: date) -> str:
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
