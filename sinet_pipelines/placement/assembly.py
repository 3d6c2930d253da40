"""Assembles a placement problem from the steps of a deployment: options, residency, lines, quotas, deadlines.

What a hard rule removes beforehand is kept with its reason. An asset that no rule leaves a place is left out of the
problem, so that the others are placed.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

from sinet_pipelines.errors import PlacementInputError, UnknownHardwareError, UnknownRegionError
from sinet_pipelines.inventory.regions import Region
from sinet_pipelines.placement.durations import relative_speed
from sinet_pipelines.placement.options import Removed, Work, options_of
from sinet_pipelines.placement.problem import Asset, Edge, Line, Option, PowerCap, Problem, Quota, microusd
from sinet_pipelines.placement.residency import Crossing, forbidden
from sinet_pipelines.schemas.contract import DataClass

HORIZON_H = 24  # of a quota of devices: the device time of a day
GIBIT = 8 * 1024**3 / 1e9  # Gbit of a GiB


@dataclass(frozen=True)
class Read:
    """Data of one asset that another asset reads or sends.

    Attributes:
        source: the asset whose data are read.
        target: the asset that receives them.
        purpose: for residency.
        is_order: whether the target starts after the source.
        reader: the asset in messages, if it is not the target.
    """

    source: str
    target: str
    purpose: str = ""
    is_order: bool = True
    reader: str = ""


@dataclass(frozen=True)
class Assembly:
    """A problem and what was left out of it.

    Attributes:
        problem: of the assets that have an option.
        works: every step by its asset.
        removed: the places that a rule removed, by asset.
        unplaced: the reason of each asset without an option.
        missing: inputs of each placed asset that have no place.
        notes: what else a reader of the plan has to know.
    """

    problem: Problem
    works: Mapping[str, Work]
    removed: Mapping[str, tuple[Removed, ...]]
    unplaced: Mapping[str, str]
    missing: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def assemble(
    works: Sequence[Work],
    reads: Sequence[Read],
    regions: Sequence[Region],
    *,
    without: Collection[str] = (),
    start: datetime | None = None,
    waits_s: Mapping[tuple[str, str], float] | None = None,
) -> Assembly:
    """The problem of some steps.

    Args:
        works: each after those whose data it reads.
        reads: between them; others are left out.
        regions: of the inventory.
        without: regions, or places as `EAST/nvidia-a100`, where nothing is put.
        start: the moment from which latest finishes and agreements count; None for now.
        waits_s: expected wait in the queue of a place, seconds.

    Raises:
        UnknownRegionError: `without` names a region that does not exist.
        UnknownHardwareError: `without` names a kind that a region does not have.
    """
    require_places(without, regions)
    start = start or datetime.now(UTC)
    residency = _Residency({one.asset: one for one in works}, {one.name: one for one in regions}, start.date())
    incoming: dict[str, list[Read]] = {}
    for read in reads:
        if read.is_order:
            incoming.setdefault(read.target, []).append(read)
    assets: dict[str, Asset] = {}
    removed: dict[str, tuple[Removed, ...]] = {}
    unplaced: dict[str, str] = {}
    for work in works:
        options, against = options_of(work, regions, without=without, waits_s=waits_s)
        options, against = _with_residency(work, options, against, incoming.get(work.asset, ()), assets, residency)
        removed[work.asset] = tuple(against)
        if options:
            latest = _latest_ms(work, start)
            assets[work.asset] = Asset(work.asset, tuple(options), work.bytes, work.needs.team, latest)
        else:
            unplaced[work.asset] = _why_unplaced(work, against)
    quotas, caps, notes = _limits(regions, assets)
    notes += _unknown_speeds(residency.works, assets, regions)
    edges = _edges(reads, assets, residency)
    problem = Problem(tuple(assets.values()), edges, lines_of(regions), quotas, caps)
    missing = {
        name: tuple(read.source for read in incoming.get(name, ()) if read.source in unplaced) for name in assets
    }
    return Assembly(problem, residency.works, removed, unplaced, {k: v for k, v in missing.items() if v}, tuple(notes))


def _edges(reads: Sequence[Read], assets: Mapping[str, Asset], residency: "_Residency") -> tuple[Edge, ...]:
    """The edges between placed assets; two reads of the same data are one edge with the rules of both."""
    edges: dict[tuple[str, str], Edge] = {}
    for read in reads:
        if read.source in assets and read.target in assets:
            pairs = residency.pairs(read, assets[read.source], assets[read.target])
            before = edges.get((read.source, read.target))
            if before is not None:
                pairs = {**before.forbidden, **pairs}
            is_order = read.is_order or (before is not None and before.is_order)
            edges[read.source, read.target] = Edge(read.source, read.target, pairs, is_order)
    return tuple(edges.values())


def require_places(without: Collection[str], regions: Sequence[Region]) -> None:
    """Checks that regions, or places as `EAST/nvidia-a100`, exist.

    Raises:
        UnknownRegionError: there is no such region.
        UnknownHardwareError: the region does not have the kind on site.
    """
    known = {one.name: one for one in regions}
    for place in without:
        name, slash, kind = place.partition("/")
        if name not in known:
            raise UnknownRegionError(f"no region {name!r} (known: {', '.join(known)}); leave out one of these")
        if slash and kind not in known[name].hardware:
            has = ", ".join(known[name].hardware)
            raise UnknownHardwareError(f"{name} has no {kind!r} on site (it has: {has}); leave out one of these")


def lines_of(regions: Sequence[Region]) -> dict[tuple[str, str], Line]:
    """The lines between regions, from their rows.

    Raises:
        PlacementInputError: a line has no bandwidth.
    """
    found = {}
    for one in regions:
        for other in regions:
            if one.name != other.name:
                link = one.link(other.name)
                if not link.gbit_per_s.value:
                    found_none = f"the link from {one.name} to {other.name} has a bandwidth of 0 Gbit/s"
                    raise PlacementInputError(f"{found_none}; give what it carries in inventory.yaml")
                ms_per_gib = round(1000 * GIBIT / link.gbit_per_s.value)
                latency_ms = round(link.latency_ms.value)
                found[one.name, other.name] = Line(microusd(link.usd_per_gib.value), ms_per_gib, latency_ms)
    return found


@dataclass(frozen=True)
class _Residency:
    works: Mapping[str, Work]
    regions: Mapping[str, Region]
    day: date
    known: dict[Crossing, str] = field(default_factory=dict)

    def rule(self, read: Read, origin: str, target: str) -> str:
        """The rule against a read from a region to another; empty for an allowed one."""
        work = self.works[read.source]
        crossing = Crossing(
            read.reader or read.target, work.table or work.asset, work.data_class, origin, target, read.purpose
        )
        if crossing not in self.known:
            found = forbidden([crossing], regions=self.regions, day=self.day)
            self.known[crossing] = found[0].rule if found else ""
        return self.known[crossing]

    def pairs(self, read: Read, source: Asset, target: Asset) -> dict[tuple[str, str], str]:
        """The forbidden pairs of regions of an edge."""
        pairs = [(a, b) for a in source.regions for b in target.regions if a != b]
        return {pair: rule for pair in pairs if (rule := self.rule(read, *pair))}

    def against(self, reads: Sequence[Read], assets: Mapping[str, Asset], region: str) -> str:
        """The first read that residency forbids in a region wherever its source is, with the rule."""
        for read in reads:
            if read.source in assets:
                rules = [self.rule(read, origin, region) for origin in assets[read.source].regions]
                if all(rules):
                    return f"reads {read.source}: {rules[0]}"
        return ""


def _with_residency(
    work: Work,
    options: list[Option],
    removed: list[Removed],
    reads: Sequence[Read],
    assets: Mapping[str, Asset],
    residency: _Residency,
) -> tuple[list[Option], list[Removed]]:
    """Options that residency allows; it also names the reason of places that the binding removes."""
    rules = {name: residency.against(reads, assets, name) for name in residency.regions}
    kept = [one for one in options if not rules[one.region]]
    barred = dict.fromkeys((one.region, one.hardware) for one in options if rules[one.region])
    named = [
        replace(one, rule="residency", reason=rules[one.region])
        if one.rule == "binding" and one.region != work.region and rules[one.region]
        else one
        for one in removed
    ]
    return kept, [*(Removed(*place, "residency", rules[place[0]]) for place in barred), *named]


def _why_unplaced(work: Work, removed: Sequence[Removed]) -> str:
    """The reason of an asset without an option: what removed its own place, and what bars the others."""
    own = [one for one in removed if (one.region, one.hardware) == (work.region, work.hardware)]
    others = [one for one in removed if (one.region, one.hardware) in work.open_to]
    parts = [one.reason for one in own[:1]]
    parts += dict.fromkeys(f"{one.region}/{one.hardware}: {one.reason}" for one in others)
    if not others:
        parts.append(work.pinned_by)
    return "; ".join(dict.fromkeys(parts))


def _latest_ms(work: Work, start: datetime) -> int | None:
    """The milliseconds from the start to the next moment of the latest finish."""
    latest = work.needs.latest_finish
    if latest is None:
        return None
    moment = datetime.combine(start.date(), latest.replace(tzinfo=None), start.tzinfo)
    moment = moment if moment > start else moment + timedelta(days=1)
    return round((moment - start).total_seconds() * 1000)


def _limits(
    regions: Sequence[Region], assets: Mapping[str, Asset]
) -> tuple[tuple[Quota, ...], tuple[PowerCap, ...], list[str]]:
    """The quotas and power caps of the regions' rows, and a note for each that no option uses."""
    quotas = [
        Quota(one.team, one.hardware, round(one.devices * HORIZON_H * 3_600_000), region.name)
        for region in regions
        for one in region.team_quotas
    ]
    used = [one for one in quotas if any(one.counts(asset, o) for asset in assets.values() for o in asset.options)]
    notes = [f"{one.name}: no asset can use it, so it limits nothing" for one in quotas if one not in used]
    drawing = {option.region for one in assets.values() for option in one.options if option.power_w}
    caps = [
        PowerCap(one.name, round(one.power_cap_kw.value * 1000))
        for one in regions
        if one.power_cap_kw is not None and one.name in drawing
    ]
    return tuple(used), tuple(caps), notes


def _unknown_speeds(works: Mapping[str, Work], assets: Mapping[str, Asset], regions: Sequence[Region]) -> list[str]:
    """A note for each pair of kinds whose speeds cannot be compared."""
    kinds = {kind.id: kind for region in regions for kind in region.catalogue}
    found: dict[tuple[str, str], None] = {}
    for name, asset in assets.items():
        bound = kinds.get(works[name].hardware)
        for option in asset.options:
            if bound is not None and relative_speed(kinds[option.hardware], bound) is None:
                found[option.hardware, bound.id] = None
    return [f"the speed of {one} against {other} is unknown and counts as equal" for one, other in found]


#: Sizes that the plan assumes where nothing was recorded: a table of a day, and files of a model.
DEFAULT_BYTES: Mapping[DataClass, int] = {
    DataClass.RAW: 256 * 1024**2,
    DataClass.PERSONAL: 256 * 1024**2,
    DataClass.SEQUENCE: 256 * 1024**2,
    DataClass.FEATURE: 64 * 1024**2,
    DataClass.MODEL: 32 * 1024**2,
}
